//! Signature algorithms as a SignerInfo names them, and keys that they do not go with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use der::Any;
use der::asn1::Null;

use super::*;

const SHA256: DigestAlgorithm = DigestAlgorithm::Sha256;

fn identifier(oid: ObjectIdentifier, parameters: Option<Any>) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters }
}

fn pss(
    hash: Option<ObjectIdentifier>,
    mask_hash: Option<ObjectIdentifier>,
    salt_len: Option<u16>,
) -> AlgorithmIdentifierOwned {
    let with_null = |oid| identifier(oid, Some(Any::from(Null)));
    let parameters = PssParameters {
        hash: hash.map(with_null),
        mask_gen: mask_hash.map(|oid| identifier(rfc5912::ID_MGF_1, Some(Any::encode_from(&with_null(oid)).unwrap()))),
        salt_len,
        trailer_field: None,
    };
    identifier(rfc5912::ID_RSASSA_PSS, Some(Any::encode_from(&parameters).unwrap()))
}

#[test]
fn what_this_crate_writes_is_read_as_what_it_means() {
    for digest in DigestAlgorithm::ALL {
        for algorithm in [
            SignatureAlgorithm::RsaPkcs1(digest),
            SignatureAlgorithm::RsaPss(digest),
            SignatureAlgorithm::Ecdsa(digest),
        ] {
            assert_eq!(
                Scheme::read(&algorithm.algorithm_identifier(), digest),
                Ok(Scheme::from(algorithm))
            );
        }
    }
    let ed25519 = SignatureAlgorithm::Ed25519;
    assert_eq!(
        Scheme::read(&ed25519.algorithm_identifier(), ed25519.digest()),
        Ok(Scheme::from(ed25519))
    );
}

#[test]
fn a_digest_named_twice_has_to_be_the_same() {
    for oid in [
        rfc5912::SHA_512_WITH_RSA_ENCRYPTION,
        rfc5912::ECDSA_WITH_SHA_384,
        ECDSA_WITH_SHA_1,
    ] {
        assert!(matches!(
            Scheme::read(&identifier(oid, None), SHA256),
            Err(SchemeError::OtherDigest { .. })
        ));
    }
    let read = Scheme::read(&identifier(rfc5912::SHA_256_WITH_RSA_ENCRYPTION, None), SHA256);
    assert_eq!(read.unwrap().algorithm, SignatureAlgorithm::RsaPkcs1(SHA256));
}

#[test]
fn unknown_algorithms_are_named() {
    let oid = rfc5912::MD_5_WITH_RSA_ENCRYPTION;
    assert_eq!(
        Scheme::read(&identifier(oid, None), SHA256),
        Err(SchemeError::Unknown(oid))
    );
}

#[test]
fn pss_parameters_are_checked() {
    let sha256 = Some(rfc5912::ID_SHA_256);
    let sha512 = Some(rfc5912::ID_SHA_512);
    for salt_len in [0, 20, 32, 478] {
        let scheme = Scheme::read(&pss(sha256, sha256, Some(salt_len)), SHA256).unwrap();
        assert_eq!(
            scheme,
            Scheme {
                algorithm: SignatureAlgorithm::RsaPss(SHA256),
                salt_len: salt_len.into()
            }
        );
    }
    // Everything by default is SHA-1 with 20 octets of salt.
    let scheme = Scheme::read(&pss(None, None, None), DigestAlgorithm::Sha1).unwrap();
    assert_eq!(scheme.salt_len, 20);
    for (wrong, digest) in [
        (pss(sha512, sha512, Some(32)), SHA256),
        (pss(sha256, sha512, Some(32)), SHA256),
        (pss(sha256, None, Some(32)), SHA256),
        (pss(None, None, None), SHA256),
        (identifier(rfc5912::ID_RSASSA_PSS, None), SHA256),
        (identifier(rfc5912::ID_RSASSA_PSS, Some(Any::from(Null))), SHA256),
    ] {
        assert!(Scheme::read(&wrong, digest).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_signature_of_another_kind_than_the_key_does_not_verify() {
    let pem = include_bytes!("../../tests/fixtures/sign/p256.pem");
    let certificate = Certificate::from_der(&der::pem::decode_vec(pem).unwrap().1).unwrap();
    for algorithm in [
        SignatureAlgorithm::RsaPkcs1(SHA256),
        SignatureAlgorithm::RsaPss(SHA256),
        SignatureAlgorithm::Ed25519,
    ] {
        assert!(!certificate.verifies(algorithm, b"message", &[0; 64]));
    }
    for signature in [&[][..], &[0x30, 0], &[0x30, 6, 2, 1, 0, 2, 1, 0], &[0; 72]] {
        assert!(!certificate.verifies(SignatureAlgorithm::Ecdsa(SHA256), b"message", signature));
    }
}
