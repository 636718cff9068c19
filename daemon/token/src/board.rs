//! The board of one token: what is known of it, for whoever asks, and what was left for whoever serves it.
//!
//! A handle reads it, an anchor writes it; with a process in between there is one on either side, and the
//! [`Audience`] of the one keeps the other up to date.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

use crate::{
    allowance::Limit,
    catalogue::Catalogue,
    error::TokenError,
    metrics::{MetricsSnapshot, Tally},
    status::{PinStatus, TokenState, TokenStatus},
    sync::lock,
};

/// Whoever is told of every change.
pub(crate) trait Audience: Send + Sync {
    fn status(&self, status: &TokenStatus);
    fn catalogue(&self, catalogue: &Catalogue);
    fn metrics(&self, metrics: MetricsSnapshot);
    /// This process has done what it can for the token.
    fn ask_for_another_process(&self, why: &str);
    /// The library is about to be initialised anew, or has been.
    fn initializing(&self, begun: bool);
    /// Whoever looks after the token is doing so, and workers have so many sessions open.
    fn alive(&self, sessions: usize);
}

pub(crate) struct Board {
    pub(crate) name: String,
    pub(crate) tally: Tally,
    /// How much may be done with the keys, for whoever gives jobs to the token.
    pub(crate) limit: Limit,
    status: Mutex<TokenStatus>,
    ready: AtomicBool,
    /// The token's process has ended, and the next one is expected to have it: whoever wants something of it may wait as long as
    /// it is `Starting`. Changes under the status' lock.
    awaited: AtomicBool,
    pad: AtomicBool,
    /// Sessions that workers have open.
    pub(crate) sessions: AtomicUsize,
    /// Whether the status has a last error, so that the next success clears it and those after need not look.
    failing: AtomicBool,
    catalogue: Mutex<Arc<Catalogue>>,
    changes: watch::Sender<u64>,
    /// Certificates from outside the token that nobody has taken yet: the latest alone.
    certificates: Mutex<Option<Vec<Vec<u8>>>>,
    audience: Option<Box<dyn Audience>>,
}

impl Board {
    pub(crate) fn new(name: String, module: String, audience: Option<Box<dyn Audience>>) -> Self {
        let status = TokenStatus {
            module,
            detail: "the module is being loaded".into(),
            ..TokenStatus::default()
        };
        Self {
            name,
            tally: Tally::default(),
            limit: Limit::default(),
            status: Mutex::new(status),
            ready: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            pad: AtomicBool::new(false),
            sessions: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            catalogue: Mutex::new(Arc::default()),
            changes: watch::Sender::new(0),
            certificates: Mutex::new(None),
            audience,
        }
    }

    /// Whether keys can be used now, or soon by the token's next process.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Whether the token has a PIN pad of its own.
    pub(crate) fn has_pad(&self) -> bool {
        self.pad.load(Ordering::Relaxed)
    }

    pub(crate) fn status(&self) -> TokenStatus {
        let mut status = lock(&self.status).clone();
        status.sessions = self.sessions.load(Ordering::Relaxed);
        status
    }

    pub(crate) fn state_and_generation(&self) -> (TokenState, u64) {
        let status = lock(&self.status);
        (status.state, status.generation)
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&lock(&self.catalogue))
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What another process knows of the token. It counts generations from `base` on, and until it has found the token, what was
    /// known before is kept.
    pub(crate) fn replace_status(&self, new: TokenStatus, base: u64) {
        self.sessions.store(new.sessions, Ordering::Relaxed);
        let is_new_to_it = new.label.is_empty() && new.serial.is_empty();
        self.update(|status| {
            let before = std::mem::replace(status, new);
            status.generation = status.generation.saturating_add(base);
            if is_new_to_it {
                status.label = before.label;
                status.serial = before.serial;
                status.manufacturer = before.manufacturer;
                status.model = before.model;
                status.key_count = before.key_count;
                status.protected_authentication_path = before.protected_authentication_path;
            }
        });
    }

    /// The process behind the token has ended; the next one will have it, or there is none.
    pub(crate) fn process_ended(&self, detail: &str, awaited: bool) {
        self.sessions.store(0, Ordering::Relaxed);
        self.update(|status| {
            self.awaited.store(awaited, Ordering::Relaxed);
            status.state = if awaited {
                TokenState::Starting
            } else {
                TokenState::Failed
            };
            detail.clone_into(&mut status.detail);
            status.sessions = 0;
        });
    }

    /// Changes the status, and tells those who watch if that made a difference.
    pub(crate) fn update(&self, change: impl FnOnce(&mut TokenStatus)) {
        let mut status = lock(&self.status);
        let before = status.clone();
        change(&mut status);
        let state = status.state;
        if state != TokenState::Starting {
            self.awaited.store(false, Ordering::Relaxed);
        }
        let ready = state == TokenState::Ready || self.awaited.load(Ordering::Relaxed);
        self.ready.store(ready, Ordering::Release);
        if *status == before {
            return;
        }
        self.pad.store(status.protected_authentication_path, Ordering::Relaxed);
        if state != before.state {
            tracing::info!(token = self.name, ?state, detail = status.detail, "token state");
        }
        if let Some(audience) = &self.audience {
            let sessions = self.sessions.load(Ordering::Relaxed);
            // Under the lock, so that they are told in order.
            audience.status(&TokenStatus {
                sessions,
                ..status.clone()
            });
        }
        drop(status);
        self.announce();
    }

    pub(crate) fn set_catalogue(&self, catalogue: Catalogue) {
        let count = catalogue.keys.len();
        if let Some(audience) = &self.audience {
            audience.catalogue(&catalogue);
        }
        *lock(&self.catalogue) = Arc::new(catalogue);
        self.update(|status| status.key_count = count);
        self.announce();
    }

    pub(crate) fn note_error(&self, ckr: &'static str) {
        self.update(|status| status.last_error = Some(Cow::Borrowed(ckr)));
        // After the status: a success between the two leaves the error for the next one to clear.
        self.failing.store(true, Ordering::Relaxed);
    }

    /// The token did what it was asked: whatever it failed at before is past.
    pub(crate) fn note_success(&self) {
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            self.update(|status| status.last_error = None);
        }
    }

    /// Leaves certificates for the anchor, in place of any that it has not taken.
    pub(crate) fn leave_certificates(&self, certificates: Vec<Vec<u8>>) {
        *lock(&self.certificates) = Some(certificates);
    }

    /// What has been left since the last call.
    pub(crate) fn take_certificates(&self) -> Option<Vec<Vec<u8>>> {
        lock(&self.certificates).take()
    }

    /// The error for a request to a token that is not ready.
    pub(crate) fn unavailable(&self) -> TokenError {
        let token = self.name.clone();
        let status = lock(&self.status);
        match (status.state, status.pin) {
            (TokenState::Locked, PinStatus::Locked) => TokenError::PinLocked { token },
            (TokenState::Locked, PinStatus::FinalTry) => TokenError::PinFinalTry { token },
            (TokenState::Locked, _) => TokenError::Locked { token },
            (TokenState::Failed, _) => TokenError::Failed {
                token,
                detail: status.detail.clone(),
            },
            _ => TokenError::Absent { token },
        }
    }

    /// Why no job is taken now, if none is.
    pub(crate) fn refusal(&self) -> Option<TokenError> {
        if !self.is_ready() {
            return Some(self.unavailable());
        }
        let token = || self.name.clone();
        self.limit.is_spent().then(|| TokenError::Locked { token: token() })
    }

    /// Asks whoever started this process for another, if there is anybody.
    pub(crate) fn ask_for_another_process(&self, why: &str) {
        if let Some(audience) = &self.audience {
            audience.ask_for_another_process(why);
        }
    }

    /// The library is about to be initialised anew, or has been.
    pub(crate) fn initializing(&self, begun: bool) {
        if let Some(audience) = &self.audience {
            audience.initializing(begun);
        }
    }

    /// Whoever looks after the token is doing so.
    pub(crate) fn alive(&self) {
        if let Some(audience) = &self.audience {
            audience.alive(self.sessions.load(Ordering::Relaxed));
            if let Some(metrics) = self.tally.news() {
                audience.metrics(metrics);
            }
        }
    }

    /// Tells those who watch that something has changed.
    pub(crate) fn announce(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_token_outlasts_the_process_that_found_it_out() {
        let board = Board::new("card".to_owned(), "module".to_owned(), None);
        let found = TokenStatus {
            state: TokenState::Ready,
            label: "Card".to_owned(),
            serial: "17".to_owned(),
            generation: 3,
            key_count: 2,
            ..TokenStatus::default()
        };
        board.replace_status(found.clone(), 0);
        assert_eq!(board.status(), found);
        // The next process has not found it yet, and then has.
        board.replace_status(TokenStatus::default(), 3);
        let starting = TokenState::Starting;
        assert_eq!(
            board.status(),
            TokenStatus {
                state: starting,
                ..found.clone()
            }
        );
        let again = TokenStatus {
            generation: 1,
            ..found.clone()
        };
        board.replace_status(again, 3);
        assert_eq!(board.status(), TokenStatus { generation: 4, ..found });
    }
}
