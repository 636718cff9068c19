//! How much is written down of each caller one by one; beyond that it is counted. Whoever asks for what he may not have as fast as
//! he can would otherwise fill a disk with the answers, and where it is the audit trail's nobody could use a key any more.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::caller::Caller;
use crate::share::Holder;
use crate::sync::lock;

/// One caller's: so many at once, and then one each [`OWN_PACE`].
const OWN: u32 = 30;
const OWN_PACE: Duration = Duration::from_secs(10);

/// All callers' together: a user may have many names, and a network many certificates.
const ALL: u32 = 300;
const ALL_PACE: Duration = Duration::from_secs(2);

/// What was left out is told after so long.
const INTERVAL: Duration = Duration::from_secs(60);

/// Callers that are kept apart; the others share what there is for all.
const CALLERS: usize = 1024;

/// Callers that are named when it is told what was left out.
const NAMED: usize = 32;

/// What may still be written down.
#[derive(Debug, Default)]
pub(crate) struct Ration {
    all: Bucket,
    callers: HashMap<Holder, Account>,
    /// Of those who are not kept apart.
    others: u64,
    /// When the first was left out of those that have not been told.
    since: Option<Instant>,
}

/// What was left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Whose, the most first, and how often.
    pub(crate) callers: Vec<(Holder, u64)>,
    /// Of everybody else.
    pub(crate) others: u64,
}

#[derive(Debug, Default)]
struct Account {
    bucket: Bucket,
    left_out: u64,
}

/// Leaks at a pace; full, nothing goes into it.
#[derive(Debug, Default, Clone, Copy)]
struct Bucket {
    /// When it will be empty; none if it never held anything.
    empty: Option<Instant>,
}

impl Ration {
    /// Whether one of this caller's, if it is known, is written down now; if not, it is counted.
    pub(crate) fn allows(&mut self, holder: Option<Holder>, now: Instant) -> bool {
        let all = self.all.with_one_more(now, ALL, ALL_PACE);
        let own = self.account(holder, now).map_or_else(Bucket::default, |own| own.bucket);
        let own = own.with_one_more(now, OWN, OWN_PACE);
        let (Some(all), Some(own)) = (all, own) else {
            self.count(holder, now);
            return false;
        };
        self.all = all;
        if let Some(account) = self.account(holder, now) {
            account.bucket = own;
        }
        true
    }

    /// Counts one that is not written down.
    pub(crate) fn count(&mut self, holder: Option<Holder>, now: Instant) {
        match self.account(holder, now) {
            Some(account) => account.left_out += 1,
            None => self.others += 1,
        }
        self.since.get_or_insert(now);
    }

    /// What was left out, once that is to be told: after a while, or `at_once`. It is forgotten here.
    pub(crate) fn take_left_out(&mut self, now: Instant, at_once: bool) -> Option<LeftOut> {
        let is_due = |since: &mut Instant| at_once || now.saturating_duration_since(*since) >= INTERVAL;
        self.since.take_if(is_due)?;
        let of_callers = self.callers.iter_mut().filter(|(_, account)| account.left_out > 0);
        let mut callers: Vec<_> = of_callers
            .map(|(holder, account)| (*holder, std::mem::take(&mut account.left_out)))
            .collect();
        callers.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(*count));
        let unnamed: u64 = callers.iter().skip(NAMED).map(|(_, count)| count).sum();
        callers.truncate(NAMED);
        Some(LeftOut {
            callers,
            others: std::mem::take(&mut self.others) + unnamed,
        })
    }

    /// It could not be told.
    pub(crate) fn put_back(&mut self, left_out: LeftOut, now: Instant) {
        for (holder, count) in left_out.callers {
            match self.account(Some(holder), now) {
                Some(account) => account.left_out += count,
                None => self.others += count,
            }
        }
        self.others += left_out.others;
        self.since.get_or_insert(now);
    }

    /// None if as many are kept apart as may be.
    fn account(&mut self, holder: Option<Holder>, now: Instant) -> Option<&mut Account> {
        let holder = holder?;
        if self.callers.len() >= CALLERS && !self.callers.contains_key(&holder) {
            self.callers
                .retain(|_, account| account.left_out > 0 || account.bucket.empty.is_some_and(|empty| empty > now));
            if self.callers.len() >= CALLERS {
                return None;
            }
        }
        Some(self.callers.entry(holder).or_default())
    }
}

impl LeftOut {
    /// How often in all.
    pub(crate) fn count(&self) -> u64 {
        self.callers.iter().map(|(_, count)| count).sum::<u64>() + self.others
    }
}

impl Bucket {
    /// As it is then, if one more goes in.
    fn with_one_more(self, now: Instant, size: u32, pace: Duration) -> Option<Self> {
        let empty = self.empty.map_or(now, |empty| empty.max(now)) + pace;
        (empty.saturating_duration_since(now) <= pace * size).then_some(Self { empty: Some(empty) })
    }
}

/// What the log says of callers. What was left out is told before the next that is not.
#[derive(Debug, Default)]
pub(crate) struct LogRation(Mutex<Ration>);

impl LogRation {
    /// Whether `what` is said of the caller, if it is known, now.
    pub(crate) fn allows(&self, caller: Option<&Caller>, what: &str) -> bool {
        let now = Instant::now();
        let mut ration = lock(&self.0);
        let left_out = ration.take_left_out(now, false);
        let allows = ration.allows(caller.map(Holder::of), now);
        drop(ration);
        if let Some(left_out) = left_out {
            tracing::warn!(
                what,
                times = left_out.count(),
                "this happened more often than the log says"
            );
        }
        allows
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    const ALICE: Holder = Holder::User(1);
    const BOB: Holder = Holder::User(2);

    /// How many of so many are written down.
    fn written(ration: &mut Ration, holder: Holder, many: usize, now: Instant) -> usize {
        (0..many).filter(|_| ration.allows(Some(holder), now)).count()
    }

    #[test]
    fn of_each_caller_some_are_written_down_at_once_and_then_few_in_a_minute() {
        let (mut ration, begun) = (Ration::default(), Instant::now());
        assert_eq!(written(&mut ration, ALICE, 1000, begun), 30);
        assert_eq!(written(&mut ration, BOB, 10, begun), 10, "another is not concerned");
        let minute = begun + Duration::from_secs(60);
        assert_eq!(written(&mut ration, ALICE, 1000, minute), 6);
        let hour = begun + Duration::from_secs(3600);
        assert_eq!(written(&mut ration, ALICE, 1000, hour), 30);
    }

    #[test]
    fn of_many_callers_together_no_more_than_so_many_are_written_down() {
        let (mut ration, begun) = (Ration::default(), Instant::now());
        let all: usize = (0..100_000)
            .map(|uid| written(&mut ration, Holder::User(uid), 1, begun))
            .sum();
        assert_eq!(all, 300);
        assert!(ration.callers.len() <= CALLERS);
        let left_out = ration.take_left_out(begun, true).unwrap();
        assert_eq!(left_out.count(), 99_700);
        assert_eq!(left_out.callers.len(), NAMED);
        let minute = begun + Duration::from_secs(60);
        assert_eq!(written(&mut ration, ALICE, 1000, minute), 30);
    }

    #[test]
    fn what_was_left_out_is_told_a_while_later_by_caller_and_then_forgotten() {
        let (mut ration, begun) = (Ration::default(), Instant::now());
        assert_eq!(ration.take_left_out(begun, true), None);
        written(&mut ration, ALICE, 32, begun);
        written(&mut ration, BOB, 35, begun);
        let soon = begun + Duration::from_secs(59);
        assert_eq!(ration.take_left_out(soon, false), None);
        let left_out = ration.take_left_out(begun + INTERVAL, false).unwrap();
        assert_eq!(
            (left_out.callers.as_slice(), left_out.others),
            (&[(BOB, 5), (ALICE, 2)][..], 0)
        );
        assert_eq!(ration.take_left_out(begun + INTERVAL * 2, true), None);
    }

    #[test]
    fn what_could_not_be_told_is_told_later() {
        let (mut ration, begun) = (Ration::default(), Instant::now());
        written(&mut ration, ALICE, 32, begun);
        let left_out = ration.take_left_out(begun, true).unwrap();
        ration.put_back(left_out, begun);
        ration.count(Some(ALICE), begun);
        ration.count(Some(BOB), begun);
        assert_eq!(ration.take_left_out(begun, true).unwrap().count(), 4);
    }

    #[test]
    fn callers_that_are_idle_make_room_for_others() {
        let (mut ration, begun) = (Ration::default(), Instant::now());
        let many = u32::try_from(CALLERS).unwrap();
        for uid in 0..many {
            ration.count(Some(Holder::User(uid)), begun);
        }
        ration.count(Some(Holder::User(many)), begun);
        assert_eq!(ration.others, 1);
        ration.take_left_out(begun, true).unwrap();
        ration.count(Some(Holder::User(many)), begun);
        assert_eq!((ration.others, ration.callers.len()), (0, 1));
    }
}
