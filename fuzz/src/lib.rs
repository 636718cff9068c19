//! What the fuzz targets share: inputs in pieces, and randomness that is none.
//!
//! A machine that is fed a message in pieces must come to the same end as one that gets it whole: every target over a state
//! machine runs it both ways and compares. Which of several errors is told first may differ.
#![forbid(unsafe_code)]

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// `data` whole, and in pieces whose length depends on its own (so that an input always runs the same way).
#[must_use]
pub fn both_ways(data: &[u8]) -> [Vec<&[u8]>; 2] {
    [vec![data], data.chunks(1 + data.len() % 97).collect()]
}

/// Every octet is 42. With it the content-encryption key of a message is the same when it is made and when it is opened,
/// so that the fuzzer gets past the tag of the seeds.
#[derive(Debug)]
pub struct FortyTwo;

impl TryRng for FortyTwo {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes([42; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes([42; 8]))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        octets.fill(42);
        Ok(())
    }
}

impl TryCryptoRng for FortyTwo {}
