//! How much may be done with a token's keys before somebody unlocks it again: so many operations, or for so long. A use is
//! taken when a job goes to the token, and given back if the key was surely not used for it; where nobody knows it is spent.
//! What follows from the end of it, and whether the token is logged in at all, is decided elsewhere.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::Notify;

use crate::sync::lock;

/// So much may be done with a token's keys.
#[derive(Debug)]
pub struct Allowance {
    until: Option<Instant>,
    uses_left: Option<AtomicU64>,
    /// Uses that have been taken and are not done.
    running: AtomicUsize,
    used_up: Notify,
}

/// One operation with one of the keys. Dropped, it is done.
#[derive(Debug)]
pub(crate) struct Use(Arc<Allowance>);

/// Nothing more may be done with the keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spent;

/// What is allowed of a token now: everything, if there is no allowance here.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    /// Whether there is one: without, nothing is locked on the way to a key.
    any: AtomicBool,
    allowance: Mutex<Option<Arc<Allowance>>>,
}

impl Allowance {
    /// Until a time, for so many uses, or both.
    #[must_use]
    pub fn new(until: Option<Instant>, uses: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            until,
            uses_left: uses.map(AtomicU64::new),
            running: AtomicUsize::new(0),
            used_up: Notify::new(),
        })
    }

    /// How many uses are left, if they are counted.
    #[must_use]
    pub fn uses_left(&self) -> Option<u64> {
        self.uses_left.as_ref().map(|left| left.load(Ordering::Acquire))
    }

    /// Returns when the last use is done; for one caller.
    pub async fn used_up(&self) {
        self.used_up.notified().await;
    }

    fn is_spent(&self) -> bool {
        self.uses_left() == Some(0) || self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn take(self: Arc<Self>) -> Result<Use, Spent> {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Err(Spent);
        }
        // Counted first, so that the last one to be done finds nobody who is about to begin.
        self.running.fetch_add(1, Ordering::AcqRel);
        let taken = Use(Arc::clone(&self));
        let one_less = |left: u64| left.checked_sub(1);
        let has_one = self
            .uses_left
            .as_ref()
            .is_none_or(|left| left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_ok());
        if has_one { Ok(taken) } else { Err(Spent) }
    }
}

impl Use {
    /// The key was not used after all.
    pub(crate) fn give_back(self) {
        if let Some(left) = &self.0.uses_left {
            // Before this is done: whoever finds that nobody is at work must find the use.
            left.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 && self.0.uses_left() == Some(0) {
            self.0.used_up.notify_one();
        }
    }
}

impl Limit {
    pub(crate) fn set(&self, allowance: Option<Arc<Allowance>>) {
        let mut place = lock(&self.allowance);
        self.any.store(allowance.is_some(), Ordering::Release);
        *place = allowance;
    }

    /// A use, to be kept until it is done; nothing to keep where everything is allowed.
    pub(crate) fn take(&self) -> Result<Option<Use>, Spent> {
        self.allowance().map(Allowance::take).transpose()
    }

    /// Whether there is nothing left, but for what may be given back.
    pub(crate) fn is_spent(&self) -> bool {
        self.allowance().is_some_and(|allowance| allowance.is_spent())
    }

    fn allowance(&self) -> Option<Arc<Allowance>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.allowance).clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{pin::pin, thread, time::Duration};

    use super::*;

    fn of(uses: u64) -> Arc<Allowance> {
        Allowance::new(None, Some(uses))
    }

    fn take(allowance: &Arc<Allowance>) -> Result<Use, Spent> {
        Arc::clone(allowance).take()
    }

    fn is_told(allowance: &Allowance) -> bool {
        pin!(allowance.used_up.notified()).enable()
    }

    #[test]
    fn there_are_as_many_uses_as_were_given_and_the_last_to_be_done_tells() {
        let allowance = of(2);
        let (first, second) = (take(&allowance).unwrap(), take(&allowance).unwrap());
        assert_eq!(take(&allowance).unwrap_err(), Spent);
        drop(second);
        assert!(!is_told(&allowance));
        drop(first);
        assert!(is_told(&allowance));
    }

    #[test]
    fn a_use_that_is_given_back_can_be_taken_again_and_ends_nothing() {
        let allowance = of(1);
        take(&allowance).unwrap().give_back();
        assert!(!is_told(&allowance));
        assert_eq!(allowance.uses_left(), Some(1));
        drop(take(&allowance).unwrap());
        assert!(is_told(&allowance));
        assert_eq!(take(&allowance).unwrap_err(), Spent);
    }

    #[test]
    fn of_many_that_take_and_give_back_at_once_no_more_are_done_than_were_given() {
        let allowance = of(1000);
        let done = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut turn = 0_u32;
                    while let Ok(taken) = take(&allowance) {
                        turn += 1;
                        if turn.is_multiple_of(3) {
                            done.fetch_add(1, Ordering::Relaxed);
                        } else {
                            taken.give_back();
                        }
                    }
                });
            }
        });
        // One that found nothing left may have stopped as another was about to give back.
        assert!(done.into_inner() <= 1000);
        assert_eq!(allowance.running.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn when_the_time_is_up_there_are_no_uses_left() {
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(Allowance::new(Some(later), None).take().is_ok());
        assert_eq!(Allowance::new(Some(Instant::now()), Some(1)).take().unwrap_err(), Spent);
    }

    #[test]
    fn without_an_allowance_everything_is_allowed() {
        let limit = Limit::default();
        assert!(limit.take().unwrap().is_none());
        limit.set(Some(of(0)));
        assert!(limit.is_spent());
        assert_eq!(limit.take().unwrap_err(), Spent);
        limit.set(None);
        assert!(!limit.is_spent());
        assert!(limit.take().unwrap().is_none());
    }
}
