//! Which kind of key a SubjectPublicKeyInfo holds. Keys of other kinds are not an error: the certificate may still be
//! shown, or be someone else's.

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5912, rfc8410};
use der::Decode;
use der::asn1::AnyRef;
use rsa::pkcs1::RsaPublicKeyRef;
use spki::AlgorithmIdentifierRef;

use crate::algorithm::PublicKeyAlgorithm;

/// Whether the key is restricted to PSS signatures by its identifier (RFC 4055, section 1.2), whatever keyUsage says.
pub(super) fn is_pss_only(identifier: AnyRef<'_>) -> bool {
    identifier
        .decode_as::<AlgorithmIdentifierRef<'_>>()
        .is_ok_and(|identifier| identifier.oid == rfc5912::ID_RSASSA_PSS)
}

pub(super) fn algorithm(identifier: AnyRef<'_>, key_bits: &[u8]) -> Option<PublicKeyAlgorithm> {
    let identifier: AlgorithmIdentifierRef<'_> = identifier.decode_as().ok()?;
    match identifier.oid {
        // A key restricted to PSS or to OAEP (RFC 4055) is an RSA key all the same.
        rfc5912::RSA_ENCRYPTION | rfc5912::ID_RSASSA_PSS | rfc5912::ID_RSAES_OAEP => {
            let key = RsaPublicKeyRef::from_der(key_bits).ok()?;
            Some(PublicKeyAlgorithm::Rsa {
                bits: bit_length(key.modulus.as_bytes())?,
            })
        }
        rfc5912::ID_EC_PUBLIC_KEY => match identifier.parameters?.decode_as::<ObjectIdentifier>().ok()? {
            rfc5912::SECP_256_R_1 => Some(PublicKeyAlgorithm::P256),
            rfc5912::SECP_384_R_1 => Some(PublicKeyAlgorithm::P384),
            rfc5912::SECP_521_R_1 => Some(PublicKeyAlgorithm::P521),
            _ => None,
        },
        rfc8410::ID_ED_25519 => Some(PublicKeyAlgorithm::Ed25519),
        rfc8410::ID_X_25519 => Some(PublicKeyAlgorithm::X25519),
        _ => None,
    }
}

/// The number of bits of a big-endian number without leading zero octets.
fn bit_length(octets: &[u8]) -> Option<u32> {
    let first = octets.first()?;
    u32::try_from(octets.len())
        .ok()?
        .checked_mul(8)?
        .checked_sub(first.leading_zeros())
}
