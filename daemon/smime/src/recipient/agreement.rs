//! From a shared secret to a key-encryption key, and the key wrap under it (RFC 5753, section 7; RFC 8418, section 2;
//! RFC 3394).

use aes_kw::{KeyInit, KwAes128, KwAes192, KwAes256};
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5753, rfc5911};
use digest::Digest;
use hkdf::Hkdf;
use hkdf::hmac::EagerHash;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::ber::encode::{OCTET_STRING, OID, SEQUENCE, push_tlv, tlv};

/// dhSinglePass-stdDH-hkdf-sha256-scheme and its sisters (RFC 8418, section 4).
const HKDF_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.3.19");
const HKDF_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.3.20");
const HKDF_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.3.21");

/// The key derivation function that a keyEncryptionAlgorithm names together with Diffie-Hellman.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kdf {
    /// The function of ANSI X9.63 (SEC 1, section 3.6.1).
    X963(KdfDigest),
    /// HKDF (RFC 5869).
    Hkdf(KdfDigest),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KdfDigest {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Kdf {
    /// Diffie-Hellman with and without cofactor is the same on the curves that are supported: their cofactor is 1, or
    /// X25519 takes care of it.
    pub(super) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        use KdfDigest::{Sha1, Sha224, Sha256, Sha384, Sha512};
        Some(match oid {
            rfc5753::DH_SINGLE_PASS_STD_DH_SHA_1_KDF_SCHEME | rfc5753::DH_SINGLE_PASS_COFACTOR_DH_SHA_1_KDF_SCHEME => {
                Self::X963(Sha1)
            }
            rfc5753::DH_SINGLE_PASS_STD_DH_SHA_224_KDF_SCHEME
            | rfc5753::DH_SINGLE_PASS_COFACTOR_DH_SHA_224_KDF_SCHEME => Self::X963(Sha224),
            rfc5753::DH_SINGLE_PASS_STD_DH_SHA_256_KDF_SCHEME
            | rfc5753::DH_SINGLE_PASS_COFACTOR_DH_SHA_256_KDF_SCHEME => Self::X963(Sha256),
            rfc5753::DH_SINGLE_PASS_STD_DH_SHA_384_KDF_SCHEME
            | rfc5753::DH_SINGLE_PASS_COFACTOR_DH_SHA_384_KDF_SCHEME => Self::X963(Sha384),
            rfc5753::DH_SINGLE_PASS_STD_DH_SHA_512_KDF_SCHEME
            | rfc5753::DH_SINGLE_PASS_COFACTOR_DH_SHA_512_KDF_SCHEME => Self::X963(Sha512),
            HKDF_SHA256 => Self::Hkdf(Sha256),
            HKDF_SHA384 => Self::Hkdf(Sha384),
            HKDF_SHA512 => Self::Hkdf(Sha512),
            _ => return None,
        })
    }

    /// What is made for the NIST curves.
    pub(super) const X963_SHA256: (Self, ObjectIdentifier) = (
        Self::X963(KdfDigest::Sha256),
        rfc5753::DH_SINGLE_PASS_STD_DH_SHA_256_KDF_SCHEME,
    );
    /// What is made for X25519.
    pub(super) const HKDF_SHA256: (Self, ObjectIdentifier) = (Self::Hkdf(KdfDigest::Sha256), HKDF_SHA256);

    /// The key-encryption key.
    pub(super) fn derive(self, secret: &[u8], wrap: KeyWrap, shared: Shared<'_>) -> Zeroizing<Vec<u8>> {
        let info = shared.info(wrap);
        let mut kek = Zeroizing::new(vec![0; wrap.key_len()]);
        match self {
            Self::X963(KdfDigest::Sha1) => x963::<Sha1>(secret, &info, &mut kek),
            Self::X963(KdfDigest::Sha224) => x963::<Sha224>(secret, &info, &mut kek),
            Self::X963(KdfDigest::Sha256) => x963::<Sha256>(secret, &info, &mut kek),
            Self::X963(KdfDigest::Sha384) => x963::<Sha384>(secret, &info, &mut kek),
            Self::X963(KdfDigest::Sha512) => x963::<Sha512>(secret, &info, &mut kek),
            Self::Hkdf(KdfDigest::Sha384) => expand::<Sha384>(secret, shared.ukm, &info, &mut kek),
            Self::Hkdf(KdfDigest::Sha512) => expand::<Sha512>(secret, shared.ukm, &info, &mut kek),
            // No other HKDF has an identifier.
            Self::Hkdf(_) => expand::<Sha256>(secret, shared.ukm, &info, &mut kek),
        }
        kek
    }
}

/// What both sides put into the derivation beside the secret.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    /// User keying material, if the message has any.
    pub(super) ukm: Option<&'a [u8]>,
    /// Whether the AlgorithmIdentifier of the key wrap has NULL parameters. RFC 5753 wants them absent; some write NULL.
    pub(super) null_parameters: bool,
}

impl Shared<'_> {
    /// The DER of ECC-CMS-SharedInfo (RFC 5753, section 7.2).
    fn info(self, wrap: KeyWrap) -> Vec<u8> {
        let mut fields = wrap.identifier(self.null_parameters);
        if let Some(ukm) = self.ukm {
            push_tlv(0xa0, &tlv(OCTET_STRING, ukm), &mut fields);
        }
        let kek_bits = wrap.key_bits().to_be_bytes();
        push_tlv(0xa2, &tlv(OCTET_STRING, &kek_bits), &mut fields);
        tlv(SEQUENCE, &fields)
    }
}

fn x963<D: Digest>(secret: &[u8], info: &[u8], out: &mut [u8]) {
    for (piece, counter) in out.chunks_mut(<D as Digest>::output_size()).zip(1_u32..) {
        let mut digest = D::new();
        digest.update(secret);
        digest.update(counter.to_be_bytes());
        digest.update(info);
        let digest = Zeroizing::new(digest.finalize().to_vec());
        for (octet, value) in piece.iter_mut().zip(digest.iter()) {
            *octet = *value;
        }
    }
}

/// RFC 8418, section 2.2: the user keying material, if any, is the salt.
fn expand<D: EagerHash>(secret: &[u8], salt: Option<&[u8]>, info: &[u8], out: &mut [u8]) {
    // It fails for outputs above 255 digests only; a key-encryption key is one digest at most.
    let _ = Hkdf::<D>::new(salt, secret).expand(info, out);
}

/// AES key wrap (RFC 3565, section 2.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyWrap {
    Aes128,
    Aes192,
    Aes256,
}

impl KeyWrap {
    pub(super) const fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            rfc5911::ID_AES_128_WRAP => Some(Self::Aes128),
            rfc5911::ID_AES_192_WRAP => Some(Self::Aes192),
            rfc5911::ID_AES_256_WRAP => Some(Self::Aes256),
            _ => None,
        }
    }

    /// The key wrap as strong as a content-encryption key of this length.
    pub(super) const fn for_key_len(len: usize) -> Self {
        match len {
            0..=16 => Self::Aes128,
            17..=24 => Self::Aes192,
            _ => Self::Aes256,
        }
    }

    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Aes128 => rfc5911::ID_AES_128_WRAP,
            Self::Aes192 => rfc5911::ID_AES_192_WRAP,
            Self::Aes256 => rfc5911::ID_AES_256_WRAP,
        }
    }

    const fn key_bits(self) -> u32 {
        match self {
            Self::Aes128 => 128,
            Self::Aes192 => 192,
            Self::Aes256 => 256,
        }
    }

    const fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// The DER of its AlgorithmIdentifier.
    pub(super) fn identifier(self, null_parameters: bool) -> Vec<u8> {
        let mut fields = tlv(OID, self.oid().as_bytes());
        if null_parameters {
            fields.extend_from_slice(&[0x05, 0x00]);
        }
        tlv(SEQUENCE, &fields)
    }

    /// Wraps a key of a multiple of eight octets under a key-encryption key made by [`Kdf::derive`].
    pub(super) fn wrap(self, kek: &[u8], key: &[u8]) -> Option<Vec<u8>> {
        let mut wrapped = vec![0; key.len().checked_add(8)?];
        match self {
            Self::Aes128 => KwAes128::new_from_slice(kek).ok()?.wrap_key(key, &mut wrapped).ok()?,
            Self::Aes192 => KwAes192::new_from_slice(kek).ok()?.wrap_key(key, &mut wrapped).ok()?,
            Self::Aes256 => KwAes256::new_from_slice(kek).ok()?.wrap_key(key, &mut wrapped).ok()?,
        };
        Some(wrapped)
    }

    /// Unwraps a key into `key`, whose length says how long it must be.
    pub(super) fn unwrap(self, kek: &[u8], wrapped: &[u8], key: &mut [u8]) -> bool {
        wrapped.len() == key.len().saturating_add(8)
            && match self {
                Self::Aes128 => KwAes128::new_from_slice(kek).is_ok_and(|kw| kw.unwrap_key(wrapped, key).is_ok()),
                Self::Aes192 => KwAes192::new_from_slice(kek).is_ok_and(|kw| kw.unwrap_key(wrapped, key).is_ok()),
                Self::Aes256 => KwAes256::new_from_slice(kek).is_ok_and(|kw| kw.unwrap_key(wrapped, key).is_ok()),
            }
    }
}
