//! What answers may be encrypted with: the SMIMECapabilities attribute (RFC 8551, section 2.5.2), best first. Only what
//! this crate opens is named.

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5753, rfc5911, rfc5912};

use crate::algorithm::{ContentEncryptionAlgorithm, DigestAlgorithm, PublicKeyAlgorithm};
use crate::ber::encode::{OID, SEQUENCE, constructed, tlv};
use crate::certificate::Certificate;

/// Content encryption in the order in which it is preferred.
const CONTENT_ENCRYPTION: [ContentEncryptionAlgorithm; 4] = [
    ContentEncryptionAlgorithm::Aes256Gcm,
    ContentEncryptionAlgorithm::Aes128Gcm,
    ContentEncryptionAlgorithm::Aes256Cbc,
    ContentEncryptionAlgorithm::Aes128Cbc,
];

/// The value of the attribute. How the key may be managed depends on the certificate that answers are encrypted to.
pub(super) fn capabilities(encryption_certificate: Option<&Certificate>) -> Vec<u8> {
    let mut capabilities: Vec<_> = CONTENT_ENCRYPTION
        .iter()
        .map(|algorithm| capability(algorithm.oid(), &[]))
        .collect();
    match encryption_certificate.and_then(Certificate::public_key_algorithm) {
        Some(PublicKeyAlgorithm::Rsa { .. }) => {
            capabilities.push(capability(rfc5912::ID_RSAES_OAEP, &oaep_sha256()));
            // SHA-1, by default (RFC 3560, section 5).
            capabilities.push(capability(rfc5912::ID_RSAES_OAEP, &tlv(SEQUENCE, &[])));
            capabilities.push(capability(rfc5912::RSA_ENCRYPTION, &[]));
        }
        Some(PublicKeyAlgorithm::P256 | PublicKeyAlgorithm::P384 | PublicKeyAlgorithm::P521) => {
            for wrap in [rfc5911::ID_AES_256_WRAP, rfc5911::ID_AES_128_WRAP] {
                let wrap = capability(wrap, &[]);
                capabilities.push(capability(rfc5753::DH_SINGLE_PASS_STD_DH_SHA_256_KDF_SCHEME, &wrap));
            }
        }
        _ => {}
    }
    let parts: Vec<_> = capabilities.iter().map(Vec::as_slice).collect();
    constructed(SEQUENCE, &parts)
}

/// One capability, of the same shape as an AlgorithmIdentifier.
fn capability(oid: ObjectIdentifier, parameters: &[u8]) -> Vec<u8> {
    constructed(SEQUENCE, &[&tlv(OID, oid.as_bytes()), parameters])
}

/// RSAES-OAEP-params with SHA-256 for both hash and MGF1 (RFC 4055, section 4.1).
fn oaep_sha256() -> Vec<u8> {
    const NULL: [u8; 2] = [0x05, 0];
    let sha256 = capability(DigestAlgorithm::Sha256.oid(), &NULL);
    let mgf1 = capability(rfc5912::ID_MGF_1, &sha256);
    constructed(SEQUENCE, &[&tlv(0xa0, &sha256), &tlv(0xa1, &mgf1)])
}
