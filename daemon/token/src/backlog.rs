//! For how long the tokens have enough to do, and a short rest in the meantime (ADR 8).
//!
//! A thread that hands jobs over and answers back does so one at a time if it is woken for each, and takes the processor from
//! whoever makes signatures each time. While work lies ready at every token it may as well come back for several at once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{duration::nanoseconds, sync::lock};

/// How long a rest takes at most.
const LONGEST: Duration = Duration::from_millis(2);

/// And at least. A token that is through with its work sooner answers so often that several answers are there by themselves.
const SHORTEST: Duration = Duration::from_micros(500);

/// One part in so many of the time that the work lasts is rested. In the rest of it the next work has to come.
const PART: u64 = 4;

/// Until when each token has something to do. All tokens and the threads that rest share it.
#[derive(Debug, Clone)]
pub struct Backlog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Times are nanoseconds since then.
    origin: Instant,
    tokens: Mutex<Vec<Arc<AtomicU64>>>,
}

/// One token's part.
#[derive(Debug)]
pub(crate) struct Share {
    origin: Instant,
    until: Arc<AtomicU64>,
}

impl Default for Backlog {
    fn default() -> Self {
        Self(Arc::new(Inner {
            origin: Instant::now(),
            tokens: Mutex::default(),
        }))
    }
}

impl Backlog {
    /// Lets the calling thread sleep for a quarter of the time for which every busy token has work lying ready, two
    /// milliseconds at most. Returns at once if that is less than half a millisecond.
    pub fn rest(&self) {
        if let Some(rest) = self.rest_at(self.0.origin.elapsed()) {
            thread::park_timeout(rest);
        }
    }

    /// A place for one more token.
    pub(crate) fn share(&self) -> Share {
        let until = Arc::new(AtomicU64::new(0));
        lock(&self.0.tokens).push(Arc::clone(&until));
        Share {
            origin: self.0.origin,
            until,
        }
    }

    fn rest_at(&self, now: Duration) -> Option<Duration> {
        let now = nanoseconds(now);
        let tokens = lock(&self.0.tokens);
        let busy = tokens.iter().map(|until| until.load(Ordering::Relaxed));
        let first = busy.filter(|until| *until > now).min()?;
        let rest = Duration::from_nanos((first - now) / PART).min(LONGEST);
        (rest >= SHORTEST).then_some(rest)
    }
}

impl Share {
    /// The token has so much to do from now on.
    pub(crate) fn lasts(&self, time: Duration) {
        let until = nanoseconds(self.origin.elapsed().saturating_add(time));
        self.until.store(until, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens with so many milliseconds' work each, half a millisecond after they said so.
    fn rest_with(milliseconds: &[u64]) -> Option<Duration> {
        let backlog = Backlog::default();
        for each in milliseconds {
            let share = backlog.share();
            share.until.store(each * 1_000_000, Ordering::Relaxed);
        }
        backlog.rest_at(Duration::from_micros(500))
    }

    #[test]
    fn nobody_rests_while_no_token_has_anything_to_do() {
        assert_eq!(rest_with(&[]), None);
        assert_eq!(rest_with(&[0, 0]), None);
    }

    #[test]
    fn a_rest_takes_a_quarter_of_the_time_that_the_token_with_the_least_work_has_left() {
        assert_eq!(rest_with(&[9, 5, 0]), Some(Duration::from_micros(1125)));
    }

    #[test]
    fn a_rest_ends_however_much_there_is_to_do() {
        assert_eq!(rest_with(&[1000]), Some(LONGEST));
    }

    #[test]
    fn nobody_rests_while_a_token_is_soon_through_with_its_work() {
        assert_eq!(rest_with(&[9, 2]), None);
    }

    #[test]
    fn what_a_token_has_to_do_counts_from_when_it_says_so() {
        let backlog = Backlog::default();
        let share = backlog.share();
        share.lasts(Duration::from_secs(100_000));
        assert_eq!(backlog.rest_at(backlog.0.origin.elapsed()), Some(LONGEST));
        share.lasts(Duration::ZERO);
        assert_eq!(backlog.rest_at(backlog.0.origin.elapsed()), None);
    }
}
