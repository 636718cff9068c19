//! Names and enums of the contract, there and back.

use std::time::Duration;

use bytes::Bytes;
use chancery_proto::v1;
use chancery_smime::algorithm::{
    ContentEncryptionAlgorithm, DigestAlgorithm, KeyManagementAlgorithm, SignatureAlgorithm,
};
use chancery_token::{KeyAlgorithm, KeyId, Pin, Priority};
use zeroize::Zeroizing;

use crate::ops::Invalid;

/// The key in `keys/{sha256}`.
pub(super) fn key_id(name: &str) -> Result<KeyId, Invalid> {
    let id = name.strip_prefix("keys/").and_then(|id| id.parse().ok());
    id.ok_or_else(|| Invalid::name("name", "keys/ and 64 lower-case hexadecimal digits", name))
}

/// The addr-spec in `identities/{addr-spec}`, its domain in lower case.
pub(super) fn address(field: &'static str, name: &str) -> Result<String, Invalid> {
    let address = name
        .strip_prefix("identities/")
        .and_then(crate::directory::normal_address);
    address.ok_or_else(|| Invalid::name(field, "identities/{addr-spec}", name))
}

/// The token in `tokens/{token}`.
pub(super) fn token(name: &str) -> Result<&str, Invalid> {
    let token = name.strip_prefix("tokens/").filter(|token| !token.is_empty());
    token.ok_or_else(|| Invalid::name("name", "tokens/{token}", name))
}

/// The PIN of a call; none if there is none.
pub(super) fn pin(field: &'static str, pin: Bytes) -> Result<Option<Pin>, Invalid> {
    let pin = Zeroizing::new(Vec::from(pin));
    match pin.len() {
        0 => Ok(None),
        1..=255 => Ok(Some(Pin::new(pin))),
        found => Err(Invalid::Length {
            field,
            found,
            wanted: "at most 255".to_owned(),
        }),
    }
}

/// A time that something is to take.
pub(super) fn duration(fields: [&'static str; 2], time: prost_types::Duration) -> Result<Duration, Invalid> {
    let [field, nanos_field] = fields;
    let seconds = u64::try_from(time.seconds).map_err(|_| Invalid::Value {
        field,
        value: time.seconds,
        hint: "a number of seconds, not negative",
    })?;
    match u32::try_from(time.nanos) {
        Ok(nanos) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
        _ => Err(Invalid::Value {
            field: nanos_field,
            value: time.nanos.into(),
            hint: "from 0 to 999999999 (google.protobuf.Duration)",
        }),
    }
}

/// `keys/{sha256}`.
pub(super) fn key_name(hex: &str) -> String {
    format!("keys/{hex}")
}

/// `identities/{addr-spec}`.
pub(super) fn identity_name(address: &str) -> String {
    format!("identities/{address}")
}

/// `tokens/{token}`.
pub(super) fn token_name(token: &str) -> String {
    format!("tokens/{token}")
}

/// A signature algorithm that a request must name.
pub(super) fn signature_algorithm(field: &'static str, value: i32) -> Result<SignatureAlgorithm, Invalid> {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    use v1::SignatureAlgorithm as Wire;
    let hint = "name one of SignatureAlgorithm";
    match Wire::try_from(value) {
        Ok(Wire::RsaPkcs1Sha256) => Ok(SignatureAlgorithm::RsaPkcs1(Sha256)),
        Ok(Wire::RsaPkcs1Sha384) => Ok(SignatureAlgorithm::RsaPkcs1(Sha384)),
        Ok(Wire::RsaPkcs1Sha512) => Ok(SignatureAlgorithm::RsaPkcs1(Sha512)),
        Ok(Wire::RsaPssSha256) => Ok(SignatureAlgorithm::RsaPss(Sha256)),
        Ok(Wire::RsaPssSha384) => Ok(SignatureAlgorithm::RsaPss(Sha384)),
        Ok(Wire::RsaPssSha512) => Ok(SignatureAlgorithm::RsaPss(Sha512)),
        Ok(Wire::EcdsaSha256) => Ok(SignatureAlgorithm::Ecdsa(Sha256)),
        Ok(Wire::EcdsaSha384) => Ok(SignatureAlgorithm::Ecdsa(Sha384)),
        Ok(Wire::EcdsaSha512) => Ok(SignatureAlgorithm::Ecdsa(Sha512)),
        Ok(Wire::Ed25519) => Ok(SignatureAlgorithm::Ed25519),
        Ok(Wire::Unspecified) => Err(Invalid::Missing { field, hint }),
        Err(_) => Err(Invalid::Value {
            field,
            value: value.into(),
            hint,
        }),
    }
}

/// A signature algorithm in an answer. SHA-1 is none that the contract names.
pub(super) fn signature_algorithm_to_wire(algorithm: SignatureAlgorithm) -> v1::SignatureAlgorithm {
    use DigestAlgorithm::{Sha1, Sha256, Sha384, Sha512};
    use v1::SignatureAlgorithm as Wire;
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(Sha256) => Wire::RsaPkcs1Sha256,
        SignatureAlgorithm::RsaPkcs1(Sha384) => Wire::RsaPkcs1Sha384,
        SignatureAlgorithm::RsaPkcs1(Sha512) => Wire::RsaPkcs1Sha512,
        SignatureAlgorithm::RsaPss(Sha256) => Wire::RsaPssSha256,
        SignatureAlgorithm::RsaPss(Sha384) => Wire::RsaPssSha384,
        SignatureAlgorithm::RsaPss(Sha512) => Wire::RsaPssSha512,
        SignatureAlgorithm::Ecdsa(Sha256) => Wire::EcdsaSha256,
        SignatureAlgorithm::Ecdsa(Sha384) => Wire::EcdsaSha384,
        SignatureAlgorithm::Ecdsa(Sha512) => Wire::EcdsaSha512,
        SignatureAlgorithm::Ed25519 => Wire::Ed25519,
        SignatureAlgorithm::RsaPkcs1(Sha1) | SignatureAlgorithm::RsaPss(Sha1) | SignatureAlgorithm::Ecdsa(Sha1) => {
            Wire::Unspecified
        }
    }
}

/// A digest, or none if not given.
pub(super) fn digest(field: &'static str, value: i32) -> Result<Option<DigestAlgorithm>, Invalid> {
    use v1::DigestAlgorithm as Wire;
    match Wire::try_from(value) {
        Ok(Wire::Unspecified) => Ok(None),
        Ok(Wire::Sha1) => Ok(Some(DigestAlgorithm::Sha1)),
        Ok(Wire::Sha256) => Ok(Some(DigestAlgorithm::Sha256)),
        Ok(Wire::Sha384) => Ok(Some(DigestAlgorithm::Sha384)),
        Ok(Wire::Sha512) => Ok(Some(DigestAlgorithm::Sha512)),
        Err(_) => {
            let hint = "name one of DigestAlgorithm";
            Err(Invalid::Value {
                field,
                value: value.into(),
                hint,
            })
        }
    }
}

/// A digest that a request must name.
pub(super) fn required_digest(field: &'static str, value: i32) -> Result<DigestAlgorithm, Invalid> {
    let hint = "name one of DigestAlgorithm";
    digest(field, value)?.ok_or(Invalid::Missing { field, hint })
}

/// A digest in an answer.
pub(super) fn digest_to_wire(digest: DigestAlgorithm) -> v1::DigestAlgorithm {
    use v1::DigestAlgorithm as Wire;
    match digest {
        DigestAlgorithm::Sha1 => Wire::Sha1,
        DigestAlgorithm::Sha256 => Wire::Sha256,
        DigestAlgorithm::Sha384 => Wire::Sha384,
        DigestAlgorithm::Sha512 => Wire::Sha512,
    }
}

/// A content encryption that is made, or none if not given.
pub(super) fn content_encryption(
    field: &'static str,
    value: i32,
) -> Result<Option<ContentEncryptionAlgorithm>, Invalid> {
    use v1::ContentEncryptionAlgorithm as Wire;
    match Wire::try_from(value) {
        Ok(Wire::Unspecified) => Ok(None),
        Ok(Wire::Aes128Cbc) => Ok(Some(ContentEncryptionAlgorithm::Aes128Cbc)),
        Ok(Wire::Aes256Cbc) => Ok(Some(ContentEncryptionAlgorithm::Aes256Cbc)),
        Ok(Wire::Aes128Gcm) => Ok(Some(ContentEncryptionAlgorithm::Aes128Gcm)),
        Ok(Wire::Aes256Gcm) => Ok(Some(ContentEncryptionAlgorithm::Aes256Gcm)),
        Ok(Wire::Aes192Cbc | Wire::Aes192Gcm) | Err(_) => {
            let hint = "take AES-128 or AES-256 in CBC or GCM mode";
            Err(Invalid::Value {
                field,
                value: value.into(),
                hint,
            })
        }
    }
}

/// A content encryption in an answer.
pub(super) fn content_encryption_to_wire(algorithm: ContentEncryptionAlgorithm) -> v1::ContentEncryptionAlgorithm {
    use v1::ContentEncryptionAlgorithm as Wire;
    match algorithm {
        ContentEncryptionAlgorithm::Aes128Cbc => Wire::Aes128Cbc,
        ContentEncryptionAlgorithm::Aes192Cbc => Wire::Aes192Cbc,
        ContentEncryptionAlgorithm::Aes256Cbc => Wire::Aes256Cbc,
        ContentEncryptionAlgorithm::Aes128Gcm => Wire::Aes128Gcm,
        ContentEncryptionAlgorithm::Aes192Gcm => Wire::Aes192Gcm,
        ContentEncryptionAlgorithm::Aes256Gcm => Wire::Aes256Gcm,
    }
}

/// A key management, or none if not given.
pub(super) fn key_management(field: &'static str, value: i32) -> Result<Option<KeyManagementAlgorithm>, Invalid> {
    use v1::KeyManagementAlgorithm as Wire;
    match Wire::try_from(value) {
        Ok(Wire::Unspecified) => Ok(None),
        Ok(Wire::RsaPkcs1) => Ok(Some(KeyManagementAlgorithm::RsaPkcs1)),
        Ok(Wire::RsaOaep) => Ok(Some(KeyManagementAlgorithm::RsaOaep)),
        Ok(Wire::Ecdh) => Ok(Some(KeyManagementAlgorithm::Ecdh)),
        Err(_) => {
            let hint = "name one of KeyManagementAlgorithm";
            Err(Invalid::Value {
                field,
                value: value.into(),
                hint,
            })
        }
    }
}

/// A key management in an answer.
pub(super) fn key_management_to_wire(algorithm: KeyManagementAlgorithm) -> v1::KeyManagementAlgorithm {
    use v1::KeyManagementAlgorithm as Wire;
    match algorithm {
        KeyManagementAlgorithm::RsaPkcs1 => Wire::RsaPkcs1,
        KeyManagementAlgorithm::RsaOaep => Wire::RsaOaep,
        KeyManagementAlgorithm::Ecdh => Wire::Ecdh,
    }
}

/// A kind of key and the bits of its modulus or field.
pub(super) fn key_algorithm_to_wire(algorithm: KeyAlgorithm) -> (v1::KeyAlgorithm, u32) {
    use v1::KeyAlgorithm as Wire;
    match algorithm {
        KeyAlgorithm::Rsa { bits } => (Wire::Rsa, bits),
        KeyAlgorithm::P256 => (Wire::EcP256, 256),
        KeyAlgorithm::P384 => (Wire::EcP384, 384),
        KeyAlgorithm::P521 => (Wire::EcP521, 521),
        KeyAlgorithm::Ed25519 => (Wire::Ed25519, 255),
        KeyAlgorithm::X25519 => (Wire::X25519, 255),
    }
}

/// A priority, or none if not given.
pub(super) fn priority(field: &'static str, value: i32) -> Result<Option<Priority>, Invalid> {
    use v1::Priority as Wire;
    match Wire::try_from(value) {
        Ok(Wire::Unspecified) => Ok(None),
        Ok(Wire::Interactive) => Ok(Some(Priority::Interactive)),
        Ok(Wire::Bulk) => Ok(Some(Priority::Bulk)),
        Err(_) => {
            let hint = "name one of Priority";
            Err(Invalid::Value {
                field,
                value: value.into(),
                hint,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_signature_algorithm_comes_back_as_it_went() {
        for value in 1..=10 {
            let algorithm = signature_algorithm("algorithm", value).unwrap();
            assert_eq!(signature_algorithm_to_wire(algorithm) as i32, value);
        }
        assert!(matches!(
            signature_algorithm("algorithm", 0),
            Err(Invalid::Missing { .. })
        ));
        assert!(matches!(
            signature_algorithm("algorithm", 11),
            Err(Invalid::Value { value: 11, .. })
        ));
    }

    #[test]
    fn every_digest_and_key_management_comes_back_as_it_went() {
        for value in 1..=4 {
            assert_eq!(digest_to_wire(digest("digest", value).unwrap().unwrap()) as i32, value);
        }
        for value in 1..=3 {
            assert_eq!(
                key_management_to_wire(key_management("k", value).unwrap().unwrap()) as i32,
                value
            );
        }
        assert_eq!(digest("digest", 0), Ok(None));
        assert_eq!(key_management("k", 0), Ok(None));
        assert!(digest("digest", 5).is_err());
        assert!(key_management("k", 4).is_err());
    }

    #[test]
    fn aes_192_is_not_made() {
        for value in 1..=4 {
            let algorithm = content_encryption("c", value).unwrap().unwrap();
            assert_eq!(content_encryption_to_wire(algorithm) as i32, value);
        }
        for value in [5, 6, 7, -1] {
            assert!(content_encryption("c", value).is_err());
        }
    }

    #[test]
    fn a_time_is_neither_negative_nor_anything_but_a_duration() {
        let read = |seconds, nanos| duration(["time", "time.nanos"], prost_types::Duration { seconds, nanos });
        assert_eq!(read(1, 5), Ok(Duration::new(1, 5)));
        for (seconds, nanos, expected) in [
            (-1, 0, "time is -1: "),
            (i64::MIN, 0, "time is -9223372036854775808: "),
            (1, -5, "time.nanos is -5: "),
            (0, 1_000_000_000, "time.nanos is 1000000000: "),
        ] {
            let error = read(seconds, nanos).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn names_are_read_strictly() {
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!(key_id(&key_name(&hex)).unwrap().to_string(), hex);
        for bad in [
            "",
            &hex,
            "keys/",
            "keys/12",
            &format!("keys/{}", hex.to_uppercase()),
            &format!("key/{hex}"),
        ] {
            assert!(key_id(bad).is_err(), "{bad}");
        }
        assert_eq!(address("name", "identities/a@Example.org").unwrap(), "a@example.org");
        assert!(address("name", "a@example.org").is_err());
        assert_eq!(token("tokens/card").unwrap(), "card");
        assert!(token("tokens/").is_err());
        assert!(token("card").is_err());
    }
}
