//! Waiting for a token's signature: awake for the little while that a short operation takes when nobody else waits for one,
//! asleep otherwise (ADR 7).
//!
//! To be woken on another processor takes longer than a P-256 signature. So whoever waits alone, for a token that has been
//! answering within [`SHORT`], asks again and again, letting every other task run in between, and sleeps after that. A token
//! that takes longer is waited for asleep: what there is to gain is small beside its own time.

use std::{
    hint,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot::{Receiver, error::TryRecvError},
    task::yield_now,
};

use crate::duration::nanoseconds;

/// What counts as short, and how long anybody stays awake at most.
const SHORT: Duration = Duration::from_millis(1);

/// How much of the average the latest answer makes up: one part in so many.
const SMOOTHING: u64 = 8;

/// How many wait for a token, and how long that takes of late.
#[derive(Debug)]
pub(crate) struct Waiting {
    waiters: AtomicUsize,
    /// A moving average in nanoseconds. Races lose a sample now and then, which matters to nobody.
    average: AtomicU64,
    several_processors: bool,
}

/// One of those that wait.
#[derive(Debug)]
struct Waiter<'a>(&'a AtomicUsize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self {
            waiters: AtomicUsize::new(0),
            average: AtomicU64::new(nanoseconds(SHORT) * 2),
            several_processors: several_processors(),
        }
    }

    /// Waits for the answer; `None` if whoever was to give it has gone.
    pub(crate) async fn wait_for<T>(&self, mut answer: Receiver<T>) -> Option<T> {
        let begun = Instant::now();
        self.waiters.fetch_add(1, Ordering::Relaxed);
        let _waiter = Waiter(&self.waiters);
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
            && self.waiters.load(Ordering::Relaxed) == 1
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

/// Looks again and again without sleeping, for so long, and lets whoever wants the processor have it in between.
pub(crate) fn look_for<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        hint::spin_loop();
        thread::yield_now();
        if let Some(found) = look() {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{
        pin::pin,
        sync::Arc,
        task::{Context, Poll, Wake, Waker},
    };

    use tokio::sync::oneshot;

    use super::*;

    /// Counts how often a future asks to be polled again. Outside a runtime, `yield_now` does so at once.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn quick() -> Waiting {
        Waiting {
            waiters: AtomicUsize::new(0),
            average: AtomicU64::new(0),
            several_processors: true,
        }
    }

    fn slow() -> Waiting {
        let average = AtomicU64::new(nanoseconds(SHORT));
        Waiting { average, ..quick() }
    }

    fn polled<F: Future>(future: std::pin::Pin<&mut F>, wakes: &Arc<Wakes>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(wakes))))
    }

    #[test]
    fn whoever_waits_alone_for_a_quick_token_stays_awake_until_the_answer_comes() {
        let (token, wakes) = (quick(), Arc::<Wakes>::default());
        let (reply, answer) = oneshot::channel();
        let mut wait = pin!(token.wait_for(answer));
        assert!(polled(wait.as_mut(), &wakes).is_pending());
        assert_eq!(wakes.count(), 1);
        reply.send(7).unwrap();
        assert_eq!(polled(wait.as_mut(), &wakes), Poll::Ready(Some(7)));
    }

    #[test]
    fn it_waits_asleep_for_a_slow_token_and_beside_others_and_on_one_processor() {
        let crowded = quick();
        crowded.waiters.store(1, Ordering::Relaxed);
        let lonely = Waiting {
            several_processors: false,
            ..quick()
        };
        for token in [slow(), crowded, lonely] {
            let wakes = Arc::<Wakes>::default();
            let (reply, answer) = oneshot::channel();
            let mut wait = pin!(token.wait_for(answer));
            assert!(polled(wait.as_mut(), &wakes).is_pending());
            assert_eq!(wakes.count(), 0, "{token:?}");
            reply.send(7).unwrap();
            assert_eq!(wakes.count(), 1);
            assert_eq!(polled(wait.as_mut(), &wakes), Poll::Ready(Some(7)));
        }
    }

    #[test]
    fn nobody_stays_awake_for_longer_than_a_short_operation_takes() {
        let (token, wakes) = (quick(), Arc::<Wakes>::default());
        let (reply, answer) = oneshot::channel();
        let mut wait = pin!(token.wait_for(answer));
        // Every poll that leaves it awake asks for another one; the first that does not has put it to sleep.
        let mut polls = 0;
        while wakes.count() == polls {
            assert!(polled(wait.as_mut(), &wakes).is_pending());
            polls += 1;
        }
        reply.send(7).unwrap();
        assert_eq!(polled(wait.as_mut(), &wakes), Poll::Ready(Some(7)));
    }

    #[test]
    fn the_end_of_whoever_was_to_answer_is_noticed_awake_and_asleep() {
        for token in [quick(), slow()] {
            let wakes = Arc::<Wakes>::default();
            let (reply, answer) = oneshot::channel::<u8>();
            let mut wait = pin!(token.wait_for(answer));
            assert!(polled(wait.as_mut(), &wakes).is_pending());
            drop(reply);
            assert_eq!(polled(wait.as_mut(), &wakes), Poll::Ready(None));
        }
    }

    #[test]
    fn whoever_goes_is_no_longer_counted_and_is_seen_to_have_gone() {
        let (token, wakes) = (quick(), Arc::<Wakes>::default());
        let (reply, answer) = oneshot::channel::<u8>();
        {
            let mut wait = pin!(token.wait_for(answer));
            assert!(polled(wait.as_mut(), &wakes).is_pending());
            assert_eq!(token.waiters.load(Ordering::Relaxed), 1);
        }
        assert_eq!(token.waiters.load(Ordering::Relaxed), 0);
        assert!(reply.is_closed());
    }

    #[test]
    fn a_token_is_quick_once_it_has_been_for_a_while_and_slow_when_it_is_not() {
        let token = Waiting {
            several_processors: true,
            ..Waiting::new()
        };
        token.waiters.store(1, Ordering::Relaxed);
        assert!(!token.stays_awake());
        (0..SMOOTHING * 2).for_each(|_| token.note(SHORT / 4));
        assert!(token.stays_awake());
        token.note(SHORT * 100);
        assert!(!token.stays_awake());
        token.note(Duration::MAX);
        assert!(!token.stays_awake());
    }
}
