//! Looking at the token: whether it is still there, the same, and logged in.

use std::{sync::PoisonError, time::Instant};

use super::{Anchor, LOOK_UP_PAUSE, PROBE, TICK, attach};
use crate::{ckr::Failure, status::TokenState};

impl Anchor {
    /// Whether a token came or went, as far as the module says so by itself. A no means nothing (ADR 13).
    pub(super) fn has_moved(&mut self, now: Instant) -> bool {
        let Some(module) = self.module.as_ref().filter(|module| module.has_events()) else {
            return false;
        };
        if now < self.next_events {
            return false;
        }
        self.next_events = now + TICK;
        let events = {
            // Not between a login for one operation and the operation.
            let _calls = self.shared.calls.read().unwrap_or_else(PoisonError::into_inner);
            module.events()
        };
        std::mem::replace(&mut self.events, events) != events
    }

    /// Looks at the token after an error or because it is time, and puts right what can be put right.
    pub(super) fn examine(&mut self, look_up: bool) {
        self.next_probe = Instant::now() + PROBE;
        let Some(attached) = &self.attached else {
            if Instant::now() >= self.next_attempt {
                self.attach();
            }
            return;
        };
        let login_required = attached.login_required;
        let (info, session) = {
            let _calls = self.shared.calls.read().unwrap_or_else(PoisonError::into_inner);
            (
                attached.token_info(),
                attached.session.get_session_info().map_err(Failure::from),
            )
        };
        match info {
            Ok(Some(info)) => self.note_token_info(&info),
            Ok(None) => return self.lose("another token is in its slot", None),
            Err(failure) => return self.lose("the token does not answer", Some(failure)),
        }
        match session {
            Ok(info)
                if login_required && !attach::is_logged_in(info.session_state()) && self.shared.live().is_some() =>
            {
                self.shared.clear_live();
                self.log_in_automatically();
            }
            Ok(_) if look_up => {
                let recently = self.last_look_up.is_some_and(|last| last.elapsed() < LOOK_UP_PAUSE);
                if !recently {
                    self.last_look_up = Some(Instant::now());
                    self.list_keys();
                }
            }
            Ok(_) => {}
            Err(failure) => self.lose("its sessions are gone", Some(failure)),
        }
    }

    /// The attachment is of no use any more: the token is absent until it is found again, which may be now.
    pub(super) fn lose(&mut self, why: &str, failure: Option<Failure>) {
        tracing::warn!(
            token = self.shared.name,
            why,
            ckr = failure.map(|failure| failure.ckr.name()),
            "token lost"
        );
        self.detach();
        self.shared.board.update(|status| {
            status.state = TokenState::Absent;
            why.clone_into(&mut status.detail);
        });
        if let Some(failure) = failure {
            self.shared.board.note_error(failure.ckr.name());
        }
        self.attach();
    }
}
