//! Content encryption as streaming machines: octets in, octets appended to a buffer, whatever the size of the pieces.
//! Which key is used and how it reached the recipient is `recipient`'s matter; where the octets stand in a message that of
//! `encrypt` and `decrypt`.
//!
//! ```text
//!   parameters   the AlgorithmIdentifier of either, read and written
//!   cbc          AES-CBC with PKCS #7 padding
//!   gcm          AES-GCM: sealing; checking a tag without decrypting; decrypting afterwards
//! ```

mod cbc;
mod gcm;
mod parameters;

use std::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub(crate) use self::cbc::{CbcDecryptor, CbcEncryptor, PaddingError};
pub(crate) use self::gcm::{ContentTooLong, CtrDecryptor, GcmSealer, GcmVerifier};
pub use self::parameters::ParametersError;
pub(crate) use self::parameters::{ContentEncryption, Mode};
use crate::algorithm::ContentEncryptionAlgorithm;

/// A content-encryption key: octets of the length that its algorithm wants. Erased when dropped.
#[derive(Clone)]
pub struct ContentKey {
    octets: Zeroizing<Vec<u8>>,
}

impl ContentKey {
    /// A new key.
    pub(crate) fn generate(algorithm: ContentEncryptionAlgorithm, rng: &mut impl CryptoRng) -> Self {
        let mut octets = Zeroizing::new(vec![0; algorithm.key_len()]);
        rng.fill_bytes(&mut octets);
        Self { octets }
    }

    pub(crate) const fn from_octets(octets: Zeroizing<Vec<u8>>) -> Self {
        Self { octets }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }
}

impl PartialEq for ContentKey {
    /// In constant time for keys of the same length.
    fn eq(&self, other: &Self) -> bool {
        self.octets.ct_eq(&other.octets).into()
    }
}

impl Eq for ContentKey {}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(…)")
    }
}

/// The key is not of a length that AES knows. [`ContentKey`]s are made to the length of their algorithm, so this is a
/// mistake in the program, reported instead of a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content-encryption key is not 16, 24 or 32 octets long")]
pub(crate) struct KeyLengthError;

#[cfg(test)]
mod tests;
