//! What is counted about one token in all: in this process, in the one around its module, and in those that were there before.

use std::sync::{Arc, Mutex};

use super::{Metrics, MetricsSnapshot};

use crate::sync::lock;

#[derive(Default)]
pub(crate) struct Tally {
    /// What happens in this process is counted here.
    pub(crate) here: Arc<Metrics>,
    there: Mutex<There>,
    /// What the other process was told last.
    told: Mutex<MetricsSnapshot>,
}

#[derive(Default)]
struct There {
    now: MetricsSnapshot,
    /// Of processes that have ended.
    before: MetricsSnapshot,
}

impl Tally {
    /// Everything.
    pub(crate) fn snapshot(&self) -> MetricsSnapshot {
        let mut sum = self.here.snapshot();
        let there = lock(&self.there);
        sum.add(&there.before);
        sum.add(&there.now);
        sum
    }

    /// The process around the module has counted this since it began.
    pub(crate) fn hear(&self, counted: &MetricsSnapshot) {
        // Only what makes sense is kept, whatever it sends.
        let mut now = MetricsSnapshot::default();
        now.add(counted);
        lock(&self.there).now = now;
    }

    /// The process around the module has ended; the next one begins to count anew.
    pub(crate) fn process_ended(&self) {
        let mut there = lock(&self.there);
        let last = std::mem::take(&mut there.now);
        there.before.add(&last);
    }

    /// What this process has counted, if it is not what it was when last asked.
    pub(crate) fn news(&self) -> Option<MetricsSnapshot> {
        let now = self.here.snapshot();
        let mut told = lock(&self.told);
        if *told == now {
            return None;
        }
        told.clone_from(&now);
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::time::Duration;

    use super::*;
    use crate::metrics::{Login, Operation};

    #[test]
    fn counters_go_on_when_the_process_around_the_module_is_another() {
        let (parent, first, second) = (Tally::default(), Tally::default(), Tally::default());
        parent.here.restarted();
        first.here.executed(Operation::Sign, Duration::from_millis(1));
        first.here.logged_in(Login::Succeeded);
        parent.hear(&first.news().unwrap());
        // Told again, and not counted twice.
        first.here.executed(Operation::Sign, Duration::from_millis(1));
        parent.hear(&first.news().unwrap());
        assert_eq!(first.news(), None);
        parent.process_ended();
        second.here.logged_in(Login::Succeeded);
        parent.hear(&second.news().unwrap());
        let sum = parent.snapshot();
        assert_eq!((sum.restarts, sum.logins[0], sum.executed[0].count()), (1, 2, 2));
    }
}
