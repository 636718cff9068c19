//! SubjectPublicKeyInfo from PKCS#11 attributes, in one form: what makes a key's name the same on every token.

use der::{
    Decode, Encode,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef},
};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::catalogue::KeyAlgorithm;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");

/// `RSAPublicKey` of RFC 8017 appendix A.1.1.
#[derive(der::Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// The curve or group that CKA_EC_PARAMS names: an object identifier, or the PrintableString of PKCS#11 3.0.
pub(crate) fn curve(ec_params: &[u8]) -> Option<KeyAlgorithm> {
    if let Ok(oid) = ObjectIdentifier::from_der(ec_params) {
        return Some(match oid {
            P256 => KeyAlgorithm::P256,
            P384 => KeyAlgorithm::P384,
            P521 => KeyAlgorithm::P521,
            ED25519 => KeyAlgorithm::Ed25519,
            X25519 => KeyAlgorithm::X25519,
            _ => return None,
        });
    }
    match AnyRef::from_der(ec_params).ok()?.value() {
        b"edwards25519" | b"Ed25519" => Some(KeyAlgorithm::Ed25519),
        b"curve25519" | b"X25519" => Some(KeyAlgorithm::X25519),
        _ => None,
    }
}

/// The public key from CKA_MODULUS and CKA_PUBLIC_EXPONENT, and the length of the modulus in bits.
pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<(KeyAlgorithm, Vec<u8>)> {
    // UintRef drops leading zeros, which some tokens keep.
    let key = RsaPublicKey {
        modulus: UintRef::new(modulus).ok()?,
        public_exponent: UintRef::new(exponent).ok()?,
    };
    let significant = key.modulus.as_bytes();
    let first = *significant.first()?;
    if first == 0 || key.public_exponent.as_bytes().iter().all(|byte| *byte == 0) {
        return None;
    }
    let bits = u32::try_from(significant.len())
        .ok()?
        .checked_mul(8)?
        .checked_sub(first.leading_zeros())?;
    let algorithm = AlgorithmIdentifierRef {
        oid: RSA,
        parameters: Some(AnyRef::NULL),
    };
    Some((KeyAlgorithm::Rsa { bits }, encode(algorithm, &key.to_der().ok()?)?))
}

/// The public key from CKA_EC_POINT, which is a DER OCTET STRING by the standard, and raw or a BIT STRING on some tokens.
pub(crate) fn ec(algorithm: KeyAlgorithm, ec_point: &[u8]) -> Option<Vec<u8>> {
    let expected_len = point_len(algorithm)?;
    let point = if ec_point.len() == expected_len {
        ec_point
    } else if let Ok(octets) = <&OctetStringRef>::from_der(ec_point) {
        octets.as_bytes()
    } else {
        BitStringRef::from_der(ec_point).ok()?.as_bytes()?
    };
    (point.len() == expected_len).then_some(())?;
    match algorithm {
        KeyAlgorithm::Rsa { .. } => None,
        KeyAlgorithm::Ed25519 => encode(
            AlgorithmIdentifierRef {
                oid: ED25519,
                parameters: None,
            },
            point,
        ),
        KeyAlgorithm::X25519 => encode(
            AlgorithmIdentifierRef {
                oid: X25519,
                parameters: None,
            },
            point,
        ),
        KeyAlgorithm::P256 => encode_named(&P256, point),
        KeyAlgorithm::P384 => encode_named(&P384, point),
        KeyAlgorithm::P521 => encode_named(&P521, point),
    }
}

/// A SubjectPublicKeyInfo from elsewhere in the form of this file; `None` if it is of another algorithm.
pub(crate) fn canonical(der: &[u8]) -> Option<Vec<u8>> {
    algorithm_and_canonical(der).map(|(_, der)| der)
}

/// The same, with its algorithm.
pub(crate) fn algorithm_and_canonical(der: &[u8]) -> Option<(KeyAlgorithm, Vec<u8>)> {
    let spki = SubjectPublicKeyInfoRef::from_der(der).ok()?;
    let bits = spki.subject_public_key.as_bytes()?;
    let algorithm = match spki.algorithm.oid {
        RSA => {
            let key = RsaPublicKey::from_der(bits).ok()?;
            return rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes());
        }
        EC => curve(&spki.algorithm.parameters?.to_der().ok()?)?,
        ED25519 => KeyAlgorithm::Ed25519,
        X25519 => KeyAlgorithm::X25519,
        _ => return None,
    };
    Some((algorithm, ec(algorithm, bits)?))
}

/// The length of an uncompressed point or of a raw public key.
pub(crate) const fn point_len(algorithm: KeyAlgorithm) -> Option<usize> {
    match algorithm {
        KeyAlgorithm::Rsa { .. } => None,
        KeyAlgorithm::P256 => Some(65),
        KeyAlgorithm::P384 => Some(97),
        KeyAlgorithm::P521 => Some(133),
        KeyAlgorithm::Ed25519 | KeyAlgorithm::X25519 => Some(32),
    }
}

fn encode_named(curve: &ObjectIdentifier, point: &[u8]) -> Option<Vec<u8>> {
    encode(
        AlgorithmIdentifierRef {
            oid: EC,
            parameters: Some(AnyRef::from(curve)),
        },
        point,
    )
}

fn encode(algorithm: AlgorithmIdentifierRef<'_>, bits: &[u8]) -> Option<Vec<u8>> {
    let subject_public_key = BitStringRef::from_bytes(bits).ok()?;
    SubjectPublicKeyInfoRef {
        algorithm,
        subject_public_key,
    }
    .to_der()
    .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn leading_zeros_of_a_modulus_do_not_change_the_key() {
        let mut modulus = vec![0xc1; 256];
        let plain = rsa(&modulus, &[1, 0, 1]).unwrap();
        modulus.insert(0, 0);
        assert_eq!(rsa(&modulus, &[0, 1, 0, 1]).unwrap(), plain);
        assert_eq!(plain.0, KeyAlgorithm::Rsa { bits: 2048 });
        assert_eq!(algorithm_and_canonical(&plain.1).unwrap(), plain);
    }

    #[test]
    fn a_modulus_of_nothing_is_no_key() {
        assert!(rsa(&[], &[3]).is_none());
        assert!(rsa(&[0, 0], &[3]).is_none());
        assert!(rsa(&[5], &[0]).is_none());
    }

    #[test]
    fn every_encoding_of_a_point_is_the_same_key() {
        for algorithm in [
            KeyAlgorithm::P256,
            KeyAlgorithm::P384,
            KeyAlgorithm::P521,
            KeyAlgorithm::Ed25519,
        ] {
            let point = vec![4; point_len(algorithm).unwrap()];
            let raw = ec(algorithm, &point).unwrap();
            assert_eq!(
                ec(algorithm, &OctetStringRef::new(&point).unwrap().to_der().unwrap()).unwrap(),
                raw
            );
            assert_eq!(
                ec(algorithm, &BitStringRef::from_bytes(&point).unwrap().to_der().unwrap()).unwrap(),
                raw
            );
            assert_eq!(canonical(&raw).unwrap(), raw);
            assert!(ec(algorithm, &point[1..]).is_none());
        }
    }

    #[test]
    fn a_curve_has_two_names() {
        assert_eq!(curve(&[0x06, 0x03, 0x2b, 0x65, 0x70]), Some(KeyAlgorithm::Ed25519));
        assert_eq!(curve(b"\x13\x0cedwards25519"), Some(KeyAlgorithm::Ed25519));
        assert_eq!(curve(b"\x13\x0acurve25519"), Some(KeyAlgorithm::X25519));
        assert_eq!(curve(&[0x06, 0x03, 0x2b, 0x65, 0x71]), None);
        assert_eq!(curve(&[]), None);
    }
}
