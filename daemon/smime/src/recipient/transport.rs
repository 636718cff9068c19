//! Key transport to RSA keys: v1.5 (RFC 3370, section 4.2.1) and OAEP (RFC 3560).

use const_oid::db::rfc5912::RSA_ENCRYPTION;
use der::Encode;
use der::asn1::AnyRef;
use rand_core::CryptoRng;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::traits::RandomizedEncryptor;
use sha2::Sha256;
use spki::AlgorithmIdentifierRef;

use super::identifier::issuer_and_serial;
use super::{RecipientError, oaep};
use crate::ber::encode::{INTEGER, OCTET_STRING, SEQUENCE, push_tlv, tlv};
use crate::certificate::Certificate;
use crate::cipher::ContentKey;

#[derive(Clone, Copy)]
pub(super) enum Padding {
    Pkcs1,
    OaepSha256,
}

/// The DER of a KeyTransRecipientInfo, version 0.
pub(super) fn make(
    certificate: &Certificate,
    padding: Padding,
    key: &ContentKey,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, RecipientError> {
    let public_key =
        RsaPublicKey::from_pkcs1_der(certificate.public_key_bits()).map_err(|_| RecipientError::InvalidKey)?;
    let (identifier, encrypted_key) = match padding {
        Padding::Pkcs1 => {
            let identifier = AlgorithmIdentifierRef {
                oid: RSA_ENCRYPTION,
                parameters: Some(AnyRef::NULL),
            };
            let encryptor = rsa::pkcs1v15::EncryptingKey::new(public_key);
            (identifier.to_der(), encryptor.encrypt_with_rng(rng, key.octets()))
        }
        Padding::OaepSha256 => {
            let encryptor = rsa::oaep::EncryptingKey::<Sha256>::new(public_key);
            (oaep::sha256_identifier(), encryptor.encrypt_with_rng(rng, key.octets()))
        }
    };
    // Both identifiers are constant and can be encoded.
    let identifier = identifier.map_err(|_| RecipientError::InvalidKey)?;
    let encrypted_key = encrypted_key.map_err(|_| RecipientError::KeyTooShort)?;

    let mut fields = Vec::new();
    push_tlv(INTEGER, &[0], &mut fields);
    fields.extend_from_slice(&issuer_and_serial(certificate));
    fields.extend_from_slice(&identifier);
    push_tlv(OCTET_STRING, &encrypted_key, &mut fields);
    Ok(tlv(SEQUENCE, &fields))
}
