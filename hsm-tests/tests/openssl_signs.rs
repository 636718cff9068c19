//! What OpenSSL signs, in every form and with every option that it has, is verified by the daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use hsm_tests::{
    daemon::{Daemon, Setup},
    messages::{ENTITY, letter, samples},
    openssl::{self, Signer},
    people::Person,
};
use serde_json::Value;

/// The options of `openssl cms -sign` that change the message it writes.
const FORMS: [&[&str]; 16] = [
    &[],
    &["-crlfeol"],
    &["-binary"],
    &["-keyid"],
    &["-nosmimecap"],
    &["-cades"],
    &["-text"],
    &["-receipt_request_all", "-receipt_request_to", "alice@example.org"],
    &["-nodetach", "-cades", "-stream"],
    &["-noattr"],
    &["-nodetach"],
    &["-nodetach", "-stream"],
    &["-nodetach", "-noattr", "-keyid"],
    &["-nodetach", "-outform", "DER"],
    &["-nodetach", "-stream", "-outform", "DER"],
    &["-nodetach", "-outform", "PEM"],
];
const DIGESTS: [&str; 3] = ["sha256", "sha384", "sha512"];

/// A daemon without a token: no private key is needed here.
fn daemon() -> Daemon {
    Setup::new().start().unwrap()
}

/// The exit status and the report.
fn verify(daemon: &Daemon, message: &[u8]) -> (i32, Value) {
    let finished = daemon.chancery(["verify", "--json"], message).unwrap();
    let report = serde_json::from_slice(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: status {}: {}", finished.code, finished.stderr));
    (finished.code, report)
}

/// The content, of a message that has to be valid.
fn content(daemon: &Daemon, message: &[u8], name: &str) -> Vec<u8> {
    let out = daemon.directory().join("content.eml");
    let finished = daemon
        .chancery(["verify", "--json", "--out", out.to_str().unwrap()], message)
        .unwrap();
    assert_eq!(
        finished.code,
        0,
        "{name}: {}{}",
        String::from_utf8_lossy(&finished.stdout),
        finished.stderr
    );
    let content = std::fs::read(&out).unwrap();
    std::fs::remove_file(out).unwrap();
    content
}

fn signers(report: &Value) -> &Vec<Value> {
    report["layers"][0]["signers"].as_array().unwrap()
}

fn check<'a>(report: &'a Value, name: &str) -> &'a str {
    signers(report)[0]["checks"][name]["result"].as_str().unwrap()
}

#[test]
fn the_daemon_verifies_what_openssl_signs_in_every_form_with_every_digest() {
    let daemon = daemon();
    for person in Person::OPENSSL {
        for (number, form) in FORMS.iter().enumerate() {
            let digest = DIGESTS[number % DIGESTS.len()];
            let options = [form, &["-md", digest][..]].concat();
            let signed = openssl::sign(person, &options, ENTITY).unwrap();
            let name = format!("{person:?} {options:?}");
            let content = content(&daemon, &signed, &name);
            assert!(
                content.ends_with(ENTITY),
                "{name}: {}",
                String::from_utf8_lossy(&content)
            );
        }
    }
}

#[test]
fn the_report_names_every_digest_and_signature_algorithm() {
    let daemon = daemon();
    for person in Person::OPENSSL {
        for digest in DIGESTS {
            let signed = openssl::sign(person, &["-md", digest], ENTITY).unwrap();
            let (code, report) = verify(&daemon, &signed);
            assert_eq!(code, 0, "{person:?} {digest}: {report:#}");
            let signer = &signers(&report)[0];
            assert_eq!(signer["digest_algorithm"], digest, "{person:?}: {report:#}");
            let family = if Person::RSA.contains(&person) {
                "rsa-pkcs1"
            } else {
                "ecdsa"
            };
            assert_eq!(
                signer["signature_algorithm"],
                format!("{family}-{digest}"),
                "{person:?}: {report:#}"
            );
            assert_eq!(signer["addresses"][0], person.address(), "{report:#}");
        }
    }
}

#[test]
fn pss_is_verified_with_every_digest_and_length_of_salt() {
    let daemon = daemon();
    for person in Person::RSA {
        for digest in DIGESTS {
            for salt in ["digest", "max", "20", "0"] {
                let salt = format!("rsa_pss_saltlen:{salt}");
                let signer = Signer {
                    person,
                    options: &["-keyopt", "rsa_padding_mode:pss", "-keyopt", &salt],
                };
                for form in [&["-md", digest][..], &["-md", digest, "-nodetach", "-noattr"]] {
                    let signed = openssl::sign_by(&[signer], form, ENTITY).unwrap();
                    let name = format!("{person:?} {form:?} {salt}");
                    assert!(content(&daemon, &signed, &name).ends_with(ENTITY), "{name}");
                }
            }
        }
    }
}

#[test]
fn every_signer_of_several_is_reported_on() {
    let daemon = daemon();
    let signers_of = Person::OPENSSL.map(|person| Signer { person, options: &[] });
    for form in [&[][..], &["-nodetach", "-stream"], &["-nodetach", "-outform", "DER"]] {
        let signed = openssl::sign_by(&signers_of, form, ENTITY).unwrap();
        let (code, report) = verify(&daemon, &signed);
        assert_eq!(code, 0, "{form:?}: {report:#}");
        // OpenSSL sorts the SET of SignerInfos.
        let mut found: Vec<&str> = signers(&report)
            .iter()
            .map(|signer| signer["addresses"][0].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, Person::OPENSSL.map(Person::address), "{form:?}");
    }
}

#[test]
fn a_message_that_somebody_signed_again_has_two_signers() {
    let daemon = daemon();
    let signed = openssl::sign(Person::Bob, &["-nodetach"], ENTITY).unwrap();
    let pair = Person::Grace.signing();
    let arguments = [
        "-resign".into(),
        "-nodetach".into(),
        "-signer".into(),
        pair.certificate_file().into(),
        "-inkey".into(),
        pair.private_key_file().into(),
    ];
    let signed = openssl::cms(arguments, &signed).unwrap().success().unwrap();
    let (code, report) = verify(&daemon, &signed);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(signers(&report).len(), 2, "{report:#}");
}

#[test]
fn old_mail_with_sha_1_is_verified_and_the_report_says_so() {
    let daemon = daemon();
    for person in Person::OPENSSL {
        let signed = openssl::sign(person, &["-md", "sha1"], ENTITY).unwrap();
        let (code, report) = verify(&daemon, &signed);
        assert_eq!(code, 0, "{person:?}: {report:#}");
        assert_eq!(signers(&report)[0]["digest_algorithm"], "sha1", "{report:#}");
    }
}

#[test]
fn pss_with_two_digests_is_not_valid_and_the_report_says_why() {
    let daemon = daemon();
    let signer = Signer {
        person: Person::Alice,
        options: &["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha256"],
    };
    let signed = openssl::sign_by(&[signer], &["-md", "sha512"], ENTITY).unwrap();
    let (code, report) = verify(&daemon, &signed);
    assert_eq!(code, 1, "{report:#}");
    let signature = &signers(&report)[0]["checks"]["signature"];
    assert_eq!(signature["result"], "failed", "{report:#}");
    assert!(signature["detail"].as_str().unwrap().contains("MGF1"), "{report:#}");
}

#[test]
fn one_bad_signature_among_good_ones_is_not_valid() {
    let daemon = daemon();
    let signed = openssl::sign_by(
        &[Person::Alice, Person::Carol].map(|person| Signer { person, options: &[] }),
        &["-nodetach", "-outform", "DER", "-noattr"],
        ENTITY,
    )
    .unwrap();
    // Without attributes the last bytes of the last SignerInfo are its signature's.
    let mut changed = signed;
    *changed.last_mut().unwrap() ^= 1;
    let (code, report) = verify(&daemon, &changed);
    assert_eq!(code, 1, "{report:#}");
    let mut results: Vec<&str> = signers(&report)
        .iter()
        .map(|signer| signer["checks"]["signature"]["result"].as_str().unwrap())
        .collect();
    results.sort_unstable();
    assert_eq!(results, ["failed", "passed"], "{report:#}");
}

#[test]
fn every_message_comes_back_as_openssl_signed_it() {
    let daemon = daemon();
    for sample in samples().unwrap() {
        let Some(made) = &sample.to_encrypt else { continue };
        for (number, entity) in [made.entity.clone(), made.entity.replace("\r\n", "\n")]
            .iter()
            .enumerate()
        {
            for form in [
                &[][..],
                &["-crlfeol"],
                &["-nodetach"],
                &["-nodetach", "-stream", "-outform", "DER"],
            ] {
                let name = format!("{} {number} {form:?}", sample.name);
                let signed = openssl::sign(Person::Carol, form, entity.as_bytes()).unwrap();
                let content = String::from_utf8(content(&daemon, &signed, &name)).unwrap();
                let content = content.replace("\r\n", "\n");
                let expected = made.entity.replace("\r\n", "\n");
                assert!(content.ends_with(&expected), "{name}: {content:?}");
            }
        }
    }
}

#[test]
fn the_sender_is_compared_with_the_certificate() {
    let daemon = daemon();
    for (from, code, result) in [
        ("Alice <alice@example.org>", 0, "passed"),
        ("mallory@example.org", 1, "failed"),
    ] {
        let signed = openssl::sign(Person::Alice, &["-from", from], ENTITY).unwrap();
        let (actual, report) = verify(&daemon, &signed);
        assert_eq!(
            (actual, check(&report, "address")),
            (code, result),
            "{from}: {report:#}"
        );
    }
}

#[test]
fn a_changed_content_fails_the_digest_and_not_the_signature() {
    let daemon = daemon();
    for form in [&[][..], &["-nodetach", "-binary", "-outform", "DER"]] {
        let signed = openssl::sign(Person::Bob, form, ENTITY).unwrap();
        let at = signed.windows(6).position(|window| window == b"drawer").unwrap();
        let mut changed = signed;
        changed[at] = b'b';
        let (code, report) = verify(&daemon, &changed);
        assert_eq!(code, 1, "{form:?}: {report:#}");
        assert_eq!(check(&report, "digest"), "failed", "{report:#}");
        assert_eq!(check(&report, "signature"), "passed", "{report:#}");
    }
}

#[test]
fn an_encryption_certificate_signs_nothing() {
    let daemon = daemon();
    let pair = Person::Alice.encryption();
    let arguments = [
        "-sign".into(),
        "-signer".into(),
        pair.certificate_file().into(),
        "-inkey".into(),
        pair.private_key_file().into(),
    ];
    let signed = openssl::cms(arguments, ENTITY).unwrap().success().unwrap();
    let (code, report) = verify(&daemon, &signed);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(check(&report, "signature"), "passed", "{report:#}");
    assert_eq!(check(&report, "key_usage"), "failed", "{report:#}");
}

#[test]
fn without_the_signers_certificate_nothing_is_valid() {
    let daemon = daemon();
    let signed = openssl::sign(Person::Dave, &["-nocerts"], ENTITY).unwrap();
    let (code, report) = verify(&daemon, &signed);
    assert_eq!(code, 1, "{report:#}");
    assert_ne!(check(&report, "signature"), "passed", "{report:#}");
}

#[test]
fn what_the_daemon_does_not_know_is_never_valid() {
    let daemon = daemon();
    for digest in ["sha224", "sha3-256", "sha512-256", "md5"] {
        let signed = openssl::sign(Person::Alice, &["-md", digest], ENTITY).unwrap();
        let (code, report) = verify(&daemon, &signed);
        assert_eq!(code, 1, "{digest}: {report:#}");
        assert_eq!(report["valid"], false, "{digest}: {report:#}");
    }
}

#[test]
fn trust_is_never_reported_as_good() {
    let daemon = daemon();
    let signed = openssl::sign(Person::Carol, &[], &letter(Person::Carol)).unwrap();
    let (_, report) = verify(&daemon, &signed);
    assert_eq!(check(&report, "trust"), "not-evaluated", "{report:#}");
}
