//! Waiting for a token's answer: awake for the little while that a short operation takes when nobody else asks for one,
//! asleep otherwise.
//!
//! To be woken on another processor takes longer than a P-256 signature. So a caller who is alone, on a token that has been
//! answering within [`SHORT`], asks again and again, letting every other task run in between, and sleeps after that. A token
//! that takes longer is never waited for like that: what there is to gain is small beside its own time.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot::{Receiver, error::TryRecvError},
    task::yield_now,
};

/// What counts as short, and how long anybody stays awake at most.
const SHORT: Duration = Duration::from_millis(1);

/// How much of the average the latest answer makes up: one part in so many.
const SMOOTHING: u64 = 8;

/// Who waits for a token, and how long that takes of late.
#[derive(Debug)]
pub(crate) struct Waiting {
    callers: AtomicUsize,
    /// A moving average in nanoseconds. Races lose a sample now and then, which matters to nobody.
    average: AtomicU64,
    several_processors: bool,
}

/// A caller among those that wait.
#[derive(Debug)]
struct Caller<'a>(&'a AtomicUsize);

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self {
            callers: AtomicUsize::new(0),
            average: AtomicU64::new(nanoseconds(SHORT) * 2),
            several_processors: several_processors(),
        }
    }

    /// Waits for the answer; `None` if whoever was to give it has gone.
    pub(crate) async fn wait_for<T>(&self, mut answer: Receiver<T>) -> Option<T> {
        let begun = Instant::now();
        self.callers.fetch_add(1, Ordering::Relaxed);
        let _caller = Caller(&self.callers);
        while self.stays_awake() && begun.elapsed() < SHORT {
            match answer.try_recv() {
                Ok(answer) => {
                    self.note(begun.elapsed());
                    return Some(answer);
                }
                Err(TryRecvError::Empty) => yield_now().await,
                Err(TryRecvError::Closed) => return None,
            }
        }
        let answer = answer.await.ok();
        self.note(begun.elapsed());
        answer
    }

    fn stays_awake(&self) -> bool {
        self.several_processors
            && self.average.load(Ordering::Relaxed) < nanoseconds(SHORT)
            && self.callers.load(Ordering::Relaxed) == 1
    }

    fn note(&self, took: Duration) {
        let average = self.average.load(Ordering::Relaxed);
        let next = average - average / SMOOTHING + nanoseconds(took) / SMOOTHING;
        self.average.store(next, Ordering::Relaxed);
    }
}

/// Whether a thread can stay awake without taking the processor from the one that it waits for.
pub(crate) fn several_processors() -> bool {
    thread::available_parallelism().is_ok_and(|processors| processors.get() > 1)
}

/// A year and more are an hour: what matters is whether it is short.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos())
        .unwrap_or(u64::MAX)
        .min(3_600_000_000_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tokio::sync::oneshot;

    use super::*;

    fn waiting(average: Duration) -> Waiting {
        Waiting {
            callers: AtomicUsize::new(0),
            average: AtomicU64::new(nanoseconds(average)),
            several_processors: true,
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn a_lone_caller_of_a_quick_token_stays_awake_and_nobody_else() {
        let quick = waiting(SHORT / 2);
        quick.callers.store(1, Ordering::Relaxed);
        assert!(quick.stays_awake());
        quick.callers.store(2, Ordering::Relaxed);
        assert!(!quick.stays_awake());
        let slow = waiting(SHORT);
        slow.callers.store(1, Ordering::Relaxed);
        assert!(!slow.stays_awake());
    }

    #[test]
    fn a_token_is_quick_once_it_has_been_and_slow_at_once_when_it_is() {
        let token = Waiting::new();
        let is_quick = |token: &Waiting| token.average.load(Ordering::Relaxed) < nanoseconds(SHORT);
        assert!(!is_quick(&token));
        (0..SMOOTHING * 2).for_each(|_| token.note(SHORT / 4));
        assert!(is_quick(&token));
        token.note(SHORT * 100);
        assert!(!is_quick(&token));
        token.note(Duration::MAX);
        assert!(!is_quick(&token));
    }

    #[test]
    fn an_answer_arrives_awake_and_asleep_and_the_end_of_the_sender_too() {
        runtime().block_on(async {
            for average in [Duration::ZERO, SHORT * 2] {
                let token = waiting(average);
                let (reply, answer) = oneshot::channel();
                let answered = async {
                    yield_now().await;
                    reply.send(7).unwrap();
                };
                assert_eq!(tokio::join!(token.wait_for(answer), answered).0, Some(7));
                let (reply, answer) = oneshot::channel::<u8>();
                let gone = async {
                    yield_now().await;
                    drop(reply);
                };
                assert_eq!(tokio::join!(token.wait_for(answer), gone).0, None);
                assert_eq!(token.callers.load(Ordering::Relaxed), 0);
            }
        });
    }

    #[test]
    fn a_caller_who_goes_is_no_longer_counted_and_is_seen_to_have_gone() {
        runtime().block_on(async {
            let token = waiting(Duration::ZERO);
            let (reply, answer) = oneshot::channel::<u8>();
            {
                let mut wait = std::pin::pin!(token.wait_for(answer));
                let pending =
                    std::future::poll_fn(|context| std::task::Poll::Ready(wait.as_mut().poll(context).is_pending()));
                assert!(pending.await);
                assert_eq!(token.callers.load(Ordering::Relaxed), 1);
            }
            assert_eq!(token.callers.load(Ordering::Relaxed), 0);
            assert!(reply.is_closed());
        });
    }

    #[test]
    fn whoever_has_waited_long_enough_sleeps_until_the_answer_comes() {
        runtime().block_on(async {
            let token = waiting(Duration::ZERO);
            let (reply, answer) = oneshot::channel();
            let begun = Instant::now();
            let answered = async {
                while begun.elapsed() < SHORT * 2 {
                    yield_now().await;
                }
                reply.send(7).unwrap();
            };
            assert_eq!(tokio::join!(token.wait_for(answer), answered).0, Some(7));
        });
    }
}
