//! Moments that the daemon and a module's process tell each other. Both read one clock, CLOCK_MONOTONIC, by which an
//! [`Instant`] goes as well without saying what it shows.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Readings of which the one is kept that was interrupted least.
const READINGS: usize = 4;

/// A moment, as what CLOCK_MONOTONIC shows at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment(Duration);

/// An instant and the same moment: from then on neither has to be read again to tell one from the other.
static READ: LazyLock<(Instant, Moment)> = LazyLock::new(|| {
    let readings = std::iter::repeat_with(|| {
        let begun = Instant::now();
        let shown = clock_gettime(ClockId::Monotonic);
        let shown = Duration::try_from(shown).unwrap_or_default();
        (begun.elapsed(), begun, Moment(shown))
    });
    let best = readings.take(READINGS).min_by_key(|(took, ..)| *took);
    best.map_or_else(
        || (Instant::now(), Moment(Duration::ZERO)),
        |(_, read, shown)| (read, shown),
    )
});

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Self {
        let (read, Self(shown)) = *READ;
        Self(match instant.checked_duration_since(read) {
            Some(later) => shown.saturating_add(later),
            None => shown.saturating_sub(read.saturating_duration_since(instant)),
        })
    }
}

impl From<Moment> for Instant {
    /// One that no instant can be is past.
    fn from(Moment(moment): Moment) -> Self {
        let (read, Moment(shown)) = *READ;
        let instant = match moment.checked_sub(shown) {
            Some(later) => read.checked_add(later),
            None => read.checked_sub(shown.saturating_sub(moment)),
        };
        instant.unwrap_or(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_comes_back_as_it_went_whether_it_is_past_or_to_come() {
        let now = Instant::now();
        let day = Duration::from_secs(24 * 60 * 60);
        for instant in [now, now + day, now + Duration::from_nanos(1)] {
            assert_eq!(Instant::from(Moment::from(instant)), instant);
        }
        let past = READ.0 - Duration::from_millis(1);
        assert_eq!(Instant::from(Moment::from(past)), past);
    }

    #[test]
    fn a_moment_is_what_the_clock_of_every_process_shows() {
        let shown = || Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
        let before = shown();
        let Moment(moment) = Moment::from(Instant::now());
        let slack = Duration::from_millis(500);
        assert!(
            before <= moment + slack && moment <= shown() + slack,
            "{before:?} {moment:?}"
        );
    }
}
