//! How long and how large things are, and the daemon that they are measured against.

use std::time::Duration;

use anyhow::Result;
use hsm_tests::{
    daemon::{Daemon, Setup},
    people::Person,
};

/// How much is done.
#[derive(Debug)]
pub(crate) struct Scale {
    /// Rounds of each comparison.
    pub(crate) rounds: usize,
    /// How long each turn of a throughput comparison takes.
    pub(crate) turn: Duration,
    /// Bytes of the large body.
    pub(crate) body: usize,
    /// Keys in the token whose start-up is measured.
    pub(crate) keys: u32,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        rounds: 7,
        turn: Duration::from_millis(1000),
        body: 128 << 20,
        keys: 10_000,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        turn: Duration::from_millis(300),
        body: 16 << 20,
        keys: 500,
    };
}

/// The token's name in the configuration, and its label.
pub(crate) const TOKEN: &str = "bench";
/// Sessions that the daemon may open on it; the baseline uses as many threads.
pub(crate) const SESSIONS: usize = 4;
/// Requests in flight when throughput is measured.
pub(crate) const IN_FLIGHT: usize = 64;

/// A daemon as it is in production (log level info) with Alice's RSA-2048 and Carol's P-256 keys in one token. Nobody here
/// has an Ed25519 key, with which OpenSSL's engine would find no key at all.
pub(crate) fn daemon() -> Result<Daemon> {
    Setup::new()
        .token(TOKEN, &[Person::Alice, Person::Carol])
        .log_level("info")
        .start()
}
