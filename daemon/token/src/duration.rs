//! Lengths of time as atomics hold them.

use std::time::Duration;

/// Whole nanoseconds; enough for five hundred years, and no more than that.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
