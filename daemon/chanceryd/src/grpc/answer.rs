//! The two directions of a streaming call: requests become pieces of content, what an operation hands over becomes
//! responses, its report the last of them, its error the status.
//!
//! The operation lives inside the response stream. When the caller goes, the transport drops that stream, and with it the
//! operation, wherever it was: nothing that had not been started is started then.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tonic::{Response, Status, Streaming};

use super::{errors, stall};
use crate::listen::HangUp;
use crate::ops::{self, Call, Invalid, OpError, Place, Sink, Turn};
use crate::sync::lock;

/// What a handler answers.
pub(super) type Answer<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// The two fields that every request of a stream has.
pub(super) trait Piece {
    /// What the first request alone carries.
    type Options;
    /// Takes the message apart.
    fn split(self) -> (Option<Self::Options>, Bytes);
}

/// The options from the first request of a stream, and the content of it and of all that follow. A stream on which nothing has come
/// when the daemon is told to stop is not waited for.
pub(super) async fn open<P>(
    requests: Streaming<P>,
    turn: &Turn,
    context: &ops::Context,
) -> Result<
    (
        P::Options,
        impl Stream<Item = Result<Bytes, OpError>> + Unpin + Send + use<P>,
    ),
    OpError,
>
where
    P: Piece + Send + 'static,
{
    let mut requests = Asked {
        requests,
        turn: turn.clone(),
    };
    let first = tokio::select! {
        biased;
        first = requests.next() => first.ok_or(OpError::Invalid(Invalid::OptionsMissing))?.map_err(broken)?,
        () = context.stopped() => return Err(OpError::Stopping),
    };
    let (options, content) = first.split();
    let options = options.ok_or(OpError::Invalid(Invalid::OptionsMissing))?;
    let rest = requests.map(|request| match request.map_err(broken)?.split() {
        (None, content) => Ok(content),
        (Some(_), _) => Err(OpError::Invalid(Invalid::OptionsRepeated)),
    });
    Ok((options, tokio_stream::once(Ok(content)).chain(rest)))
}

/// A caller's requests, and since when the next one is waited for.
struct Asked<S> {
    requests: S,
    turn: Turn,
}

impl<S: Stream + Unpin> Stream for Asked<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let next = Pin::new(&mut self.requests).poll_next(context);
        match next {
            Poll::Ready(_) => self.turn.sent(),
            Poll::Pending => self.turn.asked(),
        }
        next
    }
}

/// What the transport says of a request that cannot be read or does not come any more.
fn broken(status: Status) -> OpError {
    errors::of_transport(&status, false)
}

/// What an answer has besides its operation.
pub(super) struct Admitted {
    pub(super) call: Call,
    /// Kept as long as the answer is, or until its caller stalls.
    pub(super) place: Place,
    /// How long the caller may stall.
    pub(super) idle: Duration,
    /// The end of the caller's connection.
    pub(super) hang_up: Option<HangUp>,
}

/// Runs `work`, which writes to a sink, and answers what it writes; at the end what it returns.
///
/// The answer begins with its first piece, so that one packet takes both to the caller, but no later than the first time that
/// more is wanted of the caller: there are clients that send it only once the answer has begun.
///
/// # Errors
///
/// What `work` fails with before anything was answered.
pub(super) async fn answer<R, F, T>(
    admitted: Admitted,
    content: fn(Bytes) -> R,
    report: fn(T) -> R,
    work: impl FnOnce(Call, Sink) -> F,
) -> Result<Response<Answer<R>>, Status>
where
    R: Send + 'static,
    T: Send + Unpin + 'static,
    F: Future<Output = Result<T, OpError>> + Send + 'static,
{
    let Admitted {
        call,
        place,
        idle,
        hang_up,
    } = admitted;
    let (sink, pieces) = Sink::new();
    let turn = sink.turn().clone();
    // Until HTTP/2 has room for an answer, which its first question shows.
    turn.offered();
    let limits = call.clone();
    let work = work(call, sink);
    let stalled = errors::status(&OpError::StreamIdle(idle), &limits.request_id);
    let running = Arc::new(Running(Mutex::new(State {
        work: Some(Box::pin(async move { super::call::within(&limits, work).await })),
        pieces,
        last: None,
        place: Some(place),
        stalled: Some(stalled),
        waker: None,
    })));
    let taken = Taken(Arc::new(Held {
        _watch: stall::watch(&running, turn.clone(), idle, hang_up),
        _running: Arc::clone(&running) as Arc<dyn Any + Send + Sync>,
    }));
    let mut watched = Watched {
        running,
        turn: turn.clone(),
        content,
        report,
    };
    let first = poll_fn(|context| match Pin::new(&mut watched).poll_next(context) {
        Poll::Ready(first) => Poll::Ready(first),
        Poll::Pending if turn.of_the_caller_since().is_some() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let first = first.await.transpose()?;
    let rest: Answer<R> = Box::pin(tokio_stream::iter(first.map(Ok)).chain(watched));
    let mut response = Response::new(rest);
    response.extensions_mut().insert(taken);
    Ok(response)
}

/// What an answer holds until the last of it has been sent, and not only until HTTP/2 has it: its place, and the watch over a
/// caller who does not take it. It goes to the content of the response as an extension.
#[derive(Clone, Debug)]
pub(super) struct Taken(#[expect(dead_code, reason = "it is only kept")] Arc<Held>);

struct Held {
    _watch: stall::Watch,
    _running: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

/// An operation's answer.
struct Watched<R, T> {
    running: Arc<Running<T>>,
    turn: Turn,
    content: fn(Bytes) -> R,
    report: fn(T) -> R,
}

impl<R, T: Unpin> Stream for Watched<R, T> {
    type Item = Result<R, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.running.state();
        self.turn.taken();
        let next = state.poll(context, self.content, self.report);
        if next.is_ready() {
            self.turn.offered();
        }
        next
    }
}

impl<R, T> Drop for Watched<R, T> {
    /// Whatever else is still held of the answer, the operation is not: nobody would go on with it.
    fn drop(&mut self) {
        let work = self.running.state().work.take();
        // Without the lock.
        drop(work);
    }
}

type Work<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;

/// An operation and what it has handed over so far.
struct Running<T>(Mutex<State<T>>);

struct State<T> {
    work: Option<Work<T>>,
    pieces: mpsc::Receiver<Bytes>,
    last: Option<Result<T, Status>>,
    place: Option<Place>,
    /// What is answered if the caller stalls.
    stalled: Option<Status>,
    waker: Option<Waker>,
}

impl<T> Running<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.0)
    }
}

impl<T: Send + 'static> stall::Stallable for Running<T> {
    fn end_if(&self, stalled: &dyn Fn() -> bool) -> bool {
        // Dropped without the lock.
        let (_work, _last, _place, waker);
        {
            let mut state = self.state();
            if !stalled() {
                return false;
            }
            _work = state.work.take();
            let told = state.stalled.take().map(Err);
            _last = std::mem::replace(&mut state.last, told);
            _place = state.place.take();
            while state.pieces.try_recv().is_ok() {}
            waker = state.waker.take();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl<T> State<T> {
    fn poll<R>(
        &mut self,
        context: &mut Context<'_>,
        content: fn(Bytes) -> R,
        report: fn(T) -> R,
    ) -> Poll<Option<Result<R, Status>>> {
        // What is there goes first, so that the operation finds room again.
        if let Poll::Ready(Some(piece)) = self.pieces.poll_recv(context) {
            return Poll::Ready(Some(Ok(content(piece))));
        }
        if let Some(work) = &mut self.work
            && let Poll::Ready(result) = work.as_mut().poll(context)
        {
            self.work = None;
            self.last = Some(result);
        }
        match self.pieces.poll_recv(context) {
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(content(piece)))),
            // The operation has ended, for its sink is gone: the report or the status, and then nothing.
            Poll::Ready(None) if self.work.is_none() => Poll::Ready(self.last.take().map(|last| last.map(report))),
            _ => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
