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

use crate::sync::lock;
use crate::wait::{look_for, several_processors};

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
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::{Arc, mpsc};

    use super::*;

    impl<T> Queue<T> {
        fn take(&self) -> Option<T> {
            match self.next(None) {
                Next::Job(job) => Some(job),
                Next::Nothing | Next::Over => None,
            }
        }
    }

    /// How long a test waits for what must come about.
    const PATIENCE: Duration = Duration::from_secs(60);

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
        assert_eq!(queue.put_back(0), None);
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
        wait_until(&queue, |state| state.asleep.len() == 1);
        assert_eq!(queue.close(), []);
        assert_eq!(worker.join().unwrap(), None);

        let queue = Queue::new(2);
        queue.push(1, Priority::Bulk).unwrap();
        queue.push(2, Priority::Interactive).unwrap();
        assert_eq!(queue.close(), [2, 1]);
        assert_eq!(queue.take(), None);
        assert_eq!(queue.push(3, Priority::Bulk), Err(Refusal::Closed));
        assert_eq!(queue.put_back(3), Some(3));
    }

    #[test]
    fn a_worker_that_is_in_a_hurry_waits_no_longer_than_it_said() {
        let queue = Queue::<u8>::new(2);
        let begun = Instant::now();
        let patience = Duration::from_millis(20);
        assert_eq!(queue.next(Some(patience)), Next::Nothing);
        assert!(begun.elapsed() >= patience);
        assert!(queue.lock().asleep.is_empty());
        queue.push(1, Priority::Bulk).unwrap();
        assert_eq!(queue.next(Some(Duration::ZERO)), Next::Job(1));
        queue.close();
        assert_eq!(queue.next(Some(patience)), Next::Over);
    }

    #[test]
    fn the_worker_that_fell_asleep_last_is_woken_first() {
        let queue = Arc::new(Queue::<u8>::new(2));
        let (report, woken) = mpsc::sync_channel(1);
        let workers: Vec<_> = (1..=3)
            .map(|number| {
                let (queue_of_worker, report) = (Arc::clone(&queue), report.clone());
                let worker = thread::spawn(move || {
                    while let Some(job) = queue_of_worker.take() {
                        report.send((number, job)).unwrap();
                    }
                });
                wait_until(&queue, |state| state.asleep.len() == number);
                worker
            })
            .collect();
        for job in [7, 8] {
            queue.push(job, Priority::Interactive).unwrap();
            assert_eq!(woken.recv_timeout(PATIENCE).unwrap(), (3, job));
            wait_until(&queue, |state| state.asleep.len() == 3);
        }
        queue.close();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    }

    #[test]
    fn nobody_is_woken_for_the_first_job_while_a_worker_looks() {
        let mut queue = Queue::<u8>::new(2);
        queue.look = Duration::from_secs(3600);
        let queue = Arc::new(queue);
        let looking = taking(&queue);
        wait_until(&queue, |state| state.looking);
        let asleep = taking(&queue);
        wait_until(&queue, |state| state.asleep.len() == 1);
        queue.push(1, Priority::Bulk).unwrap();
        assert_eq!(looking.recv_timeout(PATIENCE).unwrap(), Some(1));
        assert_eq!(queue.lock().asleep.len(), 1);
        assert_eq!(queue.put_back(2), None);
        assert_eq!(asleep.recv_timeout(PATIENCE).unwrap(), Some(2));
    }

    #[test]
    fn a_worker_that_looks_sees_the_end() {
        let mut queue = Queue::<u8>::new(2);
        queue.look = Duration::from_secs(3600);
        let queue = Arc::new(queue);
        let looking = taking(&queue);
        wait_until(&queue, |state| state.looking);
        assert_eq!(queue.close(), []);
        assert_eq!(looking.recv_timeout(PATIENCE).unwrap(), None);
    }

    /// A worker that takes once.
    fn taking(queue: &Arc<Queue<u8>>) -> mpsc::Receiver<Option<u8>> {
        let queue = Arc::clone(queue);
        let (report, taken) = mpsc::sync_channel(1);
        thread::spawn(move || report.send(queue.take()));
        taken
    }

    #[test]
    fn every_job_is_taken_once_by_some_worker_whoever_looks_and_whoever_sleeps() {
        for look in [Duration::ZERO, Duration::from_micros(1), LOOK] {
            // With one place, every worker has run out of jobs when the next one comes.
            for capacity in [1, 4] {
                let queue = Queue::<u32>::new(capacity);
                every_job_is_taken_once(Queue { look, ..queue });
            }
        }
    }

    fn every_job_is_taken_once(queue: Queue<u32>) {
        const JOBS: u32 = 500;
        let queue = Arc::new(queue);
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || std::iter::from_fn(|| queue.take()).collect::<Vec<_>>())
            })
            .collect();
        for job in 0..JOBS {
            wait_until(&queue, |state| state.interactive.len() < queue.capacity);
            queue.push(job, Priority::Interactive).unwrap();
        }
        wait_until(&queue, |state| state.interactive.is_empty());
        assert_eq!(queue.close(), []);
        let mut taken: Vec<u32> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..JOBS).collect::<Vec<_>>());
    }

    fn wait_until<T>(queue: &Queue<T>, condition: impl Fn(&State<T>) -> bool) {
        let begun = Instant::now();
        while !condition(&queue.lock()) {
            assert!(begun.elapsed() < PATIENCE, "it does not come about");
            thread::yield_now();
        }
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
