//! The algorithms this crate makes and reads, with their object identifiers. Here are names and sizes only; what computes
//! with them is in [`crate::digest`], `cipher` and `recipient`.

use std::fmt;

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5911, rfc5912, rfc8410};
use der::Any;
use der::asn1::{AnyRef, Null};
use rsa::pkcs1::RsaPssParams;
use spki::AlgorithmIdentifierOwned;

/// A digest algorithm (RFC 5754). SHA-1 is read, for old mail, and never chosen for anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestAlgorithm {
    /// SHA-1 (FIPS 180-4).
    Sha1,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-384 (FIPS 180-4).
    Sha384,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

impl DigestAlgorithm {
    /// All of them, weakest first.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The object identifier.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => rfc5912::ID_SHA_1,
            Self::Sha256 => rfc5912::ID_SHA_256,
            Self::Sha384 => rfc5912::ID_SHA_384,
            Self::Sha512 => rfc5912::ID_SHA_512,
        }
    }

    /// The algorithm with this object identifier.
    #[must_use]
    pub fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.oid() == oid)
    }

    /// The identifier to write into digestAlgorithms: parameters absent, as RFC 5754, section 2 asks.
    #[must_use]
    pub const fn algorithm_identifier(self) -> AlgorithmIdentifierOwned {
        AlgorithmIdentifierOwned {
            oid: self.oid(),
            parameters: None,
        }
    }

    /// Length of a digest in octets.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The value of the `micalg` parameter of multipart/signed (RFC 8551, section 3.5.3.2).
    #[must_use]
    pub const fn micalg(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Reads one value of `micalg`, in any case, with or without the hyphen.
    #[must_use]
    pub fn from_micalg(value: &str) -> Option<Self> {
        let value = value.trim();
        Self::ALL.into_iter().find(|algorithm| {
            value.eq_ignore_ascii_case(algorithm.micalg())
                || value.eq_ignore_ascii_case(&algorithm.micalg().replace('-', ""))
        })
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

/// A signature algorithm together with its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2).
    RsaPkcs1(DigestAlgorithm),
    /// RSASSA-PSS with MGF1 over the same digest and a salt as long as the digest (RFC 4056).
    RsaPss(DigestAlgorithm),
    /// ECDSA (RFC 5753, RFC 5754).
    Ecdsa(DigestAlgorithm),
    /// Ed25519, pure (RFC 8419).
    Ed25519,
}

impl SignatureAlgorithm {
    /// The digest that goes into messageDigest. Ed25519 goes with SHA-512 (RFC 8419, section 3.1).
    #[must_use]
    pub const fn digest(self) -> DigestAlgorithm {
        match self {
            Self::RsaPkcs1(digest) | Self::RsaPss(digest) | Self::Ecdsa(digest) => digest,
            Self::Ed25519 => DigestAlgorithm::Sha512,
        }
    }

    /// The identifier to write into SignerInfo.signatureAlgorithm.
    ///
    /// RSA v1.5 is written as `rsaEncryption` with NULL parameters, which every reader knows (RFC 3370, section 3.2);
    /// PSS with its parameters written out (RFC 4056, section 3); ECDSA and Ed25519 without parameters.
    #[must_use]
    pub fn algorithm_identifier(self) -> AlgorithmIdentifierOwned {
        match self {
            Self::RsaPkcs1(_) => AlgorithmIdentifierOwned {
                oid: rfc5912::RSA_ENCRYPTION,
                parameters: Some(Any::from(Null)),
            },
            Self::RsaPss(digest) => AlgorithmIdentifierOwned {
                oid: rfc5912::ID_RSASSA_PSS,
                parameters: pss_parameters(digest),
            },
            Self::Ecdsa(digest) => AlgorithmIdentifierOwned {
                oid: ecdsa_oid(digest),
                parameters: None,
            },
            Self::Ed25519 => AlgorithmIdentifierOwned {
                oid: rfc8410::ID_ED_25519,
                parameters: None,
            },
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1(digest) => write!(f, "RSA v1.5 with {digest}"),
            Self::RsaPss(digest) => write!(f, "RSA-PSS with {digest}"),
            Self::Ecdsa(digest) => write!(f, "ECDSA with {digest}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

fn pss_parameters(digest: DigestAlgorithm) -> Option<Any> {
    let parameters: RsaPssParams<AnyRef<'_>> = match digest {
        DigestAlgorithm::Sha1 => RsaPssParams::new::<sha1::Sha1>(20),
        DigestAlgorithm::Sha256 => RsaPssParams::new::<sha2::Sha256>(32),
        DigestAlgorithm::Sha384 => RsaPssParams::new::<sha2::Sha384>(48),
        DigestAlgorithm::Sha512 => RsaPssParams::new::<sha2::Sha512>(64),
    };
    Any::encode_from(&parameters).ok()
}

const fn ecdsa_oid(digest: DigestAlgorithm) -> ObjectIdentifier {
    match digest {
        DigestAlgorithm::Sha1 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
        DigestAlgorithm::Sha256 => rfc5912::ECDSA_WITH_SHA_256,
        DigestAlgorithm::Sha384 => rfc5912::ECDSA_WITH_SHA_384,
        DigestAlgorithm::Sha512 => rfc5912::ECDSA_WITH_SHA_512,
    }
}

/// How the content is encrypted: CBC in EnvelopedData (RFC 3565), GCM in AuthEnvelopedData (RFC 5083, RFC 5084).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentEncryptionAlgorithm {
    /// AES-128-CBC with PKCS #7 padding.
    Aes128Cbc,
    /// AES-192-CBC with PKCS #7 padding.
    Aes192Cbc,
    /// AES-256-CBC with PKCS #7 padding.
    Aes256Cbc,
    /// AES-128-GCM.
    Aes128Gcm,
    /// AES-192-GCM.
    Aes192Gcm,
    /// AES-256-GCM.
    Aes256Gcm,
}

impl ContentEncryptionAlgorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Aes128Cbc,
        Self::Aes192Cbc,
        Self::Aes256Cbc,
        Self::Aes128Gcm,
        Self::Aes192Gcm,
        Self::Aes256Gcm,
    ];

    /// The object identifier.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Aes128Cbc => rfc5911::ID_AES_128_CBC,
            Self::Aes192Cbc => rfc5911::ID_AES_192_CBC,
            Self::Aes256Cbc => rfc5911::ID_AES_256_CBC,
            Self::Aes128Gcm => rfc5911::ID_AES_128_GCM,
            Self::Aes192Gcm => rfc5911::ID_AES_192_GCM,
            Self::Aes256Gcm => rfc5911::ID_AES_256_GCM,
        }
    }

    /// The algorithm with this object identifier.
    #[must_use]
    pub fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.oid() == oid)
    }

    /// Length of the content-encryption key in octets.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Cbc | Self::Aes128Gcm => 16,
            Self::Aes192Cbc | Self::Aes192Gcm => 24,
            Self::Aes256Cbc | Self::Aes256Gcm => 32,
        }
    }

    /// Whether a change to the ciphertext is found out (GCM), or not (CBC).
    #[must_use]
    pub const fn is_authenticated(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm)
    }
}

impl fmt::Display for ContentEncryptionAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128Cbc => "AES-128-CBC",
            Self::Aes192Cbc => "AES-192-CBC",
            Self::Aes256Cbc => "AES-256-CBC",
            Self::Aes128Gcm => "AES-128-GCM",
            Self::Aes192Gcm => "AES-192-GCM",
            Self::Aes256Gcm => "AES-256-GCM",
        })
    }
}

/// How the content-encryption key reaches a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyManagementAlgorithm {
    /// RSAES-PKCS1-v1_5 (RFC 3370, section 4.2.1).
    RsaPkcs1,
    /// RSAES-OAEP (RFC 3560).
    RsaOaep,
    /// Ephemeral-static Diffie-Hellman on an elliptic curve, and AES key wrap (RFC 5753, RFC 8418).
    Ecdh,
}

impl fmt::Display for KeyManagementAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RsaPkcs1 => "RSA v1.5",
            Self::RsaOaep => "RSA-OAEP",
            Self::Ecdh => "ECDH",
        })
    }
}

/// What kind of public key a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublicKeyAlgorithm {
    /// RSA.
    Rsa {
        /// Length of the modulus in bits.
        bits: u32,
    },
    /// The curve P-256 (secp256r1).
    P256,
    /// The curve P-384 (secp384r1).
    P384,
    /// The curve P-521 (secp521r1).
    P521,
    /// Ed25519, which signs only.
    Ed25519,
    /// X25519, which agrees on keys only.
    X25519,
}

impl fmt::Display for PublicKeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::X25519 => f.write_str("X25519"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use der::Encode;

    use super::*;

    #[test]
    fn micalg_is_read_with_and_without_hyphen_in_any_case() {
        for (value, algorithm) in [
            ("sha-256", Some(DigestAlgorithm::Sha256)),
            ("SHA256", Some(DigestAlgorithm::Sha256)),
            (" Sha-512 ", Some(DigestAlgorithm::Sha512)),
            ("sha1", Some(DigestAlgorithm::Sha1)),
            ("sha-384", Some(DigestAlgorithm::Sha384)),
            ("md5", None),
            ("", None),
            ("sha-", None),
        ] {
            assert_eq!(DigestAlgorithm::from_micalg(value), algorithm, "{value}");
        }
    }

    #[test]
    fn every_identifier_finds_its_way_back() {
        for algorithm in DigestAlgorithm::ALL {
            assert_eq!(DigestAlgorithm::from_oid(algorithm.oid()), Some(algorithm));
        }
        for algorithm in ContentEncryptionAlgorithm::ALL {
            assert_eq!(ContentEncryptionAlgorithm::from_oid(algorithm.oid()), Some(algorithm));
        }
        assert_eq!(DigestAlgorithm::from_oid(rfc5911::ID_AES_128_CBC), None);
    }

    #[test]
    fn pss_parameters_name_digest_mgf1_and_salt_length() {
        // RFC 4055, section 3.1: rSASSA-PSS-SHA256-Params, with hash parameters NULL.
        let der = SignatureAlgorithm::RsaPss(DigestAlgorithm::Sha256)
            .algorithm_identifier()
            .to_der()
            .unwrap();
        let expected = [
            &[0x30, 0x41, 0x06, 0x09][..],
            &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a],
            &[
                0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
            ],
            &[
                0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08,
            ],
            &[
                0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
            ],
            &[0xa2, 0x03, 0x02, 0x01, 0x20],
        ]
        .concat();
        assert_eq!(der, expected);
    }

    #[test]
    fn rsa_has_null_parameters_and_ecdsa_has_none() {
        let rsa = SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256).algorithm_identifier();
        assert!(rsa.parameters.unwrap().is_null());
        assert_eq!(
            SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha384)
                .algorithm_identifier()
                .parameters,
            None
        );
        assert_eq!(SignatureAlgorithm::Ed25519.digest(), DigestAlgorithm::Sha512);
    }
}
