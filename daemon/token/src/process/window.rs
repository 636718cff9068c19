//! How many jobs a process is given at a time: those that its sessions can do, and what they can do next without waiting for the
//! daemon.

use std::time::Duration;

/// So much work lies ready in the socket, so that workers need not wait for this side. What lies there can no longer be
/// overtaken, so a slow token gets none.
const AHEAD: Duration = Duration::from_millis(6);

/// And no more than so many jobs.
const MAX_AHEAD: usize = 40;

/// How many jobs may be with the process.
pub(super) fn window(sessions: usize, pace: Option<Duration>) -> usize {
    let ahead = pace.map_or(0, |pace| {
        let jobs = AHEAD.as_nanos() / pace.as_nanos().max(1);
        usize::try_from(jobs).unwrap_or(MAX_AHEAD).min(MAX_AHEAD)
    });
    sessions + ahead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_token_has_jobs_lying_ready_and_a_slow_one_has_none() {
        assert_eq!(window(4, None), 4);
        assert_eq!(window(4, Some(Duration::from_millis(7))), 4);
        assert_eq!(window(4, Some(Duration::from_micros(500))), 16);
        assert_eq!(window(4, Some(Duration::from_micros(50))), 4 + MAX_AHEAD);
        assert_eq!(window(1, Some(Duration::ZERO)), 1 + MAX_AHEAD);
    }
}
