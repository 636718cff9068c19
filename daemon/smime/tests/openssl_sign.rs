//! Signatures with the OpenSSL command line on the other side, both ways.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![allow(clippy::cast_possible_truncation, reason = "tests")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "OpenSSL is run, and reads files"
)]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "tests")]

use std::path::Path;
use std::process::Command;

use chancery_smime::algorithm::SignatureAlgorithm;
use chancery_smime::report::{Check, SignedReport};
use chancery_smime::sign::{Form, SignError, Signing};

#[path = "support/signers.rs"]
mod signers;

use signers::{
    Counter, EVERY_ALGORITHM, SHA256, SHA512, certificate, options, path, sign, sign_as, sign_with, signer,
    verify_in_pieces,
};

const MESSAGE: &str = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: Terms\r\n\
                       Content-Type: text/plain; charset=utf-8\r\n\r\nWe agree.\r\n\r\n-- \r\nAlice\r\n";
/// Fields that come out in front of the content.
const OUTER: &str = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: Terms\r\nMIME-Version: 1.0\r\n";
const ENTITY: &str = "Content-Type: text/plain\r\n\r\nWe agree.\r\n\r\nAlice\r\n";

/// Runs `openssl cms` on `input`; what it writes to its `-out`, or its complaint.
fn openssl(arguments: &[String], input: &[u8]) -> Result<Vec<u8>, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("in"), input).unwrap();
    let output = Command::new("openssl")
        .arg("cms")
        .args(arguments)
        .args([Path::new("-in"), &file("in"), Path::new("-out"), &file("out")])
        .output()
        .expect("the openssl command line is needed for this test");
    if output.status.success() {
        Ok(std::fs::read(file("out")).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// `openssl cms -sign` with the key of `name`.
fn openssl_sign(name: &str, more: &str, input: &[u8]) -> Vec<u8> {
    let mut arguments = words(&format!(
        "-sign -signer {} -inkey {}",
        path(&format!("{name}.pem")),
        path(&format!("{name}.key"))
    ));
    arguments.extend(words(more));
    openssl(&arguments, input).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

/// What `openssl cms -verify` finds to have been signed.
fn openssl_verify(message: &[u8]) -> Result<Vec<u8>, String> {
    openssl(
        &words(&format!(
            "-verify -CAfile {} -purpose smimesign -attime 1800000000",
            path("ca.pem")
        )),
        message,
    )
}

fn verified(message: &[u8]) -> (SignedReport, Vec<u8>) {
    verify_in_pieces(message, 1000).unwrap()
}

fn with_header(signed: &[u8]) -> Vec<u8> {
    [b"From: alice@example.org\n", signed].concat()
}

#[test]
fn openssl_verifies_what_we_sign_with_every_algorithm_in_both_forms() {
    for form in [Form::Clear, Form::Opaque] {
        for algorithm in EVERY_ALGORITHM {
            // OpenSSL 3.0 does not do Ed25519 in CMS.
            if algorithm.1 == SignatureAlgorithm::Ed25519 {
                continue;
            }
            let signed = sign(form, &[algorithm], MESSAGE.as_bytes());
            let content = openssl_verify(&signed).unwrap_or_else(|error| panic!("{form:?} {algorithm:?}: {error}"));
            let content = String::from_utf8(content).unwrap();
            assert!(content.starts_with("Content-Type: text/plain"), "{content}");
            assert!(content.contains("We agree."));
        }
    }
}

/// OpenSSL 3.0 does not do Ed25519 in CMS, but it can check the signature over the attributes.
#[test]
fn openssl_verifies_an_ed25519_signature_over_the_attributes() {
    let mut signing = Signing::begin(
        options(Form::Clear, &[("ed25519", SignatureAlgorithm::Ed25519)]),
        &mut Counter(1),
    )
    .unwrap();
    let mut out = Vec::new();
    signing.push(MESSAGE.as_bytes(), &mut out).unwrap();
    let (awaiting, wanted) = signing.end(&mut out).unwrap();
    let signature = sign_with("ed25519", &wanted[0]);
    let directory = tempfile::tempdir().unwrap();
    let (octets, sigfile) = (directory.path().join("octets"), directory.path().join("signature"));
    std::fs::write(&octets, &wanted[0].bytes).unwrap();
    std::fs::write(&sigfile, &signature).unwrap();
    let output = Command::new("openssl")
        .args([
            "pkeyutl",
            "-verify",
            "-rawin",
            "-certin",
            "-inkey",
            &path("ed25519.pem"),
        ])
        .args([Path::new("-in"), &octets, Path::new("-sigfile"), &sigfile])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    awaiting.finish(vec![signature], &mut out).unwrap();
    assert!(verified(&out).0.valid());
}

#[test]
fn openssl_refuses_what_we_signed_once_it_is_changed() {
    let signed = sign(Form::Clear, &[EVERY_ALGORITHM[5]], MESSAGE.as_bytes());
    let changed = String::from_utf8(signed).unwrap().replace("We agree", "We differ");
    assert!(openssl_verify(changed.as_bytes()).unwrap_err().contains("verif"));
}

#[test]
fn openssl_verifies_large_messages_and_several_signers() {
    let body: String = (0..40_000)
        .map(|line| format!("line {line} of a long message\r\n"))
        .collect();
    let message = format!("{MESSAGE}{body}");
    let signers = [EVERY_ALGORITHM[3], EVERY_ALGORITHM[6], EVERY_ALGORITHM[9]];
    for form in [Form::Clear, Form::Opaque] {
        let mut options = options(form, &signers);
        options.signers[0].encryption_certificate = Some(certificate("encryption"));
        options.certificates.push(certificate("encryption"));
        let signed = sign_as(options, &["rsa", "p256", "p521"], message.as_bytes(), 10_000);
        let content = openssl_verify(&signed).unwrap();
        assert!(content.ends_with(b"line 39999 of a long message\r\n"));
    }
}

#[test]
fn openssl_finds_every_attribute_in_its_place() {
    let mut options = options(Form::Clear, &[EVERY_ALGORITHM[1]]);
    options.signers = vec![signer("rsa", SignatureAlgorithm::RsaPss(SHA512))];
    options.signers[0].encryption_certificate = Some(certificate("encryption"));
    let signed = sign_as(options, &["rsa"], MESSAGE.as_bytes(), 7);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in");
    std::fs::write(&file, &signed).unwrap();
    let output = Command::new("openssl")
        .args(["cms", "-cmsout", "-print", "-in"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "object: contentType (1.2.840.113549.1.9.3)",
        "object: messageDigest (1.2.840.113549.1.9.4)",
        "object: signingTime (1.2.840.113549.1.9.5)",
        "UTCTIME:Jan 15 08:00:00 2027 GMT",
        "1.2.840.113549.1.9.16.2.47",
        "1.2.840.113549.1.9.52",
        "object: S/MIME Capabilities (1.2.840.113549.1.9.15)",
        "1.2.840.113549.1.9.16.2.11",
        "algorithm: rsassaPss",
        "algorithm: sha512",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert_eq!(
        text.matches("d.certificate").count(),
        3,
        "signer, encryption certificate and CA, each once:\n{text}"
    );
}

/// Options of `openssl cms -sign` and what they change about the signature.
const VARIANTS: [(&str, &str); 12] = [
    ("rsa", ""),
    ("rsa", "-md sha512"),
    ("rsa", "-md sha1"),
    ("rsa", "-keyid"),
    ("rsa", "-keyopt rsa_padding_mode:pss"),
    ("rsa", "-keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:20"),
    ("rsa", "-keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:max"),
    ("p256", ""),
    ("p256", "-md sha512 -nosmimecap"),
    ("p384", "-md sha1"),
    ("p384", "-md sha384 -keyid"),
    ("p521", "-md sha256"),
];

#[test]
fn we_verify_what_openssl_signs_in_every_variant_and_form() {
    for (name, variant) in VARIANTS {
        for form in [
            "",
            "-nodetach",
            "-nodetach -stream",
            "-noattr",
            "-nodetach -noattr",
            "-cades",
            "-crlfeol",
        ] {
            // OpenSSL 3.0 cannot write this.
            if variant.contains("-keyopt") && form.contains("-stream") {
                continue;
            }
            let signed = openssl_sign(name, &format!("{variant} {form}"), ENTITY.as_bytes());
            let (report, content) = verified(&with_header(&signed));
            assert!(report.valid(), "{name} {variant} {form}: {report:#?}");
            assert_eq!(report.signers[0].certificate.as_ref(), Some(&certificate(name)));
            assert_eq!(report.signers[0].address, Check::Passed);
            let content = String::from_utf8(content).unwrap().replace("\r\n", "\n");
            assert!(content.starts_with("From: alice@example.org\nMIME-Version: 1.0\nContent-Type: text/plain\n"));
            let opaque = form.contains("-nodetach");
            assert_eq!(
                report.media_type,
                if opaque {
                    "application/pkcs7-mime"
                } else {
                    "multipart/signed"
                }
            );
            assert_eq!(report.signers[0].signing_time.is_some(), !form.contains("-noattr"));
        }
    }
}

#[test]
fn we_verify_bare_der_and_pem_from_openssl() {
    for form in ["DER", "PEM"] {
        for stream in ["", "-stream"] {
            let signed = openssl_sign(
                "p256",
                &format!("-nodetach -binary -outform {form} {stream}"),
                ENTITY.as_bytes(),
            );
            let (report, content) = verified(&signed);
            assert!(report.valid(), "{report:#?}");
            assert_eq!(content, ENTITY.as_bytes());
            assert!(matches!(report.signers[0].address, Check::NotMade(_)));
        }
    }
}

#[test]
fn we_verify_several_signers_of_openssl() {
    let more = format!(
        "-signer {} -inkey {} -certfile {}",
        path("bob.pem"),
        path("bob.key"),
        path("ca.pem")
    );
    let signed = openssl_sign("rsa", &more, ENTITY.as_bytes());
    let (report, _) = verified(&signed);
    assert_eq!(report.signers.len(), 2);
    assert!(report.valid(), "{report:#?}");
    let (report, _) = verified(&with_header(&signed));
    assert!(!report.valid());
    let addresses: Vec<_> = report.signers.iter().map(|signer| signer.address.clone()).collect();
    assert!(addresses.contains(&Check::Passed));
    assert!(addresses.contains(&Check::Failed(
        "the certificate is not for alice@example.org".to_owned()
    )));
}

#[test]
fn a_signature_without_its_certificate_is_not_valid() {
    let signed = openssl_sign("p256", "-nocerts", ENTITY.as_bytes());
    let (report, _) = verified(&signed);
    assert!(!report.valid());
    assert!(matches!(&report.signers[0].signature, Check::NotMade(why) if why.contains("serial number")));
    assert_eq!(report.signers[0].digest, Check::Passed);
    assert_eq!(report.signers[0].certificate, None);
}

#[test]
fn a_certificate_that_is_not_for_mail_is_reported() {
    let signed = openssl_sign("server", "", ENTITY.as_bytes());
    let (report, _) = verified(&with_header(&signed));
    let signer = &report.signers[0];
    assert_eq!(signer.signature, Check::Passed);
    assert!(signer.key_usage.is_failed());
    assert!(signer.extended_key_usage.is_failed());
    assert!(!report.valid());
}

#[test]
fn a_key_that_is_for_pss_alone_signs_with_pss_and_with_nothing_else() {
    let name = "../encrypt/rsa-pss";
    // Without options OpenSSL 3.0 signs with PSS and writes down RSA v1.5, which it does not verify itself.
    let (report, _) = verified(&openssl_sign(name, "", ENTITY.as_bytes()));
    assert!(report.signers[0].signature.is_failed());
    let (report, _) = verified(&openssl_sign(name, "-keyopt rsa_padding_mode:pss", ENTITY.as_bytes()));
    assert_eq!(report.signers[0].signature, Check::Passed);
    let algorithm = report.signers[0].signature_algorithm.unwrap();
    assert!(matches!(algorithm, SignatureAlgorithm::RsaPss(_)));
    let begin = |algorithm| Signing::begin(options(Form::Clear, &[(name, algorithm)]), &mut Counter(1)).map(drop);
    assert!(begin(algorithm).is_ok());
    let refused = begin(SignatureAlgorithm::RsaPkcs1(SHA256));
    assert!(matches!(refused, Err(SignError::KeyDoesNotFit { .. })), "{refused:?}");
}

#[test]
fn md5_is_reported_by_its_object_identifier() {
    let signed = openssl_sign("rsa", "-md md5", ENTITY.as_bytes());
    let (report, _) = verified(&signed);
    let signer = &report.signers[0];
    assert_eq!(
        signer.digest,
        Check::Failed("digest algorithm 1.2.840.113549.2.5 is not supported".to_owned())
    );
    assert!(signer.signature.is_failed());
    assert_eq!(signer.digest_algorithm, None);
    assert_eq!(signer.digest_algorithm_oid.to_string(), "1.2.840.113549.2.5");
    assert!(!report.valid());
}

#[test]
fn content_that_is_no_mail_is_reported() {
    let signed = openssl_sign(
        "p256",
        "-nodetach -econtent_type 1.2.840.113549.1.9.16.1.4",
        ENTITY.as_bytes(),
    );
    let (report, _) = verified(&signed);
    assert_eq!(report.signers[0].signature, Check::Passed);
    assert!(report.signers[0].signed_attributes.is_failed());
    assert!(!report.valid());
}

#[test]
fn a_message_signed_with_crlf_and_stored_with_lf_verifies_and_the_other_way_round() {
    let signed = sign(
        Form::Clear,
        &[("p256", SignatureAlgorithm::Ecdsa(SHA256))],
        MESSAGE.as_bytes(),
    );
    let stored = String::from_utf8(signed).unwrap().replace("\r\n", "\n");
    let (report, content) = verified(stored.as_bytes());
    assert!(report.valid(), "{report:#?}");
    let expected = OUTER.replace("\r\n", "\n");
    assert!(String::from_utf8(content).unwrap().starts_with(&expected));

    let binary = openssl_sign("p256", "-binary", ENTITY.replace("\r\n", "\n").as_bytes());
    let (report, _) = verified(&binary);
    assert!(report.valid(), "{report:#?}");
}
