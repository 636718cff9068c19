//! Who gets which job, and who is woken for it.
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
