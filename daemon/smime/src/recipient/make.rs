//! Which kind of RecipientInfo a certificate gets, and KeyAgreeRecipientInfo put together by hand (RFC 5753, section 3.1.1).

use const_oid::db::{rfc5912, rfc8410};
use rand_core::CryptoRng;

use super::RecipientError;
use super::agreement::{Kdf, KeyWrap, Shared};
use super::curve::Curve;
use super::identifier::issuer_and_serial;
use super::transport::{self, Padding};
use crate::algorithm::{KeyManagementAlgorithm, PublicKeyAlgorithm};
use crate::ber::encode::{INTEGER, OCTET_STRING, OID, SEQUENCE, push_tlv, tlv};
use crate::certificate::Certificate;
use crate::cipher::ContentKey;

const BIT_STRING: u8 = 0x03;

/// A RecipientInfo and what the message around it must know of it.
pub(crate) struct MadeRecipient {
    pub(crate) der: Vec<u8>,
    /// The RecipientInfo's version, on which that of EnvelopedData depends.
    pub(crate) version: u8,
    pub(crate) key_management: KeyManagementAlgorithm,
}

/// A RecipientInfo that hands `key` to the holder of the certificate's private key.
pub(crate) fn make(
    certificate: &Certificate,
    wanted: Option<KeyManagementAlgorithm>,
    key: &ContentKey,
    rng: &mut impl CryptoRng,
) -> Result<MadeRecipient, RecipientError> {
    let key_algorithm = certificate
        .public_key_algorithm()
        .ok_or(RecipientError::UnsupportedKey)?;
    let default = match key_algorithm {
        PublicKeyAlgorithm::Rsa { .. } => KeyManagementAlgorithm::RsaOaep,
        PublicKeyAlgorithm::P256 | PublicKeyAlgorithm::P384 | PublicKeyAlgorithm::P521 | PublicKeyAlgorithm::X25519 => {
            KeyManagementAlgorithm::Ecdh
        }
        PublicKeyAlgorithm::Ed25519 => return Err(RecipientError::UnsupportedKey),
    };
    if !certificate.allows_encryption() {
        return Err(RecipientError::NotForEncryption);
    }
    let key_management = wanted.unwrap_or(default);
    let (der, version) = match (key_management, Curve::of_key(key_algorithm)) {
        (KeyManagementAlgorithm::RsaPkcs1, None) => (transport::make(certificate, Padding::Pkcs1, key, rng)?, 0),
        (KeyManagementAlgorithm::RsaOaep, None) => (transport::make(certificate, Padding::OaepSha256, key, rng)?, 0),
        (KeyManagementAlgorithm::Ecdh, Some(curve)) => (agree(certificate, curve, key, rng)?, 3),
        (wanted, _) => {
            return Err(RecipientError::KeyManagementMismatch {
                wanted,
                key: key_algorithm,
            });
        }
    };
    Ok(MadeRecipient {
        der,
        version,
        key_management,
    })
}

/// The DER of a KeyAgreeRecipientInfo, version 3, with an ephemeral key of its own.
fn agree(
    certificate: &Certificate,
    curve: Curve,
    key: &ContentKey,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, RecipientError> {
    let agreed = curve
        .agree(certificate.public_key_bits(), rng)
        .ok_or(RecipientError::InvalidKey)?;
    let ((kdf, scheme), key_oid) = match curve {
        Curve::X25519 => (Kdf::HKDF_SHA256, rfc8410::ID_X_25519),
        Curve::P256 | Curve::P384 | Curve::P521 => (Kdf::X963_SHA256, rfc5912::ID_EC_PUBLIC_KEY),
    };
    let wrap = KeyWrap::for_key_len(key.octets().len());
    let kek = kdf.derive(
        &agreed.secret,
        wrap,
        Shared {
            ukm: None,
            null_parameters: false,
        },
    );
    let encrypted_key = wrap.wrap(&kek, key.octets()).ok_or(RecipientError::InvalidKey)?;

    // OriginatorPublicKey: the parameters of the algorithm are absent (RFC 5753, section 3.1.1; RFC 8418, section 3.1).
    let mut originator_key = tlv(SEQUENCE, &tlv(OID, key_oid.as_bytes()));
    let mut bits = vec![0];
    bits.extend_from_slice(&agreed.public_key);
    push_tlv(BIT_STRING, &bits, &mut originator_key);

    let mut key_encryption_algorithm = tlv(OID, scheme.as_bytes());
    key_encryption_algorithm.extend_from_slice(&wrap.identifier(false));

    let mut recipient_encrypted_key = issuer_and_serial(certificate);
    push_tlv(OCTET_STRING, &encrypted_key, &mut recipient_encrypted_key);

    let mut fields = Vec::new();
    push_tlv(INTEGER, &[3], &mut fields);
    push_tlv(0xa0, &tlv(0xa1, &originator_key), &mut fields);
    push_tlv(SEQUENCE, &key_encryption_algorithm, &mut fields);
    push_tlv(SEQUENCE, &tlv(SEQUENCE, &recipient_encrypted_key), &mut fields);
    Ok(tlv(0xa1, &fields))
}
