//! A bounded queue with two priorities between async callers and the workers, which look for the next job for a while and
//! then sleep (ADR 7).

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use crate::{
    sync::lock,
    wait::{look_for, several_processors},
};

/// How long a worker that has run out of jobs looks for the next one before it sleeps. A caller with one request in flight
/// sends the next one within this time, and waking a sleeper on another processor takes longer than many a signature. One
/// worker looks at a time, and it yields the processor to whoever wants it.
const LOOK: Duration = Duration::from_micros(200);

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

/// What waiting for a job came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    Job(T),
    /// None has come within the time that was to be waited.
    Nothing,
    /// There will be no more.
    Over,
}

#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Whether the worker that looks has something to look at.
    news: AtomicBool,
    look: Duration,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    interactive: VecDeque<T>,
    bulk: VecDeque<T>,
    /// Workers that sleep. The last to fall asleep is woken first: its stack and its part of the heap are still in a cache.
    asleep: Vec<Thread>,
    /// A worker looks for the next job without sleeping: for that one nobody need be woken.
    looking: bool,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State {
            interactive: VecDeque::new(),
            bulk: VecDeque::new(),
            asleep: Vec::new(),
            looking: false,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            news: AtomicBool::new(false),
            look: if several_processors() { LOOK } else { Duration::ZERO },
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

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        let state = self.lock();
        state.interactive.len() + state.bulk.len()
    }

    /// Gives a job back that was taken and not started, before all others; beyond the capacity if it must be. A closed queue
    /// returns it.
    pub(crate) fn put_back(&self, job: T) -> Option<T> {
        let mut state = self.lock();
        if state.closed {
            return Some(job);
        }
        state.interactive.push_front(job);
        self.wake(state);
        None
    }

    /// Waits for the next job, and no longer than `patience`, if there is one.
    pub(crate) fn next(&self, patience: Option<Duration>) -> Next<T> {
        let latest = patience.map(|patience| Instant::now() + patience);
        let mut looked = self.look.is_zero();
        let mut state = self.lock();
        loop {
            if state.closed {
                return Next::Over;
            }
            if let Some(job) = state.interactive.pop_front().or_else(|| state.bulk.pop_front()) {
                return Next::Job(job);
            }
            let left = latest.map(|latest| latest.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Next::Nothing;
            }
            state = if looked || state.looking {
                self.sleep(state, left)
            } else {
                looked = true;
                self.look(state)
            };
        }
    }

    /// The next job, if there is one now.
    pub(crate) fn try_take(&self) -> Option<T> {
        let mut state = self.lock();
        state.interactive.pop_front().or_else(|| state.bulk.pop_front())
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
        self.news.store(true, Ordering::Relaxed);
        state.asleep.drain(..).for_each(|worker| worker.unpark());
        let State { interactive, bulk, .. } = &mut *state;
        interactive.drain(..).chain(bulk.drain(..)).collect()
    }

    /// Looks for news for a while, without the lock.
    fn look<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        state.looking = true;
        self.news.store(false, Ordering::Relaxed);
        drop(state);
        // Whether it found any, it sees when it has the lock.
        let _news = look_for(self.look, || self.news.load(Ordering::Relaxed).then_some(()));
        let mut state = self.lock();
        state.looking = false;
        state
    }

    /// Sleeps until woken, until its time is over, or for no reason: whoever returns from it looks at the queue again.
    fn sleep<'a>(&'a self, mut state: MutexGuard<'a, State<T>>, time: Option<Duration>) -> MutexGuard<'a, State<T>> {
        let worker = thread::current();
        let id = worker.id();
        state.asleep.push(worker);
        drop(state);
        match time {
            Some(time) => thread::park_timeout(time),
            None => thread::park(),
        }
        let mut state = self.lock();
        state.asleep.retain(|worker| worker.id() != id);
        state
    }

    /// Tells one worker of one more job. Those at work look at the queue by themselves when they have finished.
    fn wake(&self, mut state: MutexGuard<'_, State<T>>) {
        if state.looking && !self.news.swap(true, Ordering::Relaxed) {
            return;
        }
        let worker = state.asleep.pop();
        drop(state);
        if let Some(worker) = worker {
            worker.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests;
