//! What a token holds: its private keys with their public halves, and certificates. What a key is for is decided in the daemon.
//!
//! `read` fetches objects through the module, `spki` builds public keys from their attributes, `certificate` reads what
//! matters here of certificates, and `assemble` puts them together. Only `read` knows PKCS#11.

pub(crate) mod assemble;
pub(crate) mod certificate;
pub(crate) mod read;
pub(crate) mod spki;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::key::KeyId;

/// The private keys of a token, sorted by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The keys, each once, sorted by id.
    pub keys: Vec<KeyEntry>,
    /// DER certificates on the token that belong to none of its keys: issuers, as a rule.
    pub others: Vec<Vec<u8>>,
}

impl Catalogue {
    /// The key with this id.
    pub fn lookup(&self, id: KeyId) -> Option<&KeyEntry> {
        self.keys
            .binary_search_by_key(&id, |key| key.id)
            .ok()
            .and_then(|index| self.keys.get(index))
    }
}

/// A private key and what belongs to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// SHA-256 of `spki_der`.
    pub id: KeyId,
    /// Its algorithm.
    pub algorithm: KeyAlgorithm,
    /// DER SubjectPublicKeyInfo of the public half.
    pub spki_der: Vec<u8>,
    /// CKA_ID.
    pub object_id: Vec<u8>,
    /// CKA_LABEL.
    pub label: String,
    /// CKA_SIGN, on algorithms that sign.
    pub can_sign: bool,
    /// CKA_DECRYPT or CKA_UNWRAP on RSA keys, CKA_DERIVE on keys for key agreement.
    pub can_decrypt: bool,
    /// CKA_ALWAYS_AUTHENTICATE: the PIN is presented for each operation.
    pub always_authenticate: bool,
    /// DER certificates for this public key, on the token or given from outside, latest notBefore first.
    pub certificates: Vec<Vec<u8>>,
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyEntry")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .field("label", &self.label)
            .field("can_sign", &self.can_sign)
            .field("can_decrypt", &self.can_decrypt)
            .field("always_authenticate", &self.always_authenticate)
            .field("certificates", &self.certificates.len())
            .finish_non_exhaustive()
    }
}

/// The algorithms that are listed; keys of others are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// RSA.
    Rsa {
        /// Length of the modulus.
        bits: u32,
    },
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Ed25519.
    Ed25519,
    /// X25519.
    X25519,
}
