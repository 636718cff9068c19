//! Medians, and rounds in which everybody takes a turn.

use anyhow::{Context as _, Result};

/// The median; of an even number of values the upper one.
pub(crate) fn median(values: &[f64]) -> Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len() / 2)
        .copied()
        .context("no values to take the median of")
}

/// The median of `values[i] / others[i]`.
pub(crate) fn median_ratio(values: &[f64], others: &[f64]) -> Result<f64> {
    let ratios: Vec<f64> = values.iter().zip(others).map(|(value, other)| value / other).collect();
    median(&ratios)
}
