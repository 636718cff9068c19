//! How long it takes until another process is started in the place of one that has ended.

use std::time::Duration;

/// After one failure, two, and so on.
const SHORT: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// Between processes that go on hanging, being killed from outside, or finding no use in their module after that: what it speaks to
/// may be back one day. A module that crashes is parked: for as long the first time, and for twice as long each time after that.
const LONG: Duration = Duration::from_secs(60);

/// The longest for which a module is parked.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long to wait for the next process after so many that failed in a row.
pub(super) fn after(failures: usize, crashed: bool) -> Duration {
    if let Some(pause) = SHORT.get(failures) {
        return *pause;
    }
    let doubled = match crashed {
        true => u32::try_from(failures - SHORT.len()).unwrap_or(u32::MAX),
        false => 0,
    };
    LONG.saturating_mul(2_u32.saturating_pow(doubled)).min(LONGEST)
}

/// Whether the one after so many failures comes so soon that it is worth waiting for.
pub(super) fn is_short(failures: usize) -> bool {
    failures < SHORT.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_keeps_crashing_is_parked_for_longer_and_longer_and_one_that_hangs_is_tried_every_minute() {
        let minutes = |crashed, failures| after(failures, crashed).as_secs() / 60;
        for crashed in [true, false] {
            assert!((0..5).map(|failures| after(failures, crashed)).eq(SHORT));
        }
        let parked = (5..14).map(|failures| minutes(true, failures));
        assert!(parked.eq([1, 2, 4, 8, 16, 32, 60, 60, 60]));
        assert!((5..14).all(|failures| minutes(false, failures) == 1));
        assert_eq!(minutes(true, usize::MAX), 60);
    }
}
