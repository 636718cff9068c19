//! The span of one signature, for whoever traces requests.

use std::time::Duration;

use tracing::{Span, field};

/// The target of spans that are for a trace and not for the log. They have the level INFO, and are never made where nobody
/// hears them.
pub const TRACES: &str = "chancery_traces";

/// A signature, below whatever span it is asked for in. Decryptions have none: how long they take is told to nobody exactly.
pub(crate) fn signature(token: &str) -> Span {
    tracing::info_span!(
        target: TRACES,
        "sign",
        chancery.token = token,
        chancery.waited_us = field::Empty,
    )
}

/// It has left the queue, after so long: a worker has it, or will within some six milliseconds (ADR 9).
pub(crate) fn taken(span: &Span, waited: Duration) {
    span.record(
        "chancery.waited_us",
        u64::try_from(waited.as_micros()).unwrap_or(u64::MAX),
    );
}
