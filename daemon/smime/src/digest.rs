//! A running digest over one or several algorithms at once, so that content which is seen only once can be checked
//! against every signer. Which algorithms exist is in [`crate::algorithm`].

use std::fmt;

use digest::Digest;

use crate::algorithm::DigestAlgorithm;

/// Digests in progress.
#[derive(Clone)]
pub struct Digester {
    running: Vec<Running>,
}

impl Digester {
    /// Starts a digest for each algorithm; one named twice is computed once.
    #[must_use]
    pub fn new(algorithms: &[DigestAlgorithm]) -> Self {
        let mut running: Vec<Running> = Vec::with_capacity(algorithms.len().min(DigestAlgorithm::ALL.len()));
        for &algorithm in algorithms {
            if running.iter().all(|started| started.algorithm() != algorithm) {
                running.push(Running::new(algorithm));
            }
        }
        Self { running }
    }

    /// Digests more octets.
    pub fn update(&mut self, octets: &[u8]) {
        for digest in &mut self.running {
            digest.update(octets);
        }
    }

    /// The digests, in the order in which their algorithms were first named.
    #[must_use]
    pub fn finish(self) -> Vec<(DigestAlgorithm, Vec<u8>)> {
        self.running
            .into_iter()
            .map(|digest| (digest.algorithm(), digest.finish()))
            .collect()
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.running.iter().map(Running::algorithm))
            .finish()
    }
}

/// The digest of octets that are all at hand.
#[must_use]
pub fn digest(algorithm: DigestAlgorithm, octets: &[u8]) -> Vec<u8> {
    let mut running = Running::new(algorithm);
    running.update(octets);
    running.finish()
}

#[derive(Clone)]
enum Running {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Running {
    fn new(algorithm: DigestAlgorithm) -> Self {
        match algorithm {
            DigestAlgorithm::Sha1 => Self::Sha1(Digest::new()),
            DigestAlgorithm::Sha256 => Self::Sha256(Digest::new()),
            DigestAlgorithm::Sha384 => Self::Sha384(Digest::new()),
            DigestAlgorithm::Sha512 => Self::Sha512(Digest::new()),
        }
    }

    const fn algorithm(&self) -> DigestAlgorithm {
        match self {
            Self::Sha1(_) => DigestAlgorithm::Sha1,
            Self::Sha256(_) => DigestAlgorithm::Sha256,
            Self::Sha384(_) => DigestAlgorithm::Sha384,
            Self::Sha512(_) => DigestAlgorithm::Sha512,
        }
    }

    fn update(&mut self, octets: &[u8]) {
        match self {
            Self::Sha1(digest) => digest.update(octets),
            Self::Sha256(digest) => digest.update(octets),
            Self::Sha384(digest) => digest.update(octets),
            Self::Sha512(digest) => digest.update(octets),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(digest) => digest.finalize().to_vec(),
            Self::Sha256(digest) => digest.finalize().to_vec(),
            Self::Sha384(digest) => digest.finalize().to_vec(),
            Self::Sha512(digest) => digest.finalize().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// FIPS 180-4, the example message "abc".
    #[test]
    fn several_digests_of_abc_are_those_of_fips_180_4_in_the_order_asked_for() {
        let mut digester = Digester::new(&[DigestAlgorithm::Sha256, DigestAlgorithm::Sha1, DigestAlgorithm::Sha256]);
        digester.update(b"a");
        digester.update(b"");
        digester.update(b"bc");
        let digests = digester.finish();
        assert_eq!(digests.len(), 2);
        assert_eq!(digests[0].0, DigestAlgorithm::Sha256);
        assert_eq!(
            hex(&digests[0].1),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digests[1].0, DigestAlgorithm::Sha1);
        assert_eq!(hex(&digests[1].1), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn a_digest_has_the_length_that_its_algorithm_states() {
        for algorithm in DigestAlgorithm::ALL {
            assert_eq!(digest(algorithm, b"abc").len(), algorithm.output_len());
        }
    }
}
