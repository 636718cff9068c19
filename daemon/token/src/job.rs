//! A request on its way from the handle to a worker.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tracing::Span;
use zeroize::Zeroizing;

use crate::{
    child::JobSocket,
    error::TokenError,
    key::KeyId,
    mechanism::{DecryptScheme, SignMechanism},
    metrics::Operation,
    queue::Priority,
};

/// How a request is to be scheduled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dispatch {
    /// Which queue it waits in.
    pub priority: Priority,
    /// When it is no longer worth starting; the token's own limit counts where there is none or where it is nearer.
    pub deadline: Option<Instant>,
    /// What becomes of it if the module's process ends.
    pub retry: Retry,
}

/// What becomes of a request when the process around the token's module ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retry {
    /// It is given to the next process, even if the one that ended had it: once.
    #[default]
    Here,
    /// Whoever asks has another token at hand: it is answered at once, and waits for no other process.
    Elsewhere,
    /// It has been tried before: it waits for the next process unless the one that ended had it.
    Never,
}

impl Dispatch {
    /// When the job is given up: what the caller asked for, but never after `latest`.
    pub(crate) fn deadline_by(&self, latest: Instant) -> Instant {
        self.deadline.map_or(latest, |deadline| deadline.min(latest))
    }
}

/// Signatures, plaintexts and shared secrets travel alike.
pub(crate) type Answer = Result<Zeroizing<Vec<u8>>, TokenError>;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) key: KeyId,
    pub(crate) work: Work,
    /// When it came, to this process.
    pub(crate) queued: Instant,
    pub(crate) deadline: Instant,
    /// How often it was given to a process that ended with it.
    pub(crate) lost: u8,
    pub(crate) retry: Retry,
    /// Of the trace, if there is one.
    pub(crate) span: Span,
    pub(crate) reply: Reply,
}

/// Who waits for the answer.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A future in this process.
    Caller(oneshot::Sender<Answer>),
    /// The other end of the socket, which knows the job by this number.
    Socket(Arc<JobSocket>, u64),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// `data` is what C_Sign is given, apart from the cut of ECDSA digests.
    Sign {
        mechanism: SignMechanism,
        data: Vec<u8>,
    },
    Decrypt {
        scheme: DecryptScheme,
        ciphertext: Vec<u8>,
    },
    Agree {
        peer: Vec<u8>,
    },
}

impl Work {
    pub(crate) const fn operation(&self) -> Operation {
        match self {
            Self::Sign { .. } => Operation::Sign,
            Self::Decrypt { .. } => Operation::Decrypt,
            Self::Agree { .. } => Operation::Agree,
        }
    }
}

impl Job {
    /// Whether nobody waits for it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        match &self.reply {
            Reply::Caller(caller) => caller.is_closed(),
            Reply::Socket(..) => false,
        }
    }

    /// How long it waited for a worker, if it did so in this process.
    pub(crate) fn waited(&self, until: Instant) -> Option<Duration> {
        match &self.reply {
            Reply::Caller(_) => Some(until.saturating_duration_since(self.queued)),
            Reply::Socket(..) => None,
        }
    }

    /// Whether nobody should start it any more.
    pub(crate) fn is_past(&self, now: Instant) -> bool {
        self.deadline <= now || self.is_abandoned()
    }

    /// Answers that nobody got to it before its deadline.
    pub(crate) fn answer_too_late(self, token: &str) {
        let token = token.to_owned();
        self.refuse(TokenError::DeadlineExceeded { token });
    }

    pub(crate) fn answer(self, answer: Answer) {
        match self.reply {
            Reply::Caller(caller) => {
                // The caller may have gone meanwhile; then nobody wants the answer.
                let _ = caller.send(answer);
            }
            Reply::Socket(socket, id) => socket.answer(id, answer),
        }
    }

    /// Answers that it could not be done, for which the key has surely not been used.
    pub(crate) fn refuse(self, error: TokenError) {
        match self.reply {
            Reply::Caller(_) => self.answer(Err(error)),
            Reply::Socket(socket, id) => socket.refuse(id, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_caller_may_shorten_the_wait_for_a_token_and_not_lengthen_it() {
        let latest = Instant::now() + Duration::from_secs(30);
        let by = |deadline| {
            let priority = Priority::Interactive;
            Dispatch {
                priority,
                deadline,
                retry: Retry::Here,
            }
            .deadline_by(latest)
        };
        let sooner = latest - Duration::from_secs(1);
        assert_eq!(by(None), latest);
        assert_eq!(by(Some(sooner)), sooner);
        assert_eq!(by(Some(latest + Duration::from_secs(3600))), latest);
    }
}
