//! The two directions of a streaming call: requests become pieces of content, what an operation hands over becomes
//! responses, its report the last of them, its error the status.
//!
//! The operation lives inside the response stream. When the caller goes, the transport drops that stream, and with it the
//! operation, wherever it was: nothing that had not been started is started then.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use crate::ops::{Call, Invalid, OpError, Place, Sink};

/// What a handler answers.
pub(super) type Answer<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// The two fields that every request of a stream has.
pub(super) trait Piece {
    /// What the first request alone carries.
    type Options;
    /// Takes the message apart.
    fn split(self) -> (Option<Self::Options>, Bytes);
}

/// The options from the first request of a stream, and the content of it and of all that follow.
pub(super) async fn open<P>(
    mut requests: Streaming<P>,
) -> Result<(P::Options, impl Stream<Item = Result<Bytes, OpError>> + Unpin + Send), OpError>
where
    P: Piece + Send + 'static,
{
    let first = requests
        .next()
        .await
        .ok_or(OpError::Invalid(Invalid::OptionsMissing))?
        .map_err(broken)?;
    let (options, content) = first.split();
    let options = options.ok_or(OpError::Invalid(Invalid::OptionsMissing))?;
    let rest = requests.map(|request| match request.map_err(broken)?.split() {
        (None, content) => Ok(content),
        (Some(_), _) => Err(OpError::Invalid(Invalid::OptionsRepeated)),
    });
    Ok((options, tokio_stream::once(Ok(content)).chain(rest)))
}

/// What the transport says of a request that cannot be read or does not come any more.
fn broken(status: Status) -> OpError {
    match status.code() {
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => OpError::Invalid(Invalid::ContentTooLarge {
            found: crate::ops::CONTENT_LIMIT.saturating_add(1),
            limit: crate::ops::CONTENT_LIMIT,
        }),
        _ => OpError::Cancelled(status.message().to_owned()),
    }
}

/// Runs `work`, which writes to a sink, and answers what it writes; at the end what it returns. The place is kept as long
/// as the answer is.
pub(super) fn answer<R, F, T>(
    call: Call,
    place: Place,
    content: fn(Bytes) -> R,
    report: fn(T) -> R,
    work: impl FnOnce(Call, Sink) -> F,
) -> Answer<R>
where
    R: Send + 'static,
    T: Send + Unpin + 'static,
    F: Future<Output = Result<T, OpError>> + Send + 'static,
{
    let (sink, pieces) = Sink::new();
    let limits = call.clone();
    let work = work(call, sink);
    Box::pin(Running {
        work: Some(Box::pin(async move { super::call::within(&limits, work).await })),
        pieces,
        last: None,
        _place: place,
        content,
        report,
    })
}

type Work<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;

/// An operation and what it has handed over so far.
struct Running<R, T> {
    work: Option<Work<T>>,
    pieces: mpsc::Receiver<Bytes>,
    last: Option<Result<T, Status>>,
    _place: Place,
    content: fn(Bytes) -> R,
    report: fn(T) -> R,
}

impl<R, T: Unpin> Stream for Running<R, T> {
    type Item = Result<R, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        // What is there goes first, so that the operation finds room again.
        if let Poll::Ready(Some(piece)) = this.pieces.poll_recv(context) {
            return Poll::Ready(Some(Ok((this.content)(piece))));
        }
        if let Some(work) = &mut this.work
            && let Poll::Ready(result) = work.as_mut().poll(context)
        {
            this.work = None;
            this.last = Some(result);
        }
        match this.pieces.poll_recv(context) {
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok((this.content)(piece)))),
            // The operation has ended, for its sink is gone: the report or the status, and then nothing.
            Poll::Ready(None) if this.work.is_none() => {
                Poll::Ready(this.last.take().map(|last| last.map(|report| (this.report)(report))))
            }
            _ => Poll::Pending,
        }
    }
}
