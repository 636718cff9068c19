//! The ladder: what is done anew when a token that is there goes on failing, and how far that has gone.
//!
//! ```text
//!   one failure ──► a new session, by the worker itself
//!   3 in a row  ──► Login      every session closed, and a login on a new one
//!   3 more      ──► Library    C_Finalize and C_Initialize, unless another token of the module is in use
//!   3 more      ──► Process    another process, unless another token of the module is in use and well
//! ```
//!
//! In a row means that nothing worked in between: whatever works leads back to the ground. Attempts to get hold of the token
//! count like operations. Where there is no rung left to climb, the token rests before it is tried again, longer each time,
//! and what is asked of it meanwhile is refused at once (ADR 13). No rung tries a PIN more often than the guard allows.

use std::time::{Duration, Instant};

use super::{Anchor, MAX_PAUSE};
use crate::{ckr::Failure, status::TokenState};

/// Failures in a row that lead to the next rung.
pub(super) const ENOUGH: u32 = 3;

/// How long a token is left alone the first time.
const FIRST_REST: Duration = Duration::from_secs(1);

/// What is done anew, from what costs least to what costs most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rung {
    Login,
    Library,
    Process,
}

/// Where a token stands.
#[derive(Debug, Default)]
pub(super) struct Ladder {
    /// `None` on the ground.
    rung: Option<Rung>,
    failures: u32,
    /// The last time that it was left alone for.
    rest: Duration,
}

impl Ladder {
    /// Something failed that this token should be able to do. What to do about it, if it is time; at the top, the same again.
    fn failed(&mut self) -> Option<Rung> {
        self.failures += 1;
        if self.failures < ENOUGH {
            return None;
        }
        self.failures = 0;
        self.rung = Some(match self.rung {
            None => Rung::Login,
            Some(Rung::Login) => Rung::Library,
            Some(Rung::Library | Rung::Process) => Rung::Process,
        });
        self.rung
    }

    /// How long it is left alone this time.
    fn rest(&mut self) -> Duration {
        self.rest = (2 * self.rest).clamp(FIRST_REST, MAX_PAUSE);
        self.rest
    }
}

impl Anchor {
    /// Something has worked: back to the ground.
    pub(super) fn note_success(&mut self) {
        self.ladder = Ladder::default();
        if let Some(module) = &self.module {
            module.is_well(&self.shared.name);
        }
    }

    /// Something failed, and the token is there. Climbs if it is time.
    pub(super) fn note_failure(&mut self, failure: Failure) {
        if !failure.climbs() {
            return;
        }
        let Some(rung) = self.ladder.failed() else { return };
        let Some(module) = self.module.clone() else { return };
        let (token, function, ckr) = (self.shared.name.clone(), failure.function, failure.ckr.name());
        tracing::warn!(
            token,
            function,
            ckr,
            ?rung,
            "it goes on failing: the next rung is climbed"
        );
        module.is_ailing(&token);
        self.detach();
        let (done, allowed) = match rung {
            Rung::Login => (true, true),
            Rung::Library => {
                // It may take its time, for which nobody is to wait who can be told.
                let detail = format!("{function} answered {ckr} again and again: its library is started anew");
                self.set_state(TokenState::Failed, detail);
                match self.start_library_anew(&module) {
                    Ok(done) => (done, done),
                    // The next attempt finds out, and says so.
                    Err(_) => (true, true),
                }
            }
            Rung::Process => {
                let allowed = module.others_are_ailing(&token);
                if allowed {
                    let why = format!("{function} went on answering {ckr} after a new login and a new C_Initialize");
                    self.shared.board.ask_for_another_process(&why);
                }
                // Whether there will be one is not decided here, nor at once.
                (false, allowed)
            }
        };
        if done {
            self.next_attempt = Instant::now();
            return;
        }
        let rest = self.ladder.rest();
        self.next_attempt = Instant::now() + rest;
        let others = match allowed {
            true => "",
            false => "; its module is not started anew, since other tokens are in use through it",
        };
        let seconds = rest.as_secs();
        self.set_state(
            TokenState::Failed,
            format!("{function} goes on answering {ckr}: it is tried again in {seconds} s{others}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_lead_to_each_rung_and_at_the_top_to_the_same_again() {
        let mut ladder = Ladder::default();
        let climbed: Vec<_> = (0..12).map(|_| ladder.failed()).collect();
        for (index, rung) in [Rung::Login, Rung::Library, Rung::Process, Rung::Process]
            .into_iter()
            .enumerate()
        {
            let from = 3 * index;
            assert_eq!(climbed.get(from..from + 3), Some([None, None, Some(rung)].as_slice()));
        }
    }

    #[test]
    fn a_token_at_the_top_rests_longer_each_time_and_not_for_ever() {
        let mut ladder = Ladder::default();
        let rests: Vec<_> = (0..7).map(|_| ladder.rest().as_secs()).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 30, 30]);
    }
}
