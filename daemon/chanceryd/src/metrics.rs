//! What can be measured about the daemon, as OpenMetrics text over HTTP. docs/metrics.md lists every metric; a test holds the
//! two together.
//!
//! ```text
//!   requests ── counted in a layer around every RPC ──┐
//!   tokens ──── their status and their own counters ──┼──► exposition ──► endpoint, GET /metrics
//!   audit trail ── open or not, and what it left out ─┘
//! ```
//!
//! Everything is read when somebody asks, and nothing is labelled with what a caller can choose: no key, no caller, no address.
//! **Whoever reads the numbers must not learn how a ciphertext was padded**: of decryptions no time is kept more exactly than
//! its bucket, here and in the tokens' own counters.

mod endpoint;
mod exposition;
mod requests;
#[cfg(test)]
mod tests;

use std::fmt;

use chancery_token::TokenHandle;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::audit::Trail;
pub use endpoint::Endpoint;
pub use requests::{CountLayer, CountService, Counted, Counting, Requests};

/// Where the numbers are found.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What has been asked of the daemon.
    pub requests: Requests,
    /// The tokens.
    pub tokens: Vec<TokenHandle>,
    /// The audit trail.
    pub audit: Trail,
}

/// The numbers as they are when they are asked for.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// All that there is to tell.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::with_prefix("chancery");
        registry.register_collector(Box::new(sources));
        Self(registry)
    }

    /// OpenMetrics 1.0.0.
    ///
    /// # Errors
    /// Never: a text takes whatever is written to it.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut rendered = String::new();
        text::encode(&mut rendered, &self.0)?;
        Ok(rendered)
    }
}
