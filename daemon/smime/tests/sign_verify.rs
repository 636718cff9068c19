//! Signing and verifying against one another: what reports say, and what can be signed at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![allow(clippy::cast_possible_truncation, reason = "tests")]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "tests")]

use std::time::{Duration, SystemTime};

use chancery_smime::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use chancery_smime::limits::Limits;
use chancery_smime::report::Check;
use chancery_smime::sign::{Form, SignError, Signing};
use chancery_smime::verify::{self, Content, VerifyError, Verifying};

#[path = "support/signers.rs"]
mod signers;

use signers::{
    Counter, EVERY_ALGORITHM, FORMS, MESSAGE, P256, SHA256, SHA384, SIGNING_TIME, certificate, options, sign, sign_as,
    sign_with, verify, verify_in_pieces,
};

#[test]
fn what_every_algorithm_signs_verifies_and_the_report_says_all_there_is_to_say() {
    for form in FORMS {
        for algorithm in EVERY_ALGORITHM {
            let signed = sign(form, &[algorithm], MESSAGE.as_bytes());
            let (report, content) = verify_in_pieces(&signed, usize::MAX).unwrap();
            assert!(report.valid(), "{algorithm:?}: {report:#?}");
            assert_eq!(content, MESSAGE.as_bytes());
            assert_eq!(report.unreadable_certificates, 0);
            let signer = &report.signers[0];
            for check in [
                &signer.digest,
                &signer.signature,
                &signer.key_usage,
                &signer.extended_key_usage,
                &signer.address,
                &signer.signed_attributes,
                &signer.validity,
            ] {
                assert_eq!(*check, Check::Passed);
            }
            assert!(matches!(signer.trust, Check::NotEvaluated(_)));
            assert_eq!(signer.signature_algorithm, Some(algorithm.1));
            assert_eq!(signer.digest_algorithm, Some(algorithm.1.digest()));
            assert_eq!(signer.signing_time, Some(SystemTime::UNIX_EPOCH + SIGNING_TIME));
            assert_eq!(signer.certificate, Some(certificate(algorithm.0)));
        }
    }
}

#[test]
fn the_ed25519_signature_in_a_message_is_over_the_attributes_that_were_given_out() {
    let mut signing = Signing::begin(
        options(Form::Opaque, &[("ed25519", SignatureAlgorithm::Ed25519)]),
        &mut Counter(1),
    )
    .unwrap();
    let mut out = Vec::new();
    signing.push(MESSAGE.as_bytes(), &mut out).unwrap();
    let (_, wanted) = signing.end(&mut out).unwrap();
    assert_eq!(wanted[0].bytes[0], 0x31);
    let signature = sign_with("ed25519", &wanted[0]);
    assert!(certificate("ed25519").verifies(SignatureAlgorithm::Ed25519, &wanted[0].bytes, &signature));
    assert!(!certificate("ed25519").verifies_digest(SignatureAlgorithm::Ed25519, &wanted[0].digest(), &signature));
    let signature = sign_with("ed25519", &wanted[0]);
    assert!(!certificate("p256").verifies(SignatureAlgorithm::Ed25519, &wanted[0].bytes, &signature));
}

#[test]
fn it_does_not_matter_how_the_input_is_cut() {
    let body: String = (0..3000)
        .map(|line| format!("line {line} of a message of some length\r\n"))
        .collect();
    let message = format!("{MESSAGE}{body}");
    for form in FORMS {
        let whole = sign(form, &[P256], message.as_bytes());
        for piece in [1, 7, 1000, 65_536] {
            let signed = sign_as(options(form, &[P256]), &["p256"], message.as_bytes(), piece);
            assert_eq!(signed, whole);
            let (report, content) = verify_in_pieces(&whole, piece).unwrap();
            assert!(report.valid());
            assert_eq!(content, message.as_bytes());
        }
    }
}

#[test]
fn both_forms_have_the_header_fields_of_s_mime() {
    let signers = [("rsa", SignatureAlgorithm::RsaPss(SHA384)), P256, ("bob", P256.1)];
    let clear = String::from_utf8(sign(Form::Clear, &signers, MESSAGE.as_bytes())).unwrap();
    assert!(clear.starts_with(
        "From: Alice <alice@example.org>\r\nSubject: Terms\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed;"
    ));
    assert!(clear.contains("micalg=\"sha-384,sha-256\""));
    assert!(
        clear.contains("\r\n\r\n--=_") && clear.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nWe agree")
    );
    assert!(clear.ends_with("--\r\n"));
    assert_eq!(clear.matches("MIME-Version").count(), 1);
    let opaque = String::from_utf8(sign(Form::Opaque, &signers, MESSAGE.as_bytes())).unwrap();
    assert!(opaque.contains("smime-type=signed-data"));
    assert!(opaque.lines().all(|line| line.len() <= 998));
    assert!(!clear.replace("\r\n", "").contains('\n') && !opaque.replace("\r\n", "").contains('\n'));
    assert_eq!(verify(opaque.as_bytes()).unwrap().signers.len(), 3);
}

#[test]
fn boundaries_differ_with_the_randomness() {
    let boundary = |seed| {
        let mut signing = Signing::begin(options(Form::Clear, &[P256]), &mut Counter(seed)).unwrap();
        let mut out = Vec::new();
        signing.push(MESSAGE.as_bytes(), &mut out).unwrap();
        out
    };
    assert_eq!(boundary(1), boundary(1));
    assert_ne!(boundary(1), boundary(2));
}

#[test]
fn the_length_of_the_signed_entity_is_told() {
    let mut signing = Signing::begin(options(Form::Clear, &[P256]), &mut Counter(1)).unwrap();
    let mut out = Vec::new();
    signing.push(b"Content-Type: text/plain\n\nHello\n", &mut out).unwrap();
    let (awaiting, wanted) = signing.end(&mut out).unwrap();
    let signed = awaiting.finish(vec![sign_with("p256", &wanted[0])], &mut out).unwrap();
    let entity = b"Content-Type: text/plain\r\n\r\nHello\r\n";
    assert_eq!(signed.content_length, entity.len() as u64);
    assert!(out.windows(entity.len()).any(|window| window == entity));
}

#[test]
fn an_empty_message_can_be_signed() {
    for form in FORMS {
        let signed = sign(form, &[P256], b"");
        assert!(verify(&signed).unwrap().valid());
    }
}

#[test]
fn options_that_cannot_be_met_are_refused_before_the_first_byte() {
    let begin = |options| Signing::begin(options, &mut Counter(1)).map(drop);
    assert!(matches!(begin(options(Form::Clear, &[])), Err(SignError::NoSigner)));
    let server = options(Form::Clear, &[("server", P256.1)]);
    assert!(matches!(begin(server), Err(SignError::NotForSigning { .. })));
    for algorithm in [SignatureAlgorithm::RsaPkcs1(SHA256), SignatureAlgorithm::Ed25519] {
        assert!(matches!(
            begin(options(Form::Clear, &[("p256", algorithm)])),
            Err(SignError::KeyDoesNotFit { .. })
        ));
    }
    let weak = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha1);
    assert!(matches!(
        begin(options(Form::Clear, &[("p256", weak)])),
        Err(SignError::Weak { .. })
    ));
    let mut many = options(Form::Clear, &[P256, P256]);
    many.limits.signers = 1;
    assert!(matches!(
        begin(many),
        Err(SignError::TooManySigners { found: 2, limit: 1 })
    ));
}

#[test]
fn signatures_that_are_missing_or_empty_are_refused() {
    for signatures in [vec![], vec![vec![]], vec![vec![1], vec![1]]] {
        let signing = Signing::begin(options(Form::Clear, &[P256]), &mut Counter(1)).unwrap();
        let mut out = Vec::new();
        let (awaiting, _) = signing.end(&mut out).unwrap();
        assert!(matches!(
            awaiting.finish(signatures, &mut out),
            Err(SignError::Signatures { expected: 1 })
        ));
    }
}

#[test]
fn signing_times_from_2050_on_and_outside_the_validity() {
    let signed_at = |seconds: u64| {
        let mut options = options(Form::Opaque, &[P256]);
        options.signing_time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        verify(&sign_as(options, &["p256"], MESSAGE.as_bytes(), 100)).unwrap()
    };
    for seconds in [2_524_607_999, 2_524_608_000, 253_402_300_799] {
        let report = signed_at(seconds);
        assert!(report.valid(), "{report:#?}");
        assert_eq!(
            report.signers[0].signing_time,
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        );
    }
    let report = signed_at(900_000_000);
    assert!(report.signers[0].validity.is_failed());
    assert!(!report.valid());
}

#[test]
fn limits_on_signers_and_certificates_hold() {
    let signed = sign(Form::Opaque, &[P256, ("bob", P256.1)], MESSAGE.as_bytes());
    let with = |limits| {
        let mut verifying = Verifying::begin(verify::Options {
            content: Content::Discard,
            limits,
        });
        let mut out = Vec::new();
        verifying
            .push(&signed, &mut out)
            .and_then(|()| verifying.finish(&mut out))
            .map(|_| assert!(out.is_empty()))
    };
    assert!(with(Limits::default()).is_ok());
    let limits = Limits {
        signers: 1,
        ..Limits::default()
    };
    assert!(matches!(
        with(limits),
        Err(VerifyError::TooMany {
            what: "signers",
            limit: 1
        })
    ));
    let limits = Limits {
        certificates: 2,
        ..Limits::default()
    };
    assert!(matches!(
        with(limits),
        Err(VerifyError::TooMany {
            what: "certificates",
            limit: 2
        })
    ));
    let limits = Limits {
        cms_element_len: 200,
        ..Limits::default()
    };
    assert!(matches!(with(limits), Err(VerifyError::Ber(_))));
}

#[test]
fn other_things_than_signed_messages_are_refused_by_name() {
    assert!(matches!(verify(MESSAGE.as_bytes()), Err(VerifyError::Mime(_))));
    assert!(matches!(verify(b""), Err(VerifyError::Mime(_))));
    // A ContentInfo with id-envelopedData.
    let enveloped = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03, 0xa0, 0x00,
    ];
    assert!(matches!(verify(&enveloped), Err(VerifyError::NotSigned(_))));
}

#[test]
fn what_was_signed_and_is_signed_again_verifies_layer_by_layer() {
    let inner = sign(Form::Clear, &[P256], MESSAGE.as_bytes());
    for form in FORMS {
        let outer = sign(form, &[("rsa", SignatureAlgorithm::RsaPss(SHA256))], &inner);
        let (report, content) = verify_in_pieces(&outer, 777).unwrap();
        assert!(report.valid(), "{report:#?}");
        let report = verify(&content).unwrap();
        assert!(report.valid(), "{report:#?}");
    }
}
