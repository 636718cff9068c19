//! Nothing passes that was changed, cut off or put in a signer's name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![allow(clippy::cast_possible_truncation, reason = "tests")]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "tests")]

use chancery_smime::algorithm::SignatureAlgorithm;
use chancery_smime::report::Check;
use chancery_smime::sign::Form;

#[path = "support/signers.rs"]
mod signers;

use signers::{FORMS, MESSAGE, P256, SHA384, options, sign, sign_as, verify, verify_in_pieces};

#[test]
fn every_address_in_from_and_sender_has_to_be_the_signers() {
    for (header, passed) in [
        ("From: alice@example.org", true),
        ("From: ALICE.TWO@EXAMPLE.NET", true),
        ("From: alice@example.org\r\nSender: alice.two@example.net", true),
        ("From: mallory@example.org", false),
        ("From: \"alice@example.org\" <mallory@example.org>", false),
        ("From: alice@example.org, mallory@example.org", false),
        ("From: mallory@example.org\r\nSender: alice@example.org", false),
        ("From: alice@example.org\r\nSender: mallory@example.org", false),
        (
            "From: alice@example.org\r\nSender: alice@example.org\r\nSender: mallory@example.org",
            false,
        ),
        ("From: alice@example.org\r\nFROM : mallory@example.org", false),
        ("From: mallory@example.org:;, alice@example.org", false),
        ("From: <mallory@example.org>: alice@example.org;", false),
        // Some readers end a line at every CR, and some at a NUL.
        ("From: alice@example.org (\rFrom: mallory@example.org\r)", false),
        (
            "Subject: Hello\rFrom: mallory@example.org\r\nFrom: alice@example.org",
            false,
        ),
        ("From: \"\0mallory@example.org\" <alice@example.org>", false),
        ("From: (mallory@example.org alice@example.org", false),
        ("From: friends:;\r\nSender: alice@example.org", false),
    ] {
        for form in FORMS {
            let report = verify(&sign(form, &[P256], format!("{header}\r\n\r\nHello\r\n").as_bytes())).unwrap();
            assert_eq!(report.signers[0].address.is_passed(), passed, "{header}");
            assert_eq!(report.valid(), passed, "{header}");
        }
    }
    let report = verify(&sign(Form::Clear, &[P256], b"Subject: none\r\n\r\nHello\r\n")).unwrap();
    assert!(matches!(report.signers[0].address, Check::NotMade(_)));
    assert!(report.valid());
    let report = verify(&sign(
        Form::Clear,
        &[P256],
        b"Sender: alice@example.org\r\n\r\nHello\r\n",
    ))
    .unwrap();
    assert!(matches!(report.signers[0].address, Check::NotMade(_)));
}

#[test]
fn an_author_named_inside_the_signed_content_has_to_be_the_signer_too() {
    for (outer, inner, passed) in [
        ("From: alice@example.org", "From: mallory@example.org", false),
        ("From: alice@example.org", "Sender: mallory@example.org", false),
        (
            "From: alice@example.org",
            "Subject: Hi\rFrom: mallory@example.org",
            false,
        ),
        ("From: alice@example.org", "From: alice.two@example.net", true),
        ("Subject: none", "From: mallory@example.org", false),
        ("Subject: none", "From: alice@example.org", true),
    ] {
        for form in FORMS {
            // The signer leaves such fields outside. One of the same length that it takes in gives its place to them.
            let stand_in = format!("Content-{}: x", "X".repeat(inner.len() - "Content-: x".len()));
            let signed = sign(
                form,
                &[P256],
                format!("{outer}\r\n{stand_in}\r\n\r\nHello\r\n").as_bytes(),
            );
            let changed = replace(&in_binary(form, &signed), stand_in.as_bytes(), inner.as_bytes());
            for piece in [1, usize::MAX] {
                let (report, _) = verify_in_pieces(&changed, piece).unwrap();
                assert_eq!(
                    report.signers[0].address.is_passed(),
                    passed,
                    "{form:?}: {outer}, {inner}"
                );
            }
        }
    }
}

/// An opaque message with its CMS object as it is, and a clear one unchanged.
fn in_binary(form: Form, signed: &[u8]) -> Vec<u8> {
    if form == Form::Clear {
        return signed.to_vec();
    }
    let text = std::str::from_utf8(signed).unwrap();
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    let pem = format!("-----BEGIN CMS-----\n{}\n-----END CMS-----\n", body.trim_end());
    let header = header.replace("base64", "binary");
    [
        header.as_bytes(),
        b"\r\n\r\n",
        &der::pem::decode_vec(pem.as_bytes()).unwrap().1,
    ]
    .concat()
}

fn replace(message: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = message.windows(from.len()).position(|window| window == from).unwrap();
    [&message[..at], to, &message[at + from.len()..]].concat()
}

#[test]
fn changed_content_fails_the_digest_alone() {
    let signed = String::from_utf8(sign(Form::Clear, &[P256], MESSAGE.as_bytes())).unwrap();
    let report = verify(signed.replace("We agree", "We differ").as_bytes()).unwrap();
    assert!(report.signers[0].digest.is_failed());
    assert_eq!(report.signers[0].signature, Check::Passed);
    assert!(!report.valid());
}

#[test]
fn a_digest_that_micalg_does_not_announce_is_not_taken_as_good() {
    let signed = sign(
        Form::Clear,
        &[("p384", SignatureAlgorithm::Ecdsa(SHA384))],
        MESSAGE.as_bytes(),
    );
    let signed = String::from_utf8(signed).unwrap();
    for (micalg, passed) in [("sha-512", false), ("sha384", true), ("unknown", true), ("", true)] {
        let report = verify(
            signed
                .replace("micalg=\"sha-384\"", &format!("micalg=\"{micalg}\""))
                .as_bytes(),
        )
        .unwrap();
        assert_eq!(report.valid(), passed, "{micalg}: {report:#?}");
    }
}

#[test]
fn no_change_of_a_byte_goes_unnoticed() {
    let mut options = options(Form::Clear, &[P256]);
    options.certificates.clear();
    for form in FORMS {
        options.form = form;
        let signed = sign_as(options.clone(), &["p256"], MESSAGE.as_bytes(), usize::MAX);
        let (reference, content) = verify_in_pieces(&signed, usize::MAX).unwrap();
        assert!(reference.valid());
        for index in 0..signed.len() {
            let mut changed = signed.clone();
            changed[index] ^= 1 << (index % 8);
            let Ok((report, out)) = verify_in_pieces(&changed, usize::MAX) else {
                continue;
            };
            // The outer header is not signed, and neither is the way in which things are encoded.
            let signed_part = |content: &[u8]| {
                let at = content.windows(12).position(|window| window == b"Content-Type")?;
                Some(content[at..].to_vec())
            };
            if report.valid() {
                assert_eq!(signed_part(&out), signed_part(&content), "byte {index}");
                assert_eq!(report.signers[0].certificate, reference.signers[0].certificate);
                assert_eq!(report.signers[0].signing_time, reference.signers[0].signing_time);
            }
        }
    }
}

#[test]
fn a_truncated_message_has_no_report() {
    for form in FORMS {
        let signed = sign(form, &[P256], MESSAGE.as_bytes());
        // The line end after the last line may be missing; whatever else is, is missed.
        for length in 0..signed.len() - 4 {
            assert!(verify(&signed[..length]).is_err(), "{form:?} {length}");
        }
    }
}
