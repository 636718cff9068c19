//! What a connection has been given in confidence, and how it is forgotten.
//!
//! The octets of a request lie in a buffer of HTTP/2's that nobody but HTTP/2 can write to, and that it keeps for as long as the
//! connection is open. So a connection that has brought a PIN is not kept for long: once nothing has run on it for a moment it takes
//! no further requests (GOAWAY) and ends, and when everything else that knew of those octets is gone, they are wiped here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use zeroize::Zeroize as _;

/// A connection that has brought a PIN, and on which nothing has run for so long, is ended. Not at once: a client that makes its
/// next call just then need not connect anew for it.
const REST: Duration = Duration::from_secs(1);

/// Octets of one connection that are to be wiped at its end. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Arc<State>);

#[derive(Debug, Default)]
struct State {
    octets: Mutex<Vec<Bytes>>,
    came: Notify,
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A request of the connection that runs.
#[derive(Debug)]
pub(crate) struct Running(Arc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

impl Secrets {
    /// Keeps these until the end, and asks for it.
    pub fn keep(&self, octets: impl IntoIterator<Item = Bytes>) {
        self.octets().extend(octets);
        self.0.came.notify_one();
    }

    /// A request begins.
    pub(crate) fn running(&self) -> Running {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(&self.0))
    }

    /// Returns once something is kept and the connection is no longer in use.
    pub(crate) async fn out_of_use(&self) {
        self.0.came.notified().await;
        loop {
            let before = self.0.ended.load(Ordering::Acquire);
            tokio::time::sleep(REST).await;
            // What has ended in between has begun as well.
            if self.0.begun.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }

    /// Wipes what nobody else holds any more. Whether nothing is left.
    pub(crate) fn wipe(&self) -> bool {
        let mut octets = self.octets();
        let mut left: Vec<Bytes> = std::mem::take(&mut *octets).into_iter().filter_map(wipe).collect();
        if left.len() > 1 {
            // Pieces of one buffer keep one another from being wiped. The first of them reaches to the buffer's end.
            left.sort_unstable_by_key(|piece| piece.as_ptr());
            left.truncate(1);
            left = left.into_iter().filter_map(wipe).collect();
        }
        *octets = left;
        octets.is_empty()
    }

    fn octets(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.0.octets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wipes a piece and what lies behind it in its buffer; gives it back if somebody else holds that buffer.
fn wipe(piece: Bytes) -> Option<Bytes> {
    match piece.try_into_mut() {
        Ok(mut piece) => {
            piece.as_mut().zeroize();
            piece.spare_capacity_mut().zeroize();
            None
        }
        Err(piece) => Some(piece),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bytes::BytesMut;

    use super::*;

    /// A buffer as HTTP/2 has it, with one PIN in it and then another, and what is in front of them.
    fn buffer() -> (BytesMut, Bytes, [Bytes; 2]) {
        let mut buffer = BytesMut::with_capacity(64);
        buffer.extend_from_slice(b"header 1234 and 5678 rest");
        let header = buffer.split_to(7).freeze();
        let first = buffer.split_to(4).freeze();
        let _between = buffer.split_to(5);
        let second = buffer.split_to(4).freeze();
        (buffer, header, [first, second])
    }

    #[test]
    fn octets_are_wiped_once_nobody_else_holds_their_buffer() {
        let (buffer, header, [pin, _]) = buffer();
        let secrets = Secrets::default();
        secrets.keep([pin]);
        assert!(!secrets.wipe(), "the buffer and the header hold the same memory");
        drop(header);
        assert!(!secrets.wipe(), "the buffer does");
        drop(buffer);
        assert!(secrets.wipe());
    }

    #[test]
    fn two_pieces_of_one_buffer_do_not_keep_one_another_from_being_wiped() {
        let (buffer, header, [first, second]) = buffer();
        let secrets = Secrets::default();
        secrets.keep([second, first]);
        drop((buffer, header));
        assert!(secrets.wipe());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_secret_is_out_of_use_once_nothing_has_run_on_it_for_a_moment() {
        let secrets = Secrets::default();
        let out_of_use = async |time| tokio::time::timeout(time, secrets.out_of_use()).await.is_ok();
        assert!(!out_of_use(REST * 10).await, "it has brought nothing");
        let running = secrets.running();
        secrets.keep([Bytes::from_static(b"1234")]);
        assert!(!out_of_use(REST * 10).await, "a request runs");
        secrets.keep([Bytes::from_static(b"5678")]);
        drop(running);
        assert!(out_of_use(REST * 3).await);
    }
}
