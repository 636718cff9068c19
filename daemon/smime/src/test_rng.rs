//! Randomness for unit tests that is the same in every run.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

/// A stream of SHA-256 digests of a counter.
pub(crate) struct TestRng {
    seed: u64,
    counter: u64,
    ready: Vec<u8>,
}

impl TestRng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: 0,
            ready: Vec::new(),
        }
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let Ok(number) = self.try_next_u32();
        number as usize % bound
    }

    pub(crate) fn octets(&mut self, len: usize) -> Vec<u8> {
        let mut octets = vec![0; len];
        let Ok(()) = self.try_fill_bytes(&mut octets);
        octets
    }
}

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.try_fill_bytes(&mut octets)?;
        Ok(u32::from_le_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        Ok(u64::from_le_bytes(octets))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        for octet in octets {
            if self.ready.is_empty() {
                let mut digest = Sha256::new();
                digest.update(self.seed.to_le_bytes());
                digest.update(self.counter.to_le_bytes());
                self.counter += 1;
                self.ready = digest.finalize().to_vec();
            }
            *octet = self.ready.pop().unwrap_or_default();
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}
