//! Which of several tokens with the same key is asked first: one that serves, that has not failed of late, and that has the
//! least to do. Pure, but for the memory of who has failed; who is asked after a failure is decided in `replicas`.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chancery_token::{Standing, TokenState};

/// For so long a token that has failed is asked after the others.
const AVOIDED: Duration = Duration::from_secs(5);

/// Which tokens have failed of late, by their number in the directory.
#[derive(Debug)]
pub(in crate::ops) struct Troubles {
    begun: Instant,
    /// Until when each is avoided, in milliseconds since then.
    until: Vec<AtomicU64>,
    turn: AtomicUsize,
}

impl Troubles {
    /// None yet, of so many tokens.
    pub(in crate::ops) fn new(tokens: usize) -> Self {
        Self {
            begun: Instant::now(),
            until: (0..tokens).map(|_| AtomicU64::new(0)).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// The token was asked and failed.
    pub(super) fn note(&self, token: usize) {
        if let Some(until) = self.until.get(token) {
            until.store(self.millis(Instant::now() + AVOIDED), Ordering::Relaxed);
        }
    }

    /// Whether it has failed of late.
    pub(super) fn has_failed(&self, token: usize) -> bool {
        let until = self.until.get(token).map(|until| until.load(Ordering::Relaxed));
        until.is_some_and(|until| until > self.millis(Instant::now()))
    }

    /// Another number each time.
    pub(super) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }
}

/// A token's place in the order: the lowest is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    is_only_expected: bool,
    has_failed: bool,
    load: usize,
}

/// The place of a token that stands so; none if it is not to be asked now.
pub(super) fn rank(standing: &Standing, has_failed: bool) -> Option<Rank> {
    if standing.drain.is_some() {
        return None;
    }
    let is_ready = standing.state == TokenState::Ready;
    // With one more request, so that of two that have nothing to do the one with more sessions comes first.
    let load = (standing.jobs + 1).saturating_mul(1 << 16) / standing.sessions.max(1);
    (is_ready || standing.takes_work).then_some(Rank {
        is_only_expected: !is_ready,
        has_failed,
        load,
    })
}

/// The place of the lowest rank; several that are equal have their turns.
pub(super) fn lowest(ranks: &[Option<Rank>], turn: usize) -> Option<usize> {
    let best = ranks.iter().flatten().min()?;
    let places = ranks.iter().enumerate().filter(|(_, rank)| rank.as_ref() == Some(best));
    let turn = turn.checked_rem(places.clone().count())?;
    places.map(|(place, _)| place).nth(turn)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use chancery_token::Drain;

    use super::*;

    const IDLE: Standing = Standing {
        state: TokenState::Ready,
        takes_work: true,
        drain: None,
        jobs: 0,
        sessions: 4,
        generation: 1,
    };

    /// Which of these are chosen in four turns.
    fn chosen(standings: &[(Standing, bool)]) -> Vec<Option<usize>> {
        let ranks = standings.iter().map(|(standing, failed)| rank(standing, *failed));
        let ranks: Vec<_> = ranks.collect();
        (0..4).map(|turn| lowest(&ranks, turn)).collect()
    }

    #[test]
    fn the_one_with_the_least_to_do_for_each_of_its_sessions_is_asked_first() {
        let busy = Standing { jobs: 5, ..IDLE };
        assert_eq!(chosen(&[(busy, false), (IDLE, false)]), [Some(1); 4]);
        let wide = Standing { sessions: 64, ..busy };
        assert_eq!(chosen(&[(IDLE, false), (wide, false)]), [Some(1); 4]);
    }

    #[test]
    fn those_that_are_equal_have_their_turns() {
        assert_eq!(
            chosen(&[(IDLE, false), (IDLE, false)]),
            [Some(0), Some(1), Some(0), Some(1)]
        );
    }

    #[test]
    fn one_that_is_ready_goes_before_one_that_is_expected_back_however_busy_it_is() {
        let busy = Standing { jobs: 900, ..IDLE };
        let restarting = Standing {
            state: TokenState::Starting,
            ..IDLE
        };
        assert_eq!(chosen(&[(restarting, false), (busy, true)]), [Some(1); 4]);
        assert_eq!(chosen(&[(restarting, false)]), [Some(0); 4]);
    }

    #[test]
    fn one_that_has_failed_goes_after_the_others_and_before_none() {
        let busy = Standing { jobs: 900, ..IDLE };
        assert_eq!(chosen(&[(IDLE, true), (busy, false)]), [Some(1); 4]);
        assert_eq!(chosen(&[(IDLE, true)]), [Some(0); 4]);
    }

    #[test]
    fn one_that_is_drained_absent_locked_or_failed_is_not_asked() {
        let drained = |cause| Standing {
            drain: Some(cause),
            ..IDLE
        };
        let without = |state| Standing {
            state,
            takes_work: false,
            ..IDLE
        };
        for standing in [
            drained(Drain::ByHand),
            drained(Drain::Maintenance),
            without(TokenState::Absent),
            without(TokenState::Locked),
            without(TokenState::Failed),
            without(TokenState::Starting),
        ] {
            assert_eq!(chosen(&[(standing, false)]), [None; 4], "{standing:?}");
        }
    }

    #[test]
    fn a_failure_is_remembered_for_its_token_alone() {
        let troubles = Troubles::new(2);
        troubles.note(1);
        troubles.note(7);
        assert_eq!([0, 1, 7].map(|token| troubles.has_failed(token)), [false, true, false]);
    }
}
