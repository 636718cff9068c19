//! Signatures: which scheme a SignerInfo names, and whether a signature verifies under a certificate's key. Nothing is
//! signed here: private keys are somewhere else.

use std::fmt;

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5912, rfc8410};
use der::Sequence;
use digest::const_oid::AssociatedOid;
use digest::{Digest, FixedOutputReset};
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::SignatureScheme;
use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey};
use signature::hazmat::PrehashVerifier as _;
use spki::AlgorithmIdentifierOwned;

use crate::algorithm::{DigestAlgorithm, PublicKeyAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;
use crate::digest::digest;

/// What was signed.
#[derive(Clone, Copy)]
pub(crate) enum Message<'a> {
    Octets(&'a [u8]),
    /// Only its digest is at hand, with the algorithm of the scheme.
    Digest(&'a [u8]),
}

/// A signature algorithm with all that its parameters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scheme {
    pub(crate) algorithm: SignatureAlgorithm,
    /// Octets of salt; PSS alone.
    salt_len: usize,
}

/// Why a signature algorithm cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SchemeError {
    Unknown(ObjectIdentifier),
    /// Its own digest algorithm is not that of the SignerInfo.
    OtherDigest {
        named: ObjectIdentifier,
    },
    /// RSASSA-PSS-params that are malformed or not supported.
    Pss(&'static str),
}

impl fmt::Display for SchemeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(oid) => write!(f, "signature algorithm {oid} is not supported"),
            Self::OtherDigest { named } => {
                write!(
                    f,
                    "the signature algorithm names digest algorithm {named}, the digestAlgorithm field another"
                )
            }
            Self::Pss(reason) => write!(f, "the RSASSA-PSS parameters {reason}"),
        }
    }
}

impl Scheme {
    /// The scheme of a SignerInfo with this signatureAlgorithm and digestAlgorithm (RFC 5754, section 3; RFC 4056, section
    /// 3; RFC 8419, section 3).
    pub(crate) fn read(identifier: &AlgorithmIdentifierOwned, digest: DigestAlgorithm) -> Result<Self, SchemeError> {
        let own_digest = |own: DigestAlgorithm| {
            if own == digest {
                Ok(digest)
            } else {
                Err(SchemeError::OtherDigest { named: own.oid() })
            }
        };
        let algorithm = match identifier.oid {
            rfc5912::RSA_ENCRYPTION => SignatureAlgorithm::RsaPkcs1(digest),
            rfc5912::SHA_1_WITH_RSA_ENCRYPTION => SignatureAlgorithm::RsaPkcs1(own_digest(DigestAlgorithm::Sha1)?),
            rfc5912::SHA_256_WITH_RSA_ENCRYPTION => SignatureAlgorithm::RsaPkcs1(own_digest(DigestAlgorithm::Sha256)?),
            rfc5912::SHA_384_WITH_RSA_ENCRYPTION => SignatureAlgorithm::RsaPkcs1(own_digest(DigestAlgorithm::Sha384)?),
            rfc5912::SHA_512_WITH_RSA_ENCRYPTION => SignatureAlgorithm::RsaPkcs1(own_digest(DigestAlgorithm::Sha512)?),
            rfc5912::ID_RSASSA_PSS => return PssParameters::read(identifier)?.scheme(digest),
            // Some signers name the key's algorithm, as is usual for RSA.
            rfc5912::ID_EC_PUBLIC_KEY => SignatureAlgorithm::Ecdsa(digest),
            ECDSA_WITH_SHA_1 => SignatureAlgorithm::Ecdsa(own_digest(DigestAlgorithm::Sha1)?),
            rfc5912::ECDSA_WITH_SHA_256 => SignatureAlgorithm::Ecdsa(own_digest(DigestAlgorithm::Sha256)?),
            rfc5912::ECDSA_WITH_SHA_384 => SignatureAlgorithm::Ecdsa(own_digest(DigestAlgorithm::Sha384)?),
            rfc5912::ECDSA_WITH_SHA_512 => SignatureAlgorithm::Ecdsa(own_digest(DigestAlgorithm::Sha512)?),
            rfc8410::ID_ED_25519 => SignatureAlgorithm::Ed25519,
            oid => return Err(SchemeError::Unknown(oid)),
        };
        Ok(Self::from(algorithm))
    }
}

/// PSS with a salt as long as the digest.
impl From<SignatureAlgorithm> for Scheme {
    fn from(algorithm: SignatureAlgorithm) -> Self {
        Self {
            algorithm,
            salt_len: algorithm.digest().output_len(),
        }
    }
}

const ECDSA_WITH_SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");

/// RSASSA-PSS-params (RFC 8017, appendix A.2.3). The pkcs1 crate's do not hold a salt of more than 255 octets.
#[derive(Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask_gen: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    salt_len: Option<u16>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer_field: Option<u8>,
}

impl PssParameters {
    fn read(identifier: &AlgorithmIdentifierOwned) -> Result<Self, SchemeError> {
        identifier
            .parameters
            .as_ref()
            .ok_or(SchemeError::Pss("are missing"))?
            .decode_as()
            .map_err(|_| SchemeError::Pss("are malformed"))
    }

    fn scheme(&self, digest: DigestAlgorithm) -> Result<Scheme, SchemeError> {
        let hash = self.hash.as_ref().map_or(rfc5912::ID_SHA_1, |hash| hash.oid);
        if hash != digest.oid() {
            return Err(SchemeError::OtherDigest { named: hash });
        }
        let mask_hash = match &self.mask_gen {
            None => rfc5912::ID_SHA_1,
            Some(mask_gen) if mask_gen.oid == rfc5912::ID_MGF_1 => {
                mask_gen
                    .parameters
                    .as_ref()
                    .and_then(|hash| hash.decode_as::<AlgorithmIdentifierOwned>().ok())
                    .ok_or(SchemeError::Pss("have a malformed mask generation function"))?
                    .oid
            }
            Some(_) => return Err(SchemeError::Pss("name a mask generation function other than MGF1")),
        };
        if mask_hash != hash {
            return Err(SchemeError::Pss("name one digest for the message and another for MGF1"));
        }
        if self.trailer_field.is_some_and(|trailer| trailer != 1) {
            return Err(SchemeError::Pss("have an unknown trailer field"));
        }
        Ok(Scheme {
            algorithm: SignatureAlgorithm::RsaPss(digest),
            salt_len: self.salt_len.unwrap_or(20).into(),
        })
    }
}

impl Certificate {
    /// Whether `signature` over `message` verifies under this certificate's key. ECDSA signatures are DER
    /// ECDSA-Sig-Values. PSS wants a salt as long as the digest. False too if the key is of another kind.
    #[must_use]
    pub fn verifies(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        self.verifies_with(Scheme::from(algorithm), Message::Octets(message), signature)
    }

    /// The same when only the digest of the message is at hand. Always false for Ed25519, which needs the message.
    #[must_use]
    pub fn verifies_digest(&self, algorithm: SignatureAlgorithm, digest: &[u8], signature: &[u8]) -> bool {
        self.verifies_with(Scheme::from(algorithm), Message::Digest(digest), signature)
    }

    pub(crate) fn verifies_with(&self, scheme: Scheme, message: Message<'_>, signature: &[u8]) -> bool {
        let Some(key) = self.public_key_algorithm() else {
            return false;
        };
        match (scheme.algorithm, key) {
            (SignatureAlgorithm::RsaPkcs1(hash), PublicKeyAlgorithm::Rsa { .. }) if !self.is_pss_only() => {
                self.verifies_rsa(pkcs1(hash), &message.digest(hash), signature)
            }
            (SignatureAlgorithm::RsaPss(hash), PublicKeyAlgorithm::Rsa { .. }) => {
                self.verifies_pss(hash, scheme.salt_len, &message.digest(hash), signature)
            }
            (SignatureAlgorithm::Ecdsa(hash), PublicKeyAlgorithm::P256) => {
                self.verifies_p256(&message.digest(hash), signature)
            }
            (SignatureAlgorithm::Ecdsa(hash), PublicKeyAlgorithm::P384) => {
                self.verifies_p384(&message.digest(hash), signature)
            }
            (SignatureAlgorithm::Ecdsa(hash), PublicKeyAlgorithm::P521) => {
                self.verifies_p521(&message.digest(hash), signature)
            }
            (SignatureAlgorithm::Ed25519, PublicKeyAlgorithm::Ed25519) => match message {
                Message::Octets(octets) => self.verifies_ed25519(octets, signature),
                Message::Digest(_) => false,
            },
            _ => false,
        }
    }

    fn verifies_rsa(&self, padding: impl SignatureScheme, hashed: &[u8], signature: &[u8]) -> bool {
        RsaPublicKey::from_pkcs1_der(self.public_key_bits())
            .is_ok_and(|key| key.verify(padding, hashed, signature).is_ok())
    }

    fn verifies_pss(&self, hash: DigestAlgorithm, salt_len: usize, hashed: &[u8], signature: &[u8]) -> bool {
        match hash {
            DigestAlgorithm::Sha1 => self.verifies_rsa(pss::<sha1::Sha1>(salt_len), hashed, signature),
            DigestAlgorithm::Sha256 => self.verifies_rsa(pss::<sha2::Sha256>(salt_len), hashed, signature),
            DigestAlgorithm::Sha384 => self.verifies_rsa(pss::<sha2::Sha384>(salt_len), hashed, signature),
            DigestAlgorithm::Sha512 => self.verifies_rsa(pss::<sha2::Sha512>(salt_len), hashed, signature),
        }
    }

    fn verifies_p256(&self, hashed: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = p256::ecdsa::VerifyingKey::from_sec1_bytes(self.public_key_bits()) else {
            return false;
        };
        p256::ecdsa::Signature::from_der(signature)
            .is_ok_and(|signature| key.verify_prehash(hashed, &signature).is_ok())
    }

    fn verifies_p384(&self, hashed: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = p384::ecdsa::VerifyingKey::from_sec1_bytes(self.public_key_bits()) else {
            return false;
        };
        p384::ecdsa::Signature::from_der(signature)
            .is_ok_and(|signature| key.verify_prehash(hashed, &signature).is_ok())
    }

    fn verifies_p521(&self, hashed: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = p521::ecdsa::VerifyingKey::from_sec1_bytes(self.public_key_bits()) else {
            return false;
        };
        p521::ecdsa::Signature::from_der(signature)
            .is_ok_and(|signature| key.verify_prehash(hashed, &signature).is_ok())
    }

    fn verifies_ed25519(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(bits) = self.public_key_bits().try_into() else {
            return false;
        };
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(bits) else {
            return false;
        };
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
    }
}

impl Message<'_> {
    fn digest(self, hash: DigestAlgorithm) -> Vec<u8> {
        match self {
            Self::Octets(octets) => digest(hash, octets),
            Self::Digest(hashed) => hashed.to_vec(),
        }
    }
}

fn pkcs1(hash: DigestAlgorithm) -> Pkcs1v15Sign {
    fn padding<D: Digest + AssociatedOid>() -> Pkcs1v15Sign {
        Pkcs1v15Sign::new::<D>()
    }
    match hash {
        DigestAlgorithm::Sha1 => padding::<sha1::Sha1>(),
        DigestAlgorithm::Sha256 => padding::<sha2::Sha256>(),
        DigestAlgorithm::Sha384 => padding::<sha2::Sha384>(),
        DigestAlgorithm::Sha512 => padding::<sha2::Sha512>(),
    }
}

fn pss<D: Digest + FixedOutputReset>(salt_len: usize) -> Pss<D> {
    Pss::new_with_salt(salt_len)
}

#[cfg(test)]
mod tests;
