//! Key management: wrapping, derivation, OAEP parameters, identifiers, and what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use der::Decode;
use der::asn1::AnyRef;

use super::agreement::{Kdf, KdfDigest, KeyWrap, Shared};
use super::curve::Curve;
use super::identifier::{RecipientIdentifier, issuer_and_serial};
use super::oaep::{OaepParameters, sha256_identifier};
use super::*;
use crate::algorithm::{ContentEncryptionAlgorithm, DigestAlgorithm};
use crate::ber::encode::{SEQUENCE, tlv};
use crate::certificate::Certificate;
use crate::cipher::ContentKey;
use crate::limits::Limits;
use crate::test_hex::hex;
use crate::test_rng::TestRng;

macro_rules! fixture {
    ($name:literal) => {
        Certificate::from_der(
            &der::pem::decode_vec(include_bytes!(concat!("../../tests/fixtures/encrypt/", $name, ".pem")))
                .unwrap()
                .1,
        )
        .unwrap()
    };
}

/// RFC 3394, sections 4.1, 4.3 (with 192 bits) and 4.6.
#[test]
fn key_wrap_gives_the_results_of_rfc_3394() {
    let kek = hex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
    let key = hex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
    for (wrap, kek_len, key_len, expected) in [
        (
            KeyWrap::Aes128,
            16,
            16,
            "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5",
        ),
        (
            KeyWrap::Aes192,
            24,
            16,
            "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D",
        ),
        (
            KeyWrap::Aes256,
            32,
            32,
            "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
        ),
    ] {
        let wrapped = wrap.wrap(&kek[..kek_len], &key[..key_len]).unwrap();
        assert_eq!(wrapped, hex(expected));
        let mut unwrapped = vec![0; key_len];
        assert!(wrap.unwrap(&kek[..kek_len], &wrapped, &mut unwrapped));
        assert_eq!(unwrapped, key[..key_len]);
        let mut altered = wrapped.clone();
        altered[3] ^= 1;
        assert!(!wrap.unwrap(&kek[..kek_len], &altered, &mut unwrapped));
        assert!(!wrap.unwrap(&kek[..kek_len], &wrapped, &mut vec![0; key_len + 8]));
    }
}

/// What RFC 5753, section 7.2 and ANSI X9.63 describe, put together here octet by octet.
#[test]
fn the_key_encryption_key_comes_from_secret_counter_and_shared_info() {
    use sha2::Digest;
    let secret = [0x5a; 32];
    // SEQUENCE { SEQUENCE { id-aes256-wrap }, [0] { OCTET STRING "ukm" }, [2] { OCTET STRING 256 as 32 bits } }
    let info = hex("301c 300b 0609608648016503040 12d a005 0403756b6d a206 040400000100");
    let mut digest = sha2::Sha256::new();
    digest.update(secret);
    digest.update([0, 0, 0, 1]);
    digest.update(&info);
    let kdf = Kdf::X963(KdfDigest::Sha256);
    let shared = Shared {
        ukm: Some(b"ukm"),
        null_parameters: false,
    };
    assert_eq!(
        kdf.derive(&secret, KeyWrap::Aes256, shared).to_vec(),
        digest.finalize().to_vec()
    );

    // SHA-1 is too short for one round; the parameters are NULL.
    let info = hex("3017 300d 0609608648016503040 12d 0500 a206 040400000100");
    let round = |counter: u8| {
        let mut digest = sha1::Sha1::new();
        digest.update(secret);
        digest.update([0, 0, 0, counter]);
        digest.update(&info);
        digest.finalize().to_vec()
    };
    let expected = [round(1), round(2)].concat()[..32].to_vec();
    let shared = Shared {
        ukm: None,
        null_parameters: true,
    };
    assert_eq!(
        Kdf::X963(KdfDigest::Sha1)
            .derive(&secret, KeyWrap::Aes256, shared)
            .to_vec(),
        expected
    );
}

/// RFC 8418, section 2.2, with HKDF made of HMAC by hand (RFC 5869, section 2).
#[test]
fn hkdf_takes_user_keying_material_as_salt_and_shared_info_as_info() {
    use hkdf::hmac::{Hmac, KeyInit, Mac};
    let hmac = |key: &[u8], data: &[u8]| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        mac.update(data);
        mac.finalize().into_bytes().to_vec()
    };
    let secret = [0x5a; 32];
    let info = hex("301c 300b 060960864801650304012d a005 0403756b6d a206 040400000100");
    let expected = hmac(&hmac(b"ukm", &secret), &[info.as_slice(), &[1]].concat());
    let shared = Shared {
        ukm: Some(b"ukm"),
        null_parameters: false,
    };
    assert_eq!(
        Kdf::Hkdf(KdfDigest::Sha256)
            .derive(&secret, KeyWrap::Aes256, shared)
            .to_vec(),
        expected
    );
}

#[test]
fn the_key_encryption_key_is_never_zero() {
    for digest in [KdfDigest::Sha256, KdfDigest::Sha384, KdfDigest::Sha512] {
        for kdf in [Kdf::X963(digest), Kdf::Hkdf(digest)] {
            for wrap in [KeyWrap::Aes128, KeyWrap::Aes192, KeyWrap::Aes256] {
                let kek = kdf.derive(
                    &[7; 32],
                    wrap,
                    Shared {
                        ukm: None,
                        null_parameters: false,
                    },
                );
                assert!(kek.iter().filter(|octet| **octet == 0).count() < 8, "{kdf:?} {wrap:?}");
            }
        }
    }
}

fn oaep(der: &[u8]) -> Result<Option<OaepParameters>, MalformedRecipient> {
    OaepParameters::read(Some(AnyRef::from_der(der).unwrap()))
}

#[test]
fn oaep_parameters_have_the_defaults_of_rfc_4055() {
    let default = OaepParameters {
        digest: DigestAlgorithm::Sha1,
        mgf1_digest: DigestAlgorithm::Sha1,
        label: vec![],
    };
    assert_eq!(oaep(&[0x30, 0x00]), Ok(Some(default)));

    let identifier = sha256_identifier().unwrap();
    // The identifier is a SEQUENCE of id-RSAES-OAEP (11 octets) and the parameters.
    let written = oaep(&identifier[2 + 11..]).unwrap().unwrap();
    let sha256 = DigestAlgorithm::Sha256;
    assert_eq!(
        written,
        OaepParameters {
            digest: sha256,
            mgf1_digest: sha256,
            label: vec![]
        }
    );
}

#[test]
fn malformed_oaep_parameters_are_an_error_and_unknown_digests_are_not() {
    let malformed = Err(MalformedRecipient::OaepParameters);
    assert_eq!(OaepParameters::read(None), malformed);
    let sha256 = "300d06096086480165030402010500";
    let sha224 = "300d06096086480165030402040500";
    let mgf1 = "06092a864886f70d010108";
    assert!(oaep(&hex(&format!("3011a00f{sha256}"))).unwrap().is_some());
    for (unsupported, der) in [
        ("SHA-224", format!("3011a00f{sha224}")),
        ("SHA-224 in MGF1", format!("301ea11c301a{mgf1}{sha224}")),
        (
            "another function than MGF1",
            format!("301ea11c301a06092a864886f70d010109{sha256}"),
        ),
    ] {
        assert_eq!(oaep(&hex(&der)), Ok(None), "{unsupported}");
    }
    for (what, der) in [
        ("NULL", "0500".to_owned()),
        ("an INTEGER as digest", "3005a003020101".to_owned()),
        (
            "parameters of SHA-256",
            "3012a010300e0609608648016503040201020101".to_owned(),
        ),
        ("MGF1 without digest", format!("300fa10d300b{mgf1}")),
        (
            "fields in the wrong order",
            format!("302fa11c301a{mgf1}{sha256}a00f{sha256}"),
        ),
        (
            "a label that is an INTEGER",
            "3012a210300e06092a864886f70d010109020101".to_owned(),
        ),
        (
            "a source other than pSpecified",
            "3011a20f300d06092a864886f70d0101080400".to_owned(),
        ),
        ("an unknown field", "3005a303020101".to_owned()),
    ] {
        assert_eq!(oaep(&hex(&der)), malformed, "{what}");
    }
}

#[test]
fn identifiers_match_by_issuer_and_serial_extension_or_digest_of_the_key() {
    let (alice, bob) = (fixture!("rsa-alice"), fixture!("rsa-bob"));
    let read = |der: &[u8]| RecipientIdentifier::read(AnyRef::from_der(der).unwrap()).unwrap();
    let by_issuer = read(&issuer_and_serial(&alice));
    assert!(by_issuer.matches(&alice) && !by_issuer.matches(&bob));
    let key_id = alice.subject_key_id().unwrap();
    for der in [tlv(0x80, key_id), tlv(0xa0, &tlv(0x04, key_id))] {
        assert!(read(&der).matches(&alice) && !read(&der).matches(&bob));
    }
    use sha1::Digest;
    let by_digest = read(&tlv(0x80, &sha1::Sha1::digest(bob.public_key_bits())));
    assert!(by_digest.matches(&bob) && !by_digest.matches(&alice));
    for der in [tlv(0x81, key_id), tlv(0x02, &[1])] {
        assert_eq!(
            RecipientIdentifier::read(AnyRef::from_der(&der).unwrap()),
            Err(MalformedRecipient::Identifier)
        );
    }
}

#[test]
fn a_candidate_matches_only_certificates_with_a_key_that_fits() {
    let mut rng = TestRng::new(1);
    let key = ContentKey::generate(ContentEncryptionAlgorithm::Aes256Cbc, &mut rng);
    let made = make(&fixture!("p256"), None, &key, &mut rng).unwrap();
    let read = RecipientInfos::read(&tlv(0x31, &made.der), &Limits::default()).unwrap();
    assert_eq!((read.candidates.len(), read.count), (1, 1));
    assert!(read.candidates[0].matches(&fixture!("p256")));
    // The same key agreement, under the names of certificates whose keys cannot take part in it.
    for (other, certificate) in [("P-384", fixture!("p384")), ("RSA", fixture!("rsa-alice"))] {
        let identifier =
            RecipientIdentifier::read(AnyRef::from_der(&issuer_and_serial(&certificate)).unwrap()).unwrap();
        let renamed = Candidate {
            identifier,
            ..read.candidates[0].clone()
        };
        assert!(renamed.identifier.matches(&certificate));
        assert!(!renamed.matches(&certificate), "{other}");
    }
}

#[test]
fn points_off_the_curve_and_low_order_keys_are_not_used() {
    let p256 = fixture!("p256");
    let point = p256.public_key_bits();
    assert_eq!(Curve::P256.point(point).as_deref(), Some(point));
    let mut compressed = vec![2 + (point[64] & 1)];
    compressed.extend_from_slice(&point[1..33]);
    assert_eq!(Curve::P256.point(&compressed).as_deref(), Some(point));
    let mut off = point.to_vec();
    off[40] ^= 1;
    assert_eq!(Curve::P256.point(&off), None);
    assert_eq!(Curve::P384.point(point), None);
    assert_eq!(Curve::X25519.point(&[0; 31]), None);
    let mut rng = TestRng::new(2);
    assert!(Curve::P256.agree(&off, &mut rng).is_none());
    assert!(Curve::X25519.agree(&[0; 32], &mut rng).is_none());
    assert!(Curve::X25519.agree(&[9; 32], &mut rng).is_some());
}

/// A KeyTransRecipientInfo for Alice with this key encryption algorithm.
fn transport(algorithm: &[u8]) -> Vec<u8> {
    let mut fields = vec![0x02, 0x01, 0x00];
    fields.extend_from_slice(&issuer_and_serial(&fixture!("rsa-alice")));
    fields.extend_from_slice(algorithm);
    fields.extend_from_slice(&tlv(0x04, &[1; 256]));
    tlv(SEQUENCE, &fields)
}

#[test]
fn recipients_of_other_kinds_are_counted_and_malformed_ones_are_errors() {
    let read = |infos: &[Vec<u8>]| RecipientInfos::read(&tlv(0x31, &infos.concat()), &Limits::default());
    let v15 = transport(&hex("300d06092a864886f70d0101010500"));
    let unknown = transport(&hex("300d06092a864886f70d01010d0500"));
    let password = tlv(0xa3, &[0x02, 0x01, 0x00]);
    let other = tlv(0xa4, &[0x06, 0x01, 0x2a]);
    let found = read(&[unknown, password, v15, other, tlv(0xa2, &[])]).unwrap();
    assert_eq!((found.candidates.len(), found.count), (1, 5));
    assert_eq!(
        found.candidates[0].key_management(),
        crate::algorithm::KeyManagementAlgorithm::RsaPkcs1
    );

    let oaep_without_parameters = transport(&hex("300b06092a864886f70d010107"));
    assert_eq!(
        read(&[oaep_without_parameters]).unwrap_err(),
        MalformedRecipient::OaepParameters
    );
    assert!(matches!(
        read(&[tlv(SEQUENCE, &[0x02, 0x01, 0x00])]),
        Err(MalformedRecipient::Der(_))
    ));
    assert!(matches!(
        read(&[tlv(0xa1, &[0x02, 0x01, 0x03])]),
        Err(MalformedRecipient::Der(_))
    ));
}

/// What a peer that writes NULL parameters for the key wrap makes.
#[test]
fn a_key_wrapped_with_null_parameters_is_recovered() {
    let mut rng = TestRng::new(3);
    let algorithm = ContentEncryptionAlgorithm::Aes128Gcm;
    let certificate = fixture!("p256");
    let key = ContentKey::generate(algorithm, &mut rng);
    let made = make(&certificate, None, &key, &mut rng).unwrap();
    let mut read = RecipientInfos::read(&tlv(0x31, &made.der), &Limits::default()).unwrap();
    let secret = zeroize::Zeroizing::new(vec![0x42; 32]);
    for null_parameters in [false, true] {
        let candidate = &mut read.candidates[0];
        let candidate::Wrapped::Agreement {
            agreement,
            encrypted_key,
        } = &mut candidate.wrapped
        else {
            panic!()
        };
        let shared = Shared {
            ukm: None,
            null_parameters,
        };
        let kek = agreement.kdf.derive(&secret, agreement.wrap, shared);
        *encrypted_key = agreement.wrap.wrap(&kek, key.octets()).unwrap();
        let request = KeyRequest {
            candidates: read.candidates.clone(),
            content_encryption: algorithm,
            recipient_count: 1,
        };
        assert_eq!(request.content_key(0, Some(secret.clone()), &mut rng), key);
        assert_ne!(
            request.content_key(0, Some(zeroize::Zeroizing::new(vec![0x43; 32])), &mut rng),
            key
        );
        assert_ne!(request.content_key(0, None, &mut rng), key);
    }
}

#[test]
fn a_shared_secret_of_zeros_is_a_failure() {
    let mut rng = TestRng::new(4);
    let algorithm = ContentEncryptionAlgorithm::Aes128Gcm;
    let key = ContentKey::generate(algorithm, &mut rng);
    let made = make(&fixture!("x25519"), None, &key, &mut rng).unwrap();
    let mut read = RecipientInfos::read(&tlv(0x31, &made.der), &Limits::default()).unwrap();
    let candidate::Wrapped::Agreement {
        agreement,
        encrypted_key,
    } = &mut read.candidates[0].wrapped
    else {
        panic!()
    };
    let zeros = zeroize::Zeroizing::new(vec![0; 32]);
    let kek = agreement.kdf.derive(
        &zeros,
        agreement.wrap,
        Shared {
            ukm: None,
            null_parameters: false,
        },
    );
    *encrypted_key = agreement.wrap.wrap(&kek, key.octets()).unwrap();
    let request = KeyRequest {
        candidates: read.candidates,
        content_encryption: algorithm,
        recipient_count: 1,
    };
    assert_ne!(request.content_key(0, Some(zeros), &mut rng), key);
}
