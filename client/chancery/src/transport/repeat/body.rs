//! The body of a request, with what was already taken of it, as long as that is little.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tonic::Status;
use tonic::body::Body;

/// So much of a body is kept: options and the message of an ordinary mail. Of a longer one that much has gone only if the daemon
/// was reading it.
const MOST: usize = 1 << 20;

/// A body that can be given to one request after the other, until too much of it is gone.
pub(super) struct Kept(Arc<Mutex<State>>);

struct State {
    body: Body,
    /// Whether the last of it was taken.
    ended: bool,
    /// What an earlier request had of it, and the one that has it now had not.
    again: VecDeque<Bytes>,
    /// What the request that has it now had of it, unless that is too much, or no longer wanted.
    given: Option<Vec<Bytes>>,
    len: usize,
    /// Which request has it.
    holder: usize,
}

/// What a request has of it.
struct Held {
    state: Arc<Mutex<State>>,
    number: usize,
}

impl Kept {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(State {
            body,
            ended: false,
            again: VecDeque::new(),
            given: Some(Vec::new()),
            len: 0,
            holder: 0,
        })))
    }

    /// The body from its beginning, for the next request. The one before gets no more of it.
    pub(super) fn body(&self) -> Body {
        let mut guard = lock(&self.0);
        let state = &mut *guard;
        state.holder += 1;
        if let Some(given) = &mut state.given {
            let mut again = VecDeque::from(std::mem::take(given));
            again.append(&mut state.again);
            state.again = again;
        }
        let number = state.holder;
        // It is asked whether it is at its end already.
        drop(guard);
        Body::new(Held {
            state: Arc::clone(&self.0),
            number,
        })
    }

    /// Whether nothing of it is lost.
    pub(super) fn is_whole(&self) -> bool {
        lock(&self.0).given.is_some()
    }

    /// It will not be wanted again.
    pub(super) fn let_go(&self) {
        lock(&self.0).given = None;
    }
}

impl State {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(piece) = self.again.pop_front() {
            if let Some(given) = &mut self.given {
                given.push(piece.clone());
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &next {
            Some(Ok(frame)) => self.keep(frame),
            Some(Err(_)) => self.given = None,
            None => self.ended = true,
        }
        Poll::Ready(next)
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(given) = &mut self.given else { return };
        match frame.data_ref() {
            Some(piece) if self.len + piece.len() <= MOST => {
                self.len += piece.len();
                given.push(piece.clone());
            }
            _ => self.given = None,
        }
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut state = lock(&self.state);
        if state.holder != self.number {
            // Its stream is over. Were it not, this must not look like the end of a message.
            return Poll::Ready(Some(Err(Status::cancelled("the call was made again"))));
        }
        state.poll_next(context)
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        state.holder == self.number && state.again.is_empty() && (state.ended || state.body.is_end_stream())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_another_request_has_by_now_is_not_at_its_end() {
        let kept = Kept::new(Body::empty());
        drop((kept.body(), kept.body()));
        let held = |number| Held {
            state: Arc::clone(&kept.0),
            number,
        };
        assert!(held(2).is_end_stream());
        assert!(!held(1).is_end_stream());
    }
}
