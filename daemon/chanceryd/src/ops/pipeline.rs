//! How a message of any size passes through an S/MIME state machine in constant memory: what has arrived is crunched on a
//! blocking thread while the next piece is read, and what comes out, unless it is little, is handed over before more is taken in.
//! A slow caller holds memory for a few pieces, but no thread.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};

use super::{Invalid, OpError, Turn};

/// The most content that one request may carry, in bytes.
pub const CONTENT_LIMIT: usize = 1024 * 1024;
/// What has arrived is crunched together, up to this many bytes. What stands in memory for one message is a few times that,
/// whatever the caller's pieces are.
const BATCH: usize = 256 * 1024;
/// Up to this many bytes, going to a blocking thread takes longer than the work.
const INLINE: usize = 16 * 1024;
/// The most content in one response, in bytes.
const PIECE: usize = 512 * 1024;
/// Less than this many bytes wait for what comes after them, as long as nobody waits for the caller: a short message is one answer.
pub(super) const GATHERED: usize = 16 * 1024;

/// Runs `work` over `len` bytes: at once if they are few, otherwise on a blocking thread.
pub(super) async fn crunch<T: Send + 'static>(
    len: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OpError> {
    if len <= INLINE {
        return Ok(work());
    }
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|error| OpError::Internal(format!("a message could not be processed: {error}")))
}

/// The content of a message as it arrives, counted.
#[derive(Debug)]
pub(super) struct Source<S> {
    stream: S,
    arrived: u64,
    limit: u64,
    /// Bytes that were read ahead, to find something out or because they were too many at once.
    ahead: VecDeque<Bytes>,
    failed: Option<OpError>,
    ended: bool,
}

impl<S: Stream<Item = Result<Bytes, OpError>> + Unpin> Source<S> {
    /// At most `limit` bytes from `stream`.
    pub(super) fn new(stream: S, limit: u64) -> Self {
        Self {
            stream,
            arrived: 0,
            limit,
            ahead: VecDeque::new(),
            failed: None,
            ended: false,
        }
    }

    /// The next pieces that are there, at least one and at most [`BATCH`] bytes together; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Bytes>>, OpError> {
        let mut batch = Vec::new();
        let mut len = 0;
        while len < BATCH {
            let mut piece = match self.ahead.pop_front() {
                Some(piece) => piece,
                None => match self.arrive(batch.is_empty()).await {
                    Ok(Some(piece)) => piece,
                    Ok(None) => break,
                    Err(error) if batch.is_empty() => return Err(error),
                    Err(error) => {
                        // What came before the error goes first; the order of events stays that of the stream.
                        self.failed = Some(error);
                        break;
                    }
                },
            };
            if piece.len() > BATCH - len {
                self.ahead.push_front(piece.split_off(BATCH - len));
            }
            len += piece.len();
            batch.push(piece);
        }
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    }

    /// Puts pieces back that were looked at; they come again with the next call.
    pub(super) fn put_back(&mut self, pieces: Vec<Bytes>) {
        for piece in pieces.into_iter().rev() {
            self.ahead.push_front(piece);
        }
    }

    /// The stream's next piece that is not empty. `None` at the end, and if there is none yet and `wait` is false.
    async fn arrive(&mut self, wait: bool) -> Result<Option<Bytes>, OpError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while !self.ended {
            let item = if wait {
                self.stream.next().await
            } else {
                match ready(&mut self.stream).await {
                    Some(item) => item,
                    None => return Ok(None),
                }
            };
            match item {
                None => self.ended = true,
                Some(piece) => {
                    let piece = self.count(piece?)?;
                    if !piece.is_empty() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
        Ok(None)
    }

    fn count(&mut self, piece: Bytes) -> Result<Bytes, OpError> {
        if piece.len() > CONTENT_LIMIT {
            return Err(OpError::Invalid(Invalid::ContentTooLarge {
                found: piece.len(),
                limit: CONTENT_LIMIT,
            }));
        }
        self.arrived = self
            .arrived
            .saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.arrived > self.limit {
            return Err(OpError::Invalid(Invalid::MessageTooLarge { limit: self.limit }));
        }
        Ok(piece)
    }
}

/// The stream's next item if it is there already: `None` means that it is not.
async fn ready<S: Stream + Unpin>(stream: &mut S) -> Option<Option<S::Item>> {
    poll_fn(|context| match Pin::new(&mut *stream).poll_next(context) {
        Poll::Ready(item) => Poll::Ready(Some(item)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Where the content of the answer goes.
#[derive(Clone, Debug)]
pub struct Sink {
    pieces: mpsc::Sender<Bytes>,
    turn: Turn,
}

impl Sink {
    /// A sink and its other end. It holds two pieces; then it waits for the caller to take them.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(2);
        let turn = Turn::default();
        let pieces = sender;
        (Self { pieces, turn }, receiver)
    }

    /// Whose turn it is, the caller's or the operation's.
    #[must_use]
    pub fn turn(&self) -> &Turn {
        &self.turn
    }

    /// Hands `content` over, in pieces if it is large.
    pub(super) async fn send(&self, content: Vec<u8>) -> Result<(), OpError> {
        let mut rest = Bytes::from(content);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE));
            self.pieces
                .send(piece)
                .await
                .map_err(|_| OpError::Cancelled("nobody takes the answer".to_owned()))?;
        }
        Ok(())
    }
}

/// What a state machine does with one piece: input in, output appended.
type Step<M> = fn(&mut M, &[u8], &mut Vec<u8>) -> Result<(), OpError>;

/// Passes the whole of `source` through `step`, which gets the state, a batch and an output. Returns the state when the
/// source has ended, and the last of the output, which has not been handed over.
pub(super) async fn run<S, M>(
    source: &mut Source<S>,
    sink: &Sink,
    mut machine: M,
    step: Step<M>,
) -> Result<(M, Vec<u8>), OpError>
where
    S: Stream<Item = Result<Bytes, OpError>> + Unpin,
    M: Send + 'static,
{
    let mut gathered = Vec::new();
    let mut batch = source.next().await?;
    while let Some(pieces) = batch {
        let len = pieces.iter().map(Bytes::len).sum();
        let work = async {
            let (machine, mut out) = crunch(len, move || {
                let mut out = gathered;
                out.reserve(len + len / 2);
                for piece in pieces {
                    step(&mut machine, &piece, &mut out)?;
                }
                Ok::<_, OpError>((machine, out))
            })
            .await??;
            if out.len() >= GATHERED {
                sink.send(std::mem::take(&mut out)).await?;
            }
            Ok::<_, OpError>((machine, out))
        };
        let mut next = pin!(source.next());
        let (done, read) = while_reading(sink.turn.at_work(work), next.as_mut()).await;
        (machine, gathered) = done?;
        batch = match read {
            Some(next) => next?,
            None => {
                sink.send(std::mem::take(&mut gathered)).await?;
                next.await?
            }
        };
    }
    Ok((machine, gathered))
}

/// Does `work` while the next piece is read. `None` of that if it was not there when the work was done: whoever waits for it should
/// hand over first what is ready.
pub(super) async fn while_reading<W: Future, N: Future>(
    work: W,
    mut next: Pin<&mut N>,
) -> (W::Output, Option<N::Output>) {
    let mut work = pin!(work);
    let mut read = None;
    poll_fn(|context| {
        if read.is_none()
            && let Poll::Ready(next) = next.as_mut().poll(context)
        {
            read = Some(next);
        }
        work.as_mut().poll(context).map(|done| (done, read.take()))
    })
    .await
}

#[cfg(test)]
mod tests;
