//! What certificates say, read back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::time::{Duration, SystemTime};

use der::Encode;

use super::*;
use crate::algorithm::PublicKeyAlgorithm as Key;

macro_rules! fixture {
    ($name:literal) => {
        Certificate::from_der(&der_of(include_str!(concat!(
            "../../tests/fixtures/encrypt/",
            $name,
            ".pem"
        ))))
        .unwrap()
    };
}

fn der_of(pem: &str) -> Vec<u8> {
    der::pem::decode_vec(pem.as_bytes()).unwrap().1
}

#[test]
fn names_serial_and_addresses_are_those_of_the_certificate() {
    let alice = fixture!("rsa-alice");
    assert_eq!(
        alice.subject(),
        "emailAddress=Alice@Example.ORG,CN=Alice,O=Chancery Test,C=XX"
    );
    assert_eq!(alice.issuer(), "CN=Encryption CA,O=Chancery Test,C=XX");
    assert_eq!(alice.serial(), 1001_u16.to_be_bytes());
    assert_eq!(
        alice.addresses(),
        ["alice@example.org", "alice.two@example.net", "Alice@example.org"]
    );
    assert_eq!(
        format!("{alice:?}"),
        format!("Certificate({} (serial 03e9))", alice.subject())
    );
    assert_eq!(fixture!("rsa-sign").subject(), "CN=Signer\\, Only,O=Chancery Test,C=XX");
    assert_eq!(fixture!("x25519").addresses(), ["grüße@example.org"]);
}

#[test]
fn the_kind_of_key_is_found() {
    for (certificate, expected) in [
        (fixture!("rsa-alice"), Key::Rsa { bits: 2048 }),
        (fixture!("rsa-bob"), Key::Rsa { bits: 3072 }),
        (fixture!("p256"), Key::P256),
        (fixture!("p384"), Key::P384),
        (fixture!("p521"), Key::P521),
        (fixture!("x25519"), Key::X25519),
        (fixture!("ed25519"), Key::Ed25519),
        (fixture!("rsa-pss"), Key::Rsa { bits: 2048 }),
    ] {
        assert_eq!(certificate.public_key_algorithm(), Some(expected));
    }
}

#[test]
fn usages_follow_key_usage_and_kind_of_key() {
    for (certificate, sign, encrypt, email) in [
        (fixture!("rsa-alice"), false, true, true),
        (fixture!("rsa-bob"), false, true, true),
        (fixture!("rsa-sign"), true, false, true),
        (fixture!("p256"), false, true, true),
        (fixture!("x25519"), false, true, false),
        (fixture!("ed25519"), true, false, true),
        (fixture!("rsa-pss"), true, false, true),
    ] {
        assert_eq!(certificate.allows_signing(), sign, "{certificate}");
        assert_eq!(certificate.allows_encryption(), encrypt, "{certificate}");
        assert_eq!(certificate.allows_email(), email, "{certificate}");
        assert!(!certificate.is_ca());
    }
    assert!(fixture!("ca").is_ca());
    assert!(!fixture!("ca").allows_signing());
}

/// What the RustCrypto parser finds, which looks at the same octets by another way.
#[test]
fn ranges_agree_with_another_parser() {
    for certificate in [
        fixture!("rsa-alice"),
        fixture!("p521"),
        fixture!("x25519"),
        fixture!("ca"),
    ] {
        let other = <x509_cert::Certificate as der::Decode>::from_der(certificate.der()).unwrap();
        let tbs = other.tbs_certificate();
        assert_eq!(certificate.issuer_der(), tbs.issuer().to_der().unwrap());
        assert_eq!(certificate.subject_der(), tbs.subject().to_der().unwrap());
        assert_eq!(certificate.spki_der(), tbs.subject_public_key_info().to_der().unwrap());
        assert_eq!(
            certificate.public_key_bits(),
            tbs.subject_public_key_info().subject_public_key.raw_bytes()
        );
        assert_eq!(certificate.not_before(), tbs.validity().not_before.to_system_time());
        assert_eq!(certificate.not_after(), tbs.validity().not_after.to_system_time());
        let (_, key_id) = tbs
            .get_extension::<x509_cert::ext::pkix::SubjectKeyIdentifier>()
            .unwrap()
            .unwrap();
        assert_eq!(certificate.subject_key_id(), Some(key_id.0.as_bytes()));
    }
}

#[test]
fn test_certificates_do_not_expire_soon() {
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(7_000 * 365 * 24 * 3600);
    assert!(fixture!("rsa-alice").not_after() > far);
}

#[test]
fn a_certificate_is_named_by_issuer_and_serial_whatever_the_string_type_and_case() {
    let alice = fixture!("rsa-alice");
    let issuer = alice.issuer_der();
    assert!(alice.is_named_by(issuer, alice.serial()));
    assert!(alice.is_named_by(issuer, &[0, 0x03, 0xe9]));
    assert!(!alice.is_named_by(issuer, &[0x03, 0xea]));
    // UTF8String "Encryption CA" becomes a PrintableString in capitals.
    let mut shouting = issuer.to_vec();
    let at = shouting
        .windows(13)
        .position(|window| window == b"Encryption CA")
        .unwrap();
    shouting[at..at + 13].copy_from_slice(b"ENCRYPTION CA");
    shouting[at - 2] = 0x13;
    assert!(alice.is_named_by(&shouting, alice.serial()));
    shouting[at] = b'D';
    assert!(!alice.is_named_by(&shouting, alice.serial()));
    assert!(!alice.is_named_by(&[], alice.serial()));
}

#[test]
fn an_unreadable_key_usage_permits_nothing_and_does_not_sink_the_certificate() {
    let mut der = fixture!("rsa-alice").der().to_vec();
    // keyUsage: OID 2.5.29.15, critical TRUE, OCTET STRING of a BIT STRING, whose tag becomes an INTEGER's.
    let at = der
        .windows(5)
        .position(|window| window == [0x06, 0x03, 0x55, 0x1d, 0x0f])
        .unwrap();
    assert_eq!(der[at + 10], 0x03);
    der[at + 10] = 0x02;
    let certificate = Certificate::from_der(&der).unwrap();
    assert!(!certificate.allows_encryption());
    assert!(!certificate.allows_signing());
    assert_eq!(certificate.subject(), fixture!("rsa-alice").subject());
}

#[test]
fn extensions_that_cannot_be_read_to_their_end_permit_nothing() {
    let mut der = fixture!("rsa-alice").der().to_vec();
    // The object identifier of keyUsage becomes a NULL with content, so that the usage behind it is never seen.
    let at = der
        .windows(5)
        .position(|window| window == [0x06, 0x03, 0x55, 0x1d, 0x0f])
        .unwrap();
    der[at] = 0x05;
    let certificate = Certificate::from_der(&der).unwrap();
    assert!(!certificate.allows_encryption());
    assert!(!certificate.allows_signing());
    assert!(!certificate.allows_email());
}

#[test]
fn truncated_extended_and_oversized_input_is_refused() {
    let der = fixture!("p256").der().to_vec();
    for len in 0..der.len() {
        assert!(Certificate::from_der(&der[..len]).is_err(), "{len}");
    }
    let mut longer = der.clone();
    longer.push(0);
    assert!(matches!(
        Certificate::from_der(&longer),
        Err(CertificateError::Malformed { .. })
    ));
    let huge = vec![0x30; Certificate::MAX_LEN + 1];
    assert!(matches!(
        Certificate::from_der(&huge),
        Err(CertificateError::TooLong { .. })
    ));
}

#[test]
fn no_changed_octet_makes_the_parser_panic() {
    let der = fixture!("rsa-alice").der().to_vec();
    for index in 0..der.len() {
        for value in [0x00, 0x30, 0x7f, 0x80, 0xff] {
            let mut changed = der.clone();
            changed[index] = value;
            if let Ok(certificate) = Certificate::from_der(&changed) {
                let _ = (
                    format!("{certificate:?}"),
                    certificate.issuer(),
                    certificate.allows_encryption(),
                );
            }
        }
    }
}

#[test]
fn the_sha1_of_the_key_is_right_and_computed_once_for_all_clones() {
    let alice = fixture!("rsa-alice");
    let clone = alice.clone();
    let expected: [u8; 20] = Sha1::digest(alice.public_key_bits()).into();
    assert_eq!(*alice.public_key_sha1(), expected);
    assert!(std::ptr::eq(alice.public_key_sha1(), clone.public_key_sha1()));
}
