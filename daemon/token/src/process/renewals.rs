//! How often a module gets another process because a token of its asks for one: at once, and then seldom, so that an HSM that is
//! down for a day does not cost a process a minute.

use std::time::{Duration, Instant};

/// Between the first two.
const FIRST: Duration = Duration::from_secs(30);

/// Between any two that are asked for again and again.
const LONGEST: Duration = Duration::from_secs(600);

/// After so many pauses in which nobody asked, the next one is a first one.
const FORGOTTEN: u32 = 4;

#[derive(Debug, Default)]
pub(super) struct Renewals {
    last: Option<(Instant, Duration)>,
}

impl Renewals {
    /// Whether there is to be another process now.
    pub(super) fn allow(&mut self, now: Instant) -> bool {
        let pause = match self.last {
            None => FIRST,
            Some((last, pause)) => match now.saturating_duration_since(last) {
                since if since < pause => return false,
                since if since > FORGOTTEN * pause => FIRST,
                _ => (2 * pause).min(LONGEST),
            },
        };
        self.last = Some((now, pause));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_allowed_at_once_and_each_that_follows_after_a_longer_pause() {
        let mut renewals = Renewals::default();
        let start = Instant::now();
        let allowed: Vec<_> = (0..4000)
            .filter(|second| renewals.allow(start + Duration::from_secs(*second)))
            .collect();
        assert_eq!(allowed, [0, 30, 90, 210, 450, 930, 1530, 2130, 2730, 3330, 3930]);
    }

    #[test]
    fn after_a_long_time_without_one_the_next_counts_as_the_first() {
        let mut renewals = Renewals::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(renewals.allow(start) && renewals.allow(after(30)));
        // The pause was sixty seconds by then.
        assert!(renewals.allow(after(30 + 241)));
        assert!(!renewals.allow(after(30 + 241 + 29)));
        assert!(renewals.allow(after(30 + 241 + 30)));
    }
}
