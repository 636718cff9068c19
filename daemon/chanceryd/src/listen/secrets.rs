//! What a connection has been given in confidence, and when that ends it.
//!
//! The octets of a request lie in a buffer of HTTP/2's that nobody but HTTP/2 can write to, and that it keeps for as long as the
//! connection is open. So a connection that has brought a PIN is not kept for long: once nothing has run on it for a moment, or
//! much is kept, or some time later, it takes no further requests (GOAWAY) and ends. When everything else that knew of those
//! octets is gone, they are wiped; how, is in [`super::wipe`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::wipe;

use crate::sync::lock;

/// A connection that has brought a PIN, and on which nothing has run for so long, is ended. Not at once: a client that makes its
/// next call just then need not connect anew for it.
const REST: Duration = Duration::from_secs(1);
/// So long after it has brought a PIN a connection takes no further requests, though it is in use. Not sooner: there are clients,
/// hyper's among them, that fail a call which they were about to send just then.
const LONG: Duration = Duration::from_secs(60);
/// Nor once so much is kept. A piece may hold a buffer many times its own length.
const MUCH: Amount = Amount {
    pieces: 128,
    octets: 64 << 10,
};
/// More than is kept when as many requests as usually may run at once all bring a PIN. It is for a client that goes on with
/// requests though it was told not to: its connection is closed.
const TOO_MUCH: Amount = Amount {
    pieces: 1024,
    octets: 32 << 20,
};

/// Octets of one connection that are to be wiped at its end. Cheap to clone; clones are the same, and the last of them wipes.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Arc<State>);

#[derive(Debug, Default)]
struct State {
    octets: Mutex<Vec<Bytes>>,
    came: Notify,
    much: Notify,
    too_much: Notify,
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A request of the connection that runs.
#[derive(Debug)]
pub(crate) struct Running(Arc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.wipe_unshared();
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

#[derive(Clone, Copy)]
struct Amount {
    pieces: usize,
    octets: usize,
}

impl Amount {
    fn of(pieces: &[Bytes]) -> Self {
        Self {
            pieces: pieces.len(),
            octets: pieces.iter().map(Bytes::len).sum(),
        }
    }

    fn reaches(self, bound: Self) -> bool {
        self.pieces >= bound.pieces || self.octets >= bound.octets
    }
}

impl Secrets {
    /// Keeps these until the end, and asks for it. What nobody else holds any more is wiped at once.
    pub fn keep(&self, octets: impl IntoIterator<Item = Bytes>) {
        self.0.octets().extend(octets);
        let kept = self.0.wipe_unshared();
        self.0.came.notify_one();
        if kept.reaches(MUCH) {
            self.0.much.notify_one();
        }
        if kept.reaches(TOO_MUCH) {
            self.0.too_much.notify_one();
        }
    }

    /// A request begins.
    pub(crate) fn running(&self) -> Running {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(&self.0))
    }

    /// Returns once something was kept, and the connection is no longer in use or has been for long enough.
    pub(crate) async fn out_of_use(&self) {
        self.0.came.notified().await;
        tokio::select! {
            () = self.rest() => {}
            () = self.0.much.notified() => {}
            () = tokio::time::sleep(LONG) => {}
        }
    }

    /// Returns once so much is kept that the connection cannot go on.
    pub(crate) async fn too_much(&self) {
        self.0.too_much.notified().await;
    }

    /// Returns once nothing has run for a moment.
    pub(crate) async fn rest(&self) {
        loop {
            let before = self.0.ended.load(Ordering::Acquire);
            tokio::time::sleep(REST).await;
            // What has ended in between has begun as well.
            if self.0.begun.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

impl State {
    /// Wipes what nobody else holds any more; how much is left.
    fn wipe_unshared(&self) -> Amount {
        let mut octets = self.octets();
        if !octets.is_empty() {
            *octets = wipe::unshared(std::mem::take(&mut *octets));
        }
        Amount::of(&octets)
    }

    fn octets(&self) -> MutexGuard<'_, Vec<Bytes>> {
        lock(&self.octets)
    }
}

impl Drop for State {
    /// Nobody is left who could keep more: neither the connection nor a request of it.
    fn drop(&mut self) {
        let octets = self.octets.get_mut().unwrap_or_else(PoisonError::into_inner);
        wipe::all(std::mem::take(octets));
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    /// A piece of a buffer, and the rest of it.
    fn piece() -> (Bytes, BytesMut) {
        let mut buffer = BytesMut::from(&b"1234 and what follows it"[..]);
        (buffer.split_to(4).freeze(), buffer)
    }

    #[test]
    fn what_nobody_else_holds_is_wiped_when_something_is_kept_and_when_a_request_ends() {
        let secrets = Secrets::default();
        let kept = || secrets.0.octets().len();
        let ((one, held), (two, also_held)) = (piece(), piece());
        secrets.keep([one]);
        assert_eq!(kept(), 1);
        drop(held);
        secrets.keep([two]);
        assert_eq!(kept(), 1, "the first is gone");
        drop(also_held);
        drop(secrets.running());
        assert_eq!(kept(), 0);
    }

    #[test]
    fn what_is_kept_after_the_connection_was_forgotten_is_wiped_with_its_last_share() {
        let connection = Secrets::default();
        let handler = connection.clone();
        drop(connection);
        let (pin, held) = piece();
        let place = pin.as_ptr().addr();
        handler.keep([pin]);
        drop(held);
        assert!(!wipe::tests::was_wiped(place));
        drop(handler);
        assert!(wipe::tests::was_wiped(place));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_secret_is_out_of_use_once_nothing_has_run_on_it_for_a_moment() {
        let secrets = Secrets::default();
        let out_of_use = async |time| tokio::time::timeout(time, secrets.out_of_use()).await.is_ok();
        assert!(!out_of_use(REST * 10).await, "it has brought nothing");
        let running = secrets.running();
        secrets.keep([Bytes::from_static(b"1234")]);
        assert!(!out_of_use(REST * 3).await, "a request runs");
        secrets.keep([Bytes::from_static(b"5678")]);
        drop(running);
        assert!(out_of_use(REST * 3).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_secret_that_never_rests_is_out_of_use_a_while_later() {
        let secrets = Secrets::default();
        let _running = secrets.running();
        secrets.keep([Bytes::from_static(b"1234")]);
        let begun = tokio::time::Instant::now();
        secrets.out_of_use().await;
        assert_eq!(begun.elapsed(), LONG);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_keeps_bringing_secrets_is_out_of_use_at_once_and_cannot_go_on_for_ever() {
        let secrets = Secrets::default();
        let _running = secrets.running();
        let begun = tokio::time::Instant::now();
        for _ in 0..MUCH.pieces {
            secrets.keep([Bytes::from_static(b"1234")]);
        }
        secrets.out_of_use().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let cannot_go_on = async || tokio::time::timeout(LONG, secrets.too_much()).await.is_ok();
        assert!(!cannot_go_on().await, "its client may not have heard yet");
        for _ in 0..TOO_MUCH.pieces {
            secrets.keep([Bytes::from_static(b"1234")]);
        }
        assert!(cannot_go_on().await);
    }
}
