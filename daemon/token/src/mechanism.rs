//! What a key is asked to do, in terms that the token does not have to know: hashing and DigestInfo happen here.

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::catalogue::KeyAlgorithm;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Digest {
    /// SHA-1: for OAEP and old mail only.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A signature mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SignMechanism {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2).
    RsaPkcs1(Digest),
    /// RSASSA-PSS (RFC 8017 section 8.1), MGF1 with the same digest, salt as long as the digest.
    RsaPss(Digest),
    /// ECDSA; the answer is a DER ECDSA-Sig-Value (RFC 3279 section 2.2.3).
    Ecdsa(Digest),
    /// Ed25519 (RFC 8032), over the data itself.
    Ed25519,
}

/// What is to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInput {
    /// The digest, computed by the caller.
    Digest(Vec<u8>),
    /// The data; hashed here, in software, before the job is queued.
    Data(Vec<u8>),
}

/// A key-transport scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecryptScheme {
    /// RSAES-PKCS1-v1_5 (RFC 8017 section 7.2).
    RsaPkcs1,
    /// RSAES-OAEP (RFC 8017 section 7.1).
    RsaOaep {
        /// The digest of the label.
        digest: Digest,
        /// The digest of MGF1.
        mgf1: Digest,
        /// The label, mostly empty.
        label: Vec<u8>,
    },
}

impl Digest {
    /// Length of its value in bytes.
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(crate) fn hash(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha384 => Sha384::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    /// The DER of DigestInfo up to the digest itself (RFC 8017 section 9.2, note 1).
    const fn digest_info(self) -> &'static [u8] {
        match self {
            Self::Sha1 => &[0x30, 0x21, 0x30, 0x09, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x14],
            Self::Sha256 => &[
                0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20,
            ],
            Self::Sha384 => &[
                0x30, 0x41, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2, 5, 0, 4, 0x30,
            ],
            Self::Sha512 => &[
                0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3, 5, 0, 4, 0x40,
            ],
        }
    }
}

impl SignMechanism {
    /// The name used in errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaPkcs1(_) => "RSA PKCS#1 v1.5 signing",
            Self::RsaPss(_) => "RSA PSS signing",
            Self::Ecdsa(_) => "ECDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Whether keys of this algorithm can do it.
    pub(crate) const fn fits(self, algorithm: KeyAlgorithm) -> bool {
        matches!(
            (self, algorithm),
            (Self::RsaPkcs1(_) | Self::RsaPss(_), KeyAlgorithm::Rsa { .. })
                | (
                    Self::Ecdsa(_),
                    KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::P521
                )
                | (Self::Ed25519, KeyAlgorithm::Ed25519)
        )
    }

    /// The bytes that C_Sign is given, apart from the truncation of ECDSA digests, which depends on the key.
    pub(crate) fn prepare(self, input: SignInput) -> Result<Vec<u8>, &'static str> {
        let digest = match self {
            Self::RsaPkcs1(digest) | Self::RsaPss(digest) | Self::Ecdsa(digest) => digest,
            Self::Ed25519 => {
                return match input {
                    SignInput::Data(data) => Ok(data),
                    SignInput::Digest(_) => Err("Ed25519 signs data, not a digest"),
                };
            }
        };
        let value = match input {
            SignInput::Data(data) => digest.hash(&data),
            SignInput::Digest(value) if value.len() == digest.output_len() => value,
            SignInput::Digest(_) => return Err("the digest's length is not that of its algorithm"),
        };
        match self {
            Self::RsaPkcs1(_) => Ok([digest.digest_info(), &value].concat()),
            _ => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use der::{Encode, asn1::AnyRef, asn1::OctetStringRef};
    use spki::AlgorithmIdentifierRef;

    use super::*;

    #[test]
    fn digest_info_prefixes_are_what_der_encodes() {
        for (digest, oid) in [
            (Digest::Sha1, "1.3.14.3.2.26"),
            (Digest::Sha256, "2.16.840.1.101.3.4.2.1"),
            (Digest::Sha384, "2.16.840.1.101.3.4.2.2"),
            (Digest::Sha512, "2.16.840.1.101.3.4.2.3"),
        ] {
            let value = digest.hash(b"data");
            let algorithm = AlgorithmIdentifierRef {
                oid: oid.parse().unwrap(),
                parameters: Some(AnyRef::NULL),
            };
            let mut content = algorithm.to_der().unwrap();
            content.extend(OctetStringRef::new(&value).unwrap().to_der().unwrap());
            let expected = AnyRef::new(der::Tag::Sequence, &content).unwrap().to_der().unwrap();
            let prepared = SignMechanism::RsaPkcs1(digest)
                .prepare(SignInput::Data(b"data".to_vec()))
                .unwrap();
            assert_eq!(prepared, expected);
        }
    }

    #[test]
    fn a_digest_of_another_length_is_refused() {
        let input = SignInput::Digest(vec![0; 31]);
        assert!(SignMechanism::Ecdsa(Digest::Sha256).prepare(input).is_err());
    }

    #[test]
    fn ed25519_takes_data_only() {
        assert!(SignMechanism::Ed25519.prepare(SignInput::Digest(vec![0; 64])).is_err());
        assert_eq!(SignMechanism::Ed25519.prepare(SignInput::Data(vec![7])), Ok(vec![7]));
    }
}
