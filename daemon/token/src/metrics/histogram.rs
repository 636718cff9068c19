//! How long things took, counted in fixed buckets: a handful of atomic additions for each, no lock and no allocation.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::duration::nanoseconds;

/// The upper bounds of the buckets, each included in its own; one more bucket has no bound. They reach from a C_SignInit that
/// only takes notes to a call that is about to be given up.
pub const BOUNDS: [Duration; 20] = [
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Durations, counted.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// What a [`Histogram`] held at a moment. Buckets are not cumulative. Parts that were written while it was read may differ by
/// the durations that came in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramSnapshot {
    /// How many durations fell between the bound before and that of the same index; the last one has no bound.
    pub buckets: Vec<u64>,
    /// All durations together.
    pub nanoseconds: u64,
}

impl Histogram {
    /// Counts a duration.
    pub fn record(&self, duration: Duration) {
        self.count(bucket(duration), duration);
    }

    /// Counts the duration of a decryption: into the sum goes the upper bound of its bucket, so that whoever reads the sum
    /// before and after learns no more exactly than from the buckets how long it took.
    pub fn record_coarsely(&self, duration: Duration) {
        let bucket = bucket(duration);
        let [.., longest] = BOUNDS;
        self.count(bucket, BOUNDS.get(bucket).copied().unwrap_or(longest));
    }

    /// What has been counted so far.
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets: self
                .buckets
                .iter()
                .map(|bucket| bucket.load(Ordering::Relaxed))
                .collect(),
            nanoseconds: self.nanoseconds.load(Ordering::Relaxed),
        }
    }

    fn count(&self, bucket: usize, duration: Duration) {
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        // Overflows after centuries of waiting.
        self.nanoseconds.fetch_add(nanoseconds(duration), Ordering::Relaxed);
    }
}

impl HistogramSnapshot {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| sum.saturating_add(*bucket))
    }

    /// The bound that so many of a hundred durations did not exceed, such as the median (50). `None` if there are none, or they
    /// exceed every bound.
    pub fn percentile(&self, of_a_hundred: u64) -> Option<Duration> {
        let all = u128::from(self.count());
        let within = (all * u128::from(of_a_hundred)).div_ceil(100).max(1);
        let mut counted = 0;
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            counted += u128::from(*bucket);
            if counted >= within {
                return Some(bound);
            }
        }
        None
    }

    /// Adds what another histogram of the same thing counted. Buckets beyond those that there are come to the last one.
    pub fn add(&mut self, other: &Self) {
        for (index, count) in other.buckets.iter().enumerate() {
            let index = index.min(BOUNDS.len());
            if let Some(bucket) = self.buckets.get_mut(index) {
                *bucket = bucket.saturating_add(*count);
            }
        }
        self.nanoseconds = self.nanoseconds.saturating_add(other.nanoseconds);
    }
}

impl Default for HistogramSnapshot {
    /// Every bucket, empty.
    fn default() -> Self {
        Self {
            buckets: vec![0; BOUNDS.len() + 1],
            nanoseconds: 0,
        }
    }
}

fn bucket(duration: Duration) -> usize {
    BOUNDS.partition_point(|bound| *bound < duration)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::default();
        histogram.record(Duration::ZERO);
        histogram.record(BOUNDS[3]);
        histogram.record(BOUNDS[3] + Duration::from_nanos(1));
        histogram.record(Duration::from_secs(31));
        let snapshot = histogram.snapshot();
        assert_eq!(
            (snapshot.buckets[0], snapshot.buckets[3], snapshot.buckets[4]),
            (1, 1, 1)
        );
        assert_eq!((snapshot.buckets[BOUNDS.len()], snapshot.count()), (1, 4));
        assert_eq!(snapshot.nanoseconds, 31_000_200_001);
    }

    #[test]
    fn the_sum_says_no_more_exactly_than_the_buckets_how_long_a_decryption_took() {
        let sums = [101, 170, 250].map(|microseconds| {
            let histogram = Histogram::default();
            histogram.record_coarsely(Duration::from_micros(microseconds));
            histogram.snapshot()
        });
        assert_eq!(sums[0].nanoseconds, 250_000);
        assert!(sums[0] == sums[1] && sums[1] == sums[2], "{sums:?}");
    }

    #[test]
    fn a_percentile_is_the_bound_that_so_many_did_not_exceed() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().percentile(50), None);
        histogram.record(BOUNDS[2]);
        assert_eq!(histogram.snapshot().percentile(1), Some(BOUNDS[2]));
        for _ in 0..98 {
            histogram.record(BOUNDS[2]);
        }
        histogram.record(BOUNDS[7]);
        let snapshot = histogram.snapshot();
        let percentiles = [50, 99, 100].map(|part| snapshot.percentile(part));
        assert_eq!(percentiles, [Some(BOUNDS[2]), Some(BOUNDS[2]), Some(BOUNDS[7])]);
        for _ in 0..100 {
            histogram.record(Duration::from_secs(40));
        }
        assert_eq!(histogram.snapshot().percentile(99), None);
    }

    #[test]
    fn what_two_histograms_counted_can_be_added_whatever_their_length() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_secs(40));
        let mut sum = histogram.snapshot();
        let odd = HistogramSnapshot {
            buckets: vec![u64::MAX; 100],
            nanoseconds: u64::MAX,
        };
        sum.add(&histogram.snapshot());
        assert_eq!((sum.count(), sum.nanoseconds), (2, 80_000_000_000));
        sum.add(&odd);
        assert_eq!((sum.buckets.len(), sum.nanoseconds), (BOUNDS.len() + 1, u64::MAX));
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted());
    }
}
