//! How many jobs wait at all tokens together, and a short rest while they are many (ADR 8).
//!
//! A thread that hands jobs over and answers back does so one at a time if it is woken for each, and takes the processor from
//! whoever makes signatures each time. While the tokens have enough to do it may as well come back for several at once.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

/// From how many waiting jobs on there is time for a rest.
const MANY: usize = 16;

/// How many waiting jobs end every rest: workers must not run out of them meanwhile.
const FEW: usize = 8;

/// How long a rest takes at most: about two RSA-2048 signatures of a processor.
const REST: Duration = Duration::from_micros(500);

/// A count that all tokens and the threads that rest share.
#[derive(Debug, Clone)]
pub struct Backlog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    waiting: AtomicUsize,
    resting: Mutex<Vec<Thread>>,
    rest: Duration,
}

impl Default for Backlog {
    fn default() -> Self {
        Self::with_rest(REST)
    }
}

impl Backlog {
    fn with_rest(rest: Duration) -> Self {
        Self(Arc::new(Inner {
            waiting: AtomicUsize::new(0),
            resting: Mutex::default(),
            rest,
        }))
    }

    /// Lets the calling thread sleep for up to half a millisecond if many jobs wait, and until few do. Returns at once
    /// otherwise.
    pub fn rest(&self) {
        let Inner { waiting, resting, rest } = &*self.0;
        if waiting.load(Ordering::Relaxed) < MANY {
            return;
        }
        resting_threads(resting).push(thread::current());
        // Again, for those who counted down before they could see this thread.
        if waiting.load(Ordering::SeqCst) > FEW {
            thread::park_timeout(*rest);
        }
        let id = thread::current().id();
        resting_threads(resting).retain(|thread| thread.id() != id);
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::SeqCst)
    }

    pub(crate) fn add(&self) {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn remove(&self, jobs: usize) {
        let before = self.0.waiting.fetch_sub(jobs, Ordering::SeqCst);
        if before > FEW && before - jobs <= FEW {
            for thread in mem::take(&mut *resting_threads(&self.0.resting)) {
                thread.unpark();
            }
        }
    }
}

fn resting_threads(resting: &Mutex<Vec<Thread>>) -> std::sync::MutexGuard<'_, Vec<Thread>> {
    resting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(100_000);

    fn with_jobs(jobs: usize) -> Backlog {
        let backlog = Backlog::with_rest(FOR_EVER);
        (0..jobs).for_each(|_| backlog.add());
        backlog
    }

    fn are_resting(backlog: &Backlog) -> usize {
        resting_threads(&backlog.0.resting).len()
    }

    /// Starts two threads that rest, and returns once they do.
    fn two_rest(backlog: &Backlog) -> [thread::JoinHandle<()>; 2] {
        let threads = [(); 2].map(|()| {
            let backlog = backlog.clone();
            thread::spawn(move || backlog.rest())
        });
        while are_resting(backlog) < 2 {
            thread::yield_now();
        }
        threads
    }

    #[test]
    fn nobody_rests_while_there_are_not_many_jobs() {
        with_jobs(MANY - 1).rest();
    }

    #[test]
    fn whoever_rests_is_woken_as_soon_as_few_jobs_are_left() {
        let backlog = with_jobs(MANY);
        let threads = two_rest(&backlog);
        (FEW + 1..MANY).for_each(|_| backlog.remove(1));
        assert_eq!(are_resting(&backlog), 2);
        backlog.remove(1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(are_resting(&backlog), 0);
    }

    #[test]
    fn many_jobs_that_go_at_once_end_the_rest_as_well() {
        let backlog = with_jobs(MANY * 2);
        let threads = two_rest(&backlog);
        backlog.remove(MANY * 2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        backlog.rest();
    }

    #[test]
    fn a_rest_ends_by_itself() {
        let backlog = Backlog::with_rest(Duration::from_micros(1));
        (0..MANY).for_each(|_| backlog.add());
        backlog.rest();
        assert_eq!(are_resting(&backlog), 0);
    }
}
