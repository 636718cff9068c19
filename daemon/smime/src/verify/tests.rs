//! Signed attributes that only somebody with bad intentions or a bad encoder writes, and signers that are checked against
//! them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use const_oid::ObjectIdentifier;
use p256::pkcs8::DecodePrivateKey as _;
use signature::hazmat::PrehashSigner as _;
use spki::AlgorithmIdentifierOwned;

use super::attributes::{SignedAttributes, signed_octets};
use super::authors::Authors;
use super::checks::{Evidence, report};
use super::content_digest::ContentDigest;
use super::signed_data::SignedData;
use super::signer_info::{SignerIdentifier, SignerInfo};
use super::*;
use crate::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use crate::attributes::*;
use crate::ber::Field;
use crate::ber::encode::{CONTEXT_0, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, constructed, set_of, tlv};
use crate::certificate::Certificate;
use crate::digest::digest;
use crate::report::{Check, SignerReport};

const CONTENT: &[u8] = b"Content-Type: text/plain\r\n\r\nHello\r\n";
const SHA256: DigestAlgorithm = DigestAlgorithm::Sha256;

fn pem(pem: &[u8]) -> Vec<u8> {
    der::pem::decode_vec(pem).unwrap().1
}

fn certificate() -> Certificate {
    Certificate::from_der(&pem(include_bytes!("../../tests/fixtures/sign/p256.pem"))).unwrap()
}

fn sign(octets: &[u8]) -> Vec<u8> {
    let key = pem(include_bytes!("../../tests/fixtures/sign/p256.key"));
    let key = p256::ecdsa::SigningKey::from_pkcs8_der(&key).unwrap();
    let signature: p256::ecdsa::Signature = key.sign_prehash(&digest(SHA256, octets)).unwrap();
    signature.to_der().as_bytes().to_vec()
}

fn attribute(oid: ObjectIdentifier, values: &[&[u8]]) -> Vec<u8> {
    constructed(SEQUENCE, &[&tlv(OID, oid.as_bytes()), &constructed(SET, values)])
}

fn content_type() -> Vec<u8> {
    attribute(ID_CONTENT_TYPE, &[&tlv(OID, ID_DATA.as_bytes())])
}

fn message_digest() -> Vec<u8> {
    attribute(ID_MESSAGE_DIGEST, &[&tlv(OCTET_STRING, &digest(SHA256, CONTENT))])
}

fn signing_certificate(hash: &[u8], more: &[u8]) -> Vec<u8> {
    let id = constructed(SEQUENCE, &[&tlv(OCTET_STRING, hash), more]);
    attribute(ID_AA_SIGNING_CERTIFICATE_V_2, &[&tlv(SEQUENCE, &tlv(SEQUENCE, &id))])
}

fn algorithm_protection(digest: DigestAlgorithm, signature: SignatureAlgorithm) -> Vec<u8> {
    use der::Encode as _;
    let mut signature = signature.algorithm_identifier().to_der().unwrap();
    signature[0] = 0xa1;
    let value = constructed(
        SEQUENCE,
        &[&digest.algorithm_identifier().to_der().unwrap(), &signature],
    );
    attribute(ID_AA_CMS_ALGORITHM_PROTECTION, &[&value])
}

fn signer(attributes: Option<&[Vec<u8>]>, signature: Vec<u8>) -> SignerInfo {
    let certificate = certificate();
    SignerInfo {
        identifier: SignerIdentifier::IssuerAndSerial {
            issuer: certificate.issuer_der().to_vec(),
            serial: certificate.serial().to_vec(),
        },
        digest_algorithm: SHA256.algorithm_identifier(),
        signed_attributes: attributes.map(<[_]>::concat),
        signature_algorithm: SignatureAlgorithm::Ecdsa(SHA256).algorithm_identifier(),
        signature,
    }
}

fn check_content(signer: &SignerInfo, content: &[u8], content_type: ObjectIdentifier) -> SignerReport {
    let mut digest = ContentDigest::for_opaque(&[SHA256]);
    for octet in content.chunks(1) {
        digest.update(octet);
    }
    let (digests, looks_like_attributes) = digest.finish();
    let certificates = [certificate()];
    let evidence = Evidence {
        content_type,
        digests: &digests,
        looks_like_attributes,
        certificates: &certificates,
        authors: &Authors::default(),
    };
    report(signer, &evidence)
}

/// The report on a signer who signed these attributes, in the order given.
fn check(attributes: &[Vec<u8>]) -> SignerReport {
    let signature = sign(&tlv(SET, &attributes.concat()));
    check_content(&signer(Some(attributes), signature), CONTENT, ID_DATA)
}

#[test]
fn attributes_verify_in_the_order_received_and_in_the_order_of_der() {
    let unsorted = [message_digest(), content_type()];
    let sorted = set_of(SET, unsorted.to_vec());
    assert_ne!(sorted, tlv(SET, &unsorted.concat()));
    assert!(check(&unsorted).valid());
    let report = check_content(&signer(Some(&unsorted), sign(&sorted)), CONTENT, ID_DATA);
    assert!(report.valid(), "{report:#?}");
    assert_eq!(
        signed_octets(&unsorted.concat()),
        [tlv(SET, &unsorted.concat()), sorted.clone()]
    );
    assert_eq!(signed_octets(&sorted[2..]), [sorted]);
}

#[test]
fn a_single_valued_attribute_that_stands_there_twice_is_refused() {
    let twice_over = attribute(
        ID_MESSAGE_DIGEST,
        &[
            &tlv(OCTET_STRING, &[0; 32]),
            &tlv(OCTET_STRING, &digest(SHA256, CONTENT)),
        ],
    );
    for attributes in [
        vec![content_type(), message_digest(), message_digest()],
        vec![content_type(), content_type(), message_digest()],
        vec![content_type(), twice_over],
        vec![content_type(), attribute(ID_MESSAGE_DIGEST, &[])],
    ] {
        let report = check(&attributes);
        assert!(report.signature.is_passed());
        assert!(matches!(&report.signed_attributes, Check::Failed(why) if why.contains("exactly one value")));
        assert!(!report.valid());
    }
}

#[test]
fn content_type_and_message_digest_have_to_be_there_and_agree() {
    assert!(check(&[content_type(), message_digest()]).valid());
    assert!(check(&[message_digest()]).signed_attributes.is_failed());
    assert!(check(&[content_type()]).digest.is_failed());
    let other = attribute(ID_CONTENT_TYPE, &[&tlv(OID, crate::ber::ID_SIGNED_DATA.as_bytes())]);
    assert!(check(&[other, message_digest()]).signed_attributes.is_failed());
    let other = attribute(ID_MESSAGE_DIGEST, &[&tlv(OCTET_STRING, &digest(SHA256, b"other"))]);
    assert!(check(&[content_type(), other]).digest.is_failed());
    let report = check(&[vec![0x30, 0x05, 0x01]]);
    assert!(report.signed_attributes.is_failed() && report.digest.is_failed());
}

#[test]
fn a_signing_certificate_attribute_has_to_name_the_signers_certificate() {
    let hash = digest(SHA256, certificate().der());
    let with = |attribute: Vec<u8>| check(&[content_type(), message_digest(), attribute]).signed_attributes;
    assert_eq!(with(signing_certificate(&hash, &[])), Check::Passed);
    assert!(with(signing_certificate(&digest(SHA256, b"other"), &[])).is_failed());
    let issuer_serial = |serial: &[u8]| {
        let issuer = tlv(SEQUENCE, &tlv(0xa4, certificate().issuer_der()));
        constructed(SEQUENCE, &[&issuer, &tlv(INTEGER, serial)])
    };
    assert_eq!(
        with(signing_certificate(&hash, &issuer_serial(certificate().serial()))),
        Check::Passed
    );
    assert!(with(signing_certificate(&hash, &issuer_serial(&[1]))).is_failed());
    assert!(with(attribute(ID_AA_SIGNING_CERTIFICATE_V_2, &[&tlv(SEQUENCE, &[])])).is_failed());
    let id = tlv(
        SEQUENCE,
        &tlv(OCTET_STRING, &digest(DigestAlgorithm::Sha1, certificate().der())),
    );
    assert_eq!(
        with(attribute(
            ID_AA_SIGNING_CERTIFICATE,
            &[&tlv(SEQUENCE, &tlv(SEQUENCE, &id))]
        )),
        Check::Passed
    );
}

#[test]
fn algorithm_protection_has_to_name_the_algorithms_of_the_signature() {
    let with = |digest, signature| {
        check(&[
            content_type(),
            message_digest(),
            algorithm_protection(digest, signature),
        ])
        .signed_attributes
    };
    assert_eq!(with(SHA256, SignatureAlgorithm::Ecdsa(SHA256)), Check::Passed);
    assert!(with(DigestAlgorithm::Sha512, SignatureAlgorithm::Ecdsa(SHA256)).is_failed());
    assert!(with(SHA256, SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha512)).is_failed());
}

#[test]
fn without_attributes_the_signature_is_over_the_content_and_only_for_mail() {
    let bare = signer(None, sign(CONTENT));
    let report = check_content(&bare, CONTENT, ID_DATA);
    assert!(report.valid(), "{report:#?}");
    assert!(matches!(report.signed_attributes, Check::NotMade(_)));
    assert!(check_content(&bare, b"other", ID_DATA).signature.is_failed());
    assert!(!check_content(&bare, CONTENT, ID_CONTENT_TYPE).valid());
}

#[test]
fn the_attributes_of_a_signature_do_not_pass_as_a_message_of_their_own() {
    for more in [
        vec![],
        vec![attribute(SMIME_CAPABILITIES, &[&[0; 200]])],
        vec![attribute(SMIME_CAPABILITIES, &[&[0; 400]])],
    ] {
        let attributes = tlv(SET, &[vec![content_type(), message_digest()], more].concat().concat());
        let report = check_content(&signer(None, sign(&attributes)), &attributes, ID_DATA);
        assert_eq!(report.signature, Check::Passed);
        assert!(report.signed_attributes.is_failed());
        assert!(!report.valid());
    }
}

#[test]
fn the_signature_decides_between_certificates_of_the_same_name() {
    // The same issuer and serial number, another key.
    let mut forged = certificate().der().to_vec();
    let key = certificate().public_key_bits().to_vec();
    let at = forged.windows(key.len()).position(|window| window == key).unwrap();
    let other = Certificate::from_der(&pem(include_bytes!("../../tests/fixtures/sign/bob.pem"))).unwrap();
    forged[at..at + key.len()].copy_from_slice(other.public_key_bits());
    let certificates = [Certificate::from_der(&forged).unwrap(), certificate()];
    let attributes = [content_type(), message_digest()];
    let signer = signer(Some(&attributes), sign(&tlv(SET, &attributes.concat())));
    let mut content = ContentDigest::for_clear(&[SHA256]);
    content.update(CONTENT);
    let (digests, looks_like_attributes) = content.finish();
    let evidence = Evidence {
        content_type: ID_DATA,
        digests: &digests,
        looks_like_attributes,
        certificates: &certificates,
        authors: &Authors::default(),
    };
    let report = report(&signer, &evidence);
    assert_eq!(report.signature, Check::Passed);
    assert_eq!(report.certificate, Some(certificate()));
}

#[test]
fn a_crowd_of_certificates_of_the_same_name_is_not_tried_one_by_one() {
    // Each with another octet of the key changed.
    let genuine = certificate();
    let key = genuine.public_key_bits();
    let at = genuine
        .der()
        .windows(key.len())
        .position(|window| window == key)
        .unwrap();
    let forged = (1..=8).map(|offset| {
        let mut der = genuine.der().to_vec();
        der[at + offset] ^= 1;
        Certificate::from_der(&der).unwrap()
    });
    let certificates: Vec<_> = forged.chain([certificate()]).collect();
    let attributes = [content_type(), message_digest()];
    let signer = signer(Some(&attributes), sign(&tlv(SET, &attributes.concat())));
    let mut content = ContentDigest::for_opaque(&[SHA256]);
    content.update(CONTENT);
    let (digests, looks_like_attributes) = content.finish();
    let report = report(
        &signer,
        &Evidence {
            content_type: ID_DATA,
            digests: &digests,
            looks_like_attributes,
            certificates: &certificates,
            authors: &Authors::default(),
        },
    );
    assert!(report.signature.is_failed(), "{:?}", report.signature);
    assert_eq!(report.certificate.as_ref(), certificates.first());
}

#[test]
fn a_digest_algorithm_in_the_signature_algorithm_has_to_be_the_one_beside_it() {
    let attributes = [content_type(), message_digest()];
    let mut signer = signer(Some(&attributes), sign(&tlv(SET, &attributes.concat())));
    signer.signature_algorithm = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha512).algorithm_identifier();
    assert!(check_content(&signer, CONTENT, ID_DATA).signature.is_failed());
    signer.signature_algorithm = AlgorithmIdentifierOwned {
        oid: ID_DATA,
        parameters: None,
    };
    let report = check_content(&signer, CONTENT, ID_DATA);
    assert!(matches!(&report.signature, Check::Failed(why) if why.contains("1.2.840.113549.1.7.1")));
    assert_eq!(report.signature_algorithm, None);
    assert_eq!(report.signature_algorithm_oid, ID_DATA);
}

#[test]
fn line_ends_are_made_canonical_only_if_the_first_one_is_bare_wherever_the_content_is_cut() {
    let forms = |content: &[u8], piece: usize| {
        let mut digest = ContentDigest::for_clear(&[SHA256]);
        content.chunks(piece).for_each(|octets| digest.update(octets));
        digest
            .finish()
            .0
            .into_iter()
            .map(|mut by| by.remove(0).1)
            .collect::<Vec<_>>()
    };
    for piece in 1..8 {
        assert_eq!(forms(b"a\r\nb\nc", piece), [digest(SHA256, b"a\r\nb\nc")]);
        assert_eq!(
            forms(b"a\nb\r\nc", piece),
            [digest(SHA256, b"a\nb\r\nc"), digest(SHA256, b"a\r\nb\r\nc")]
        );
        assert_eq!(forms(b"\nb", piece), [digest(SHA256, b"\nb"), digest(SHA256, b"\r\nb")]);
        assert_eq!(forms(b"none", piece), [digest(SHA256, b"none")]);
    }
}

#[test]
fn one_odd_certificate_is_counted_and_the_others_are_read_once_each() {
    let good = certificate().der().to_vec();
    let odd = tlv(SEQUENCE, &[1, 2, 3]);
    let other_kind = tlv(0xa1, &[]);
    let mut signed_data = SignedData::default();
    let read = |signed_data: &SignedData| signed_data.certificates(&Limits::default()).unwrap();
    assert_eq!(read(&signed_data), (vec![], 0));
    signed_data.keep(
        Field::Certificates,
        &constructed(CONTEXT_0, &[&odd, &good, &other_kind, &good]),
    );
    assert_eq!(read(&signed_data), (vec![certificate()], 2));
    signed_data.keep(Field::Certificates, &constructed(CONTEXT_0, &[&good, &[0x30, 0x7f]]));
    assert_eq!(read(&signed_data), (vec![certificate()], 1));
}

#[test]
fn malformed_attributes_are_refused_as_a_whole() {
    for contents in [
        &[0x30, 0x02, 0x06][..],
        &[0x02, 0x01, 0x00],
        &[0x30, 0x80, 0, 0],
        &[0x30, 0x04, 0x06, 0x01, 0x80, 0x31],
    ] {
        assert!(SignedAttributes::read(contents).is_err());
    }
    assert!(SignerInfo::from_der(&tlv(SEQUENCE, &tlv(INTEGER, &[1]))).is_err());
}
