//! Looking at the token: whether it is still there, the same, and logged in.

use std::time::{Duration, Instant};

use super::{Anchor, LOOK_UP_PAUSE, MAX_PAUSE, PROBE, TICK, attach, ladder::ENOUGH};
use crate::sync;
use crate::{ckr::Failure, status::TokenState};

/// Losses in a row by which the highest rung has been climbed, the first of which is not counted.
const TOP: u32 = 1 + 3 * ENOUGH;

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
            let _calls = sync::read(&self.shared.calls);
            module.events()
        };
        std::mem::replace(&mut self.events, events) != events
    }

    /// Looks at the token after an error or because it is time, and puts right what can be put right.
    pub(super) fn examine(&mut self, look_up: bool) {
        self.next_probe = Instant::now() + probe_after(self.losses);
        let Some(attached) = &self.attached else {
            if Instant::now() >= self.next_attempt {
                self.attach();
            }
            return;
        };
        let login_required = attached.login_required;
        let (info, session) = {
            let _calls = sync::read(&self.shared.calls);
            let info = attached.token_info();
            self.shared.board.alive();
            (info, attached.session.get_session_info().map_err(Failure::from))
        };
        match info {
            Ok(Some(info)) => self.note_token_info(&info),
            Ok(None) => return self.lose("another token is in its slot", None),
            Err(failure) => return self.lose("the token does not answer", Some(failure)),
        }
        // What went on failing works again.
        if session.is_ok() && std::mem::take(&mut self.losses) > 1 {
            self.note_success();
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

    /// The attachment is of no use any more: the token is absent until it is found again, which may be now. One that is found at
    /// once has not gone: if it fails the next look at it as well, it goes on failing, and is looked at less often.
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
        let Some(failure) = failure.filter(|_| self.attached.is_some()) else {
            return;
        };
        self.losses = self.losses.saturating_add(1);
        self.next_probe = Instant::now() + probe_after(self.losses);
        if self.losses > 1 {
            self.note_failure(failure);
        }
    }
}

/// How long to leave a token alone that has been lost so often in a row and found at once.
pub(super) fn probe_after(losses: u32) -> Duration {
    let doublings = losses.saturating_sub(TOP).div_ceil(ENOUGH);
    PROBE.saturating_mul(2_u32.saturating_pow(doublings)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_fails_only_when_it_is_looked_at_is_looked_at_less_and_less() {
        let millis = |losses| probe_after(losses).as_millis();
        assert_eq!([0, 1, 10, 11, 13, 14].map(millis), [1100, 1100, 1100, 2200, 2200, 4400]);
        assert_eq!([50, u32::MAX].map(probe_after), [MAX_PAUSE; 2]);
    }
}
