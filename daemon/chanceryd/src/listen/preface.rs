//! The time that a connection has until its client has begun to speak HTTP/2. From then on HTTP/2 itself asks for signs of life.

use std::future::Future as _;
use std::pin::Pin;
use std::task::Context;

use tokio::time::{Instant, Sleep, sleep_until};

/// `PRI * HTTP/2.0` and what follows it (RFC 9113, section 3.4).
const LENGTH: usize = 24;

/// What is left of the preface, and of the time for it.
#[derive(Debug)]
pub(super) struct Preface {
    left: usize,
    end: Pin<Box<Sleep>>,
}

impl Preface {
    pub(super) fn until(end: Instant) -> Self {
        Self {
            left: LENGTH,
            end: Box::pin(sleep_until(end)),
        }
    }

    /// Takes note that so many bytes were read; whether these were the last of it.
    pub(super) fn read(&mut self, bytes: usize) -> bool {
        self.left = self.left.saturating_sub(bytes);
        self.left == 0
    }

    /// Whether its time is over. If not, whoever reads is woken when it is.
    pub(super) fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.end.as_mut().poll(context).is_ready()
    }
}
