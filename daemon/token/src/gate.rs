//! Who gets to a token: nobody new while it is drained, and how many there are already. Whether it could serve them is the
//! board's to know.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::sync::lock;

/// Why a token takes no new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// An administrator drained it, to lock it. Unlocking it ends that.
    ByHand,
    /// It is in maintenance, says the configuration, which alone can end that.
    Maintenance,
}

/// The causes, of which there may be several at a time.
#[derive(Debug, Default)]
struct Causes {
    by_hand: bool,
    maintenance: bool,
}

impl Causes {
    const fn has(&self, cause: Drain) -> bool {
        match cause {
            Drain::ByHand => self.by_hand,
            Drain::Maintenance => self.maintenance,
        }
    }

    fn first(&self) -> Option<Drain> {
        // What outlasts the other is told.
        let maintenance = self.maintenance.then_some(Drain::Maintenance);
        maintenance.or(self.by_hand.then_some(Drain::ByHand))
    }
}

#[derive(Debug)]
pub(crate) struct Gate {
    causes: Mutex<Causes>,
    /// Whether there is any cause.
    closed: AtomicBool,
    inside: AtomicUsize,
    /// Somebody has left while it was closed, or a drain has begun or ended.
    news: Notify,
    waiting_places: Arc<Semaphore>,
    max_waiting: usize,
}

/// A request that the token has and has not answered.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a Gate);

/// A place among those who wait for a token to come back. Given up when dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    /// `max_waiting` is how many may wait for the token to come back.
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self {
            causes: Mutex::default(),
            closed: AtomicBool::new(false),
            inside: AtomicUsize::new(0),
            news: Notify::new(),
            waiting_places: Arc::new(Semaphore::new(max_waiting)),
            max_waiting,
        }
    }

    /// Lets a request in, unless the token is drained.
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        // Counted before the look, as `emptied` looks after the gate was closed: one of the two sees the other.
        self.inside.fetch_add(1, Ordering::SeqCst);
        let pass = Pass(self);
        (!self.closed.load(Ordering::SeqCst)).then_some(pass)
    }

    /// Requests that have been let in and have no answer yet.
    pub(crate) fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }

    /// A place among those who wait outside, if there is one.
    pub(crate) fn wait_outside(&self) -> Option<Place> {
        let permit = Arc::clone(&self.waiting_places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }

    /// How many wait outside.
    pub(crate) fn outside(&self) -> usize {
        self.max_waiting.saturating_sub(self.waiting_places.available_permits())
    }

    pub(crate) fn drain(&self) -> Option<Drain> {
        match self.closed.load(Ordering::SeqCst) {
            true => lock(&self.causes).first(),
            false => None,
        }
    }

    /// Begins or ends a drain. Whether that changed anything.
    pub(crate) fn set(&self, cause: Drain, drained: bool) -> bool {
        let mut causes = lock(&self.causes);
        let of = match cause {
            Drain::ByHand => &mut causes.by_hand,
            Drain::Maintenance => &mut causes.maintenance,
        };
        let changed = std::mem::replace(of, drained) != drained;
        // Under the lock, so that the last to change it has the last word.
        self.closed.store(causes.first().is_some(), Ordering::SeqCst);
        self.news.notify_waiters();
        changed
    }

    /// Returns once everybody inside has an answer; false as soon as it is not drained for this cause any more.
    pub(crate) async fn emptied(&self, cause: Drain) -> bool {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if !lock(&self.causes).has(cause) {
                return false;
            }
            if self.inside.load(Ordering::SeqCst) == 0 {
                return true;
            }
            news.await;
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.closed.load(Ordering::SeqCst) {
            self.0.news.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn poll(emptied: std::pin::Pin<&mut impl Future<Output = bool>>) -> Poll<bool> {
        emptied.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_drained_token_lets_nobody_in_and_is_empty_when_the_last_one_has_left() {
        let gate = Gate::new(1);
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(gate.set(Drain::ByHand, true));
        assert!(gate.enter().is_none());
        assert_eq!(gate.inside(), 2, "who was not let in is not inside");
        let mut emptied = pin!(gate.emptied(Drain::ByHand));
        assert_eq!(poll(emptied.as_mut()), Poll::Pending);
        drop(first);
        assert_eq!(poll(emptied.as_mut()), Poll::Pending);
        drop(second);
        assert_eq!(poll(emptied.as_mut()), Poll::Ready(true));
        assert_eq!(
            poll(pin!(gate.emptied(Drain::ByHand))),
            Poll::Ready(true),
            "and stays so"
        );
    }

    #[test]
    fn who_waits_for_a_drain_is_told_when_it_has_ended_before() {
        let gate = Gate::new(1);
        let _inside = gate.enter().unwrap();
        gate.set(Drain::ByHand, true);
        gate.set(Drain::Maintenance, true);
        let mut emptied = pin!(gate.emptied(Drain::ByHand));
        assert_eq!(poll(emptied.as_mut()), Poll::Pending);
        gate.set(Drain::ByHand, false);
        assert_eq!(poll(emptied.as_mut()), Poll::Ready(false));
    }

    #[test]
    fn each_cause_ends_by_itself_and_the_token_takes_work_when_none_is_left() {
        let gate = Gate::new(1);
        assert!(gate.set(Drain::ByHand, true));
        assert_eq!(gate.drain(), Some(Drain::ByHand));
        assert!(gate.set(Drain::Maintenance, true));
        assert!(!gate.set(Drain::Maintenance, true), "again is no change");
        assert_eq!(gate.drain(), Some(Drain::Maintenance));
        assert!(gate.set(Drain::ByHand, false));
        assert_eq!(gate.drain(), Some(Drain::Maintenance));
        assert!(gate.set(Drain::Maintenance, false));
        assert_eq!(gate.drain(), None);
        assert!(gate.enter().is_some());
    }

    #[test]
    fn no_more_wait_outside_than_there_are_places() {
        let gate = Gate::new(2);
        let places = [gate.wait_outside().unwrap(), gate.wait_outside().unwrap()];
        assert!(gate.wait_outside().is_none());
        assert_eq!(gate.outside(), 2);
        drop(places);
        assert_eq!(gate.outside(), 0);
        gate.wait_outside().unwrap();
    }
}
