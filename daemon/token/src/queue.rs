//! A bounded queue with two priorities between async callers and the workers, which block on it.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// Which jobs go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// Somebody is waiting: before every bulk job.
    #[default]
    Interactive,
    /// A gateway's or an archive's work.
    Bulk,
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    interactive: VecDeque<T>,
    bulk: VecDeque<T>,
    /// Workers that wait: nobody is woken, which costs a system call, when nobody does.
    idle: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State {
            interactive: VecDeque::new(),
            bulk: VecDeque::new(),
            idle: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            ready: Condvar::new(),
            capacity,
        }
    }

    pub(crate) fn push(&self, job: T, priority: Priority) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refusal::Closed);
        }
        if state.interactive.len() + state.bulk.len() >= self.capacity {
            return Err(Refusal::Full);
        }
        match priority {
            Priority::Interactive => state.interactive.push_back(job),
            Priority::Bulk => state.bulk.push_back(job),
        }
        self.wake(state);
        Ok(())
    }

    /// Gives a job back that was taken and not started, before all others; beyond the capacity if it must be.
    pub(crate) fn put_back(&self, job: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Err(job);
        }
        state.interactive.push_front(job);
        self.wake(state);
        Ok(())
    }

    /// Waits for the next job; `None` once the queue is closed.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.interactive.pop_front() {
                return Some(job);
            }
            if let Some(job) = state.bulk.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Takes out the jobs that nobody should start any more.
    pub(crate) fn remove_if(&self, condition: impl Fn(&T) -> bool) -> Vec<T> {
        let mut state = self.lock();
        let mut removed = Vec::new();
        let State { interactive, bulk, .. } = &mut *state;
        for jobs in [interactive, bulk] {
            if jobs.iter().any(&condition) {
                for job in std::mem::take(jobs) {
                    if condition(&job) {
                        removed.push(job)
                    } else {
                        jobs.push_back(job)
                    }
                }
            }
        }
        removed
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Lets every worker go and returns the jobs that were waiting.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.lock();
        state.closed = true;
        self.ready.notify_all();
        let State { interactive, bulk, .. } = &mut *state;
        interactive.drain(..).chain(bulk.drain(..)).collect()
    }

    fn wake(&self, state: MutexGuard<'_, State<T>>) {
        let somebody_waits = state.idle > 0;
        drop(state);
        if somebody_waits {
            self.ready.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{sync::Arc, thread};

    use super::*;

    #[test]
    fn interactive_jobs_go_first_and_each_kind_in_order() {
        let queue = Queue::new(8);
        for (job, priority) in [
            (1, Priority::Bulk),
            (2, Priority::Interactive),
            (3, Priority::Bulk),
            (4, Priority::Interactive),
        ] {
            queue.push(job, priority).unwrap();
        }
        queue.put_back(0).unwrap();
        assert_eq!([(); 5].map(|()| queue.take().unwrap()), [0, 2, 4, 1, 3]);
    }

    #[test]
    fn a_full_queue_refuses_both_kinds() {
        let queue = Queue::new(2);
        queue.push(1, Priority::Bulk).unwrap();
        queue.push(2, Priority::Interactive).unwrap();
        assert_eq!(queue.push(3, Priority::Interactive), Err(Refusal::Full));
        assert_eq!(queue.push(3, Priority::Bulk), Err(Refusal::Full));
        queue.take();
        assert_eq!(queue.push(3, Priority::Bulk), Ok(()));
    }

    #[test]
    fn closing_returns_what_waited_and_lets_workers_go() {
        let queue = Arc::new(Queue::<u8>::new(2));
        let waiting = Arc::clone(&queue);
        let worker = thread::spawn(move || waiting.take());
        while queue.lock().idle == 0 {
            thread::yield_now();
        }
        assert_eq!(queue.close(), []);
        assert_eq!(worker.join().unwrap(), None);

        let queue = Queue::new(2);
        queue.push(1, Priority::Bulk).unwrap();
        queue.push(2, Priority::Interactive).unwrap();
        assert_eq!(queue.close(), [2, 1]);
        assert_eq!(queue.take(), None);
        assert_eq!(queue.push(3, Priority::Bulk), Err(Refusal::Closed));
        assert_eq!(queue.put_back(3), Err(3));
    }

    #[test]
    fn jobs_that_are_too_old_are_taken_out_of_the_middle() {
        let queue = Queue::new(8);
        for job in 1..=4 {
            queue.push(job, Priority::Bulk).unwrap();
        }
        assert_eq!(queue.remove_if(|job| job % 2 == 0), [2, 4]);
        assert_eq!([queue.take(), queue.take()], [Some(1), Some(3)]);
    }
}
