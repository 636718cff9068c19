//! What is signed with keys on a token is verified by OpenSSL: chain, signature and content.
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
    openssl,
    people::Person,
};

const FORMS: [&[&str]; 2] = [&[], &["--opaque"]];
const DIGESTS: [&str; 3] = ["sha256", "sha384", "sha512"];

fn sign(daemon: &Daemon, options: &[&str], message: &[u8]) -> Vec<u8> {
    let arguments = ["sign"].iter().chain(options);
    daemon.chancery(arguments, message).unwrap().success().unwrap()
}

#[test]
fn openssl_verifies_everybodys_signatures_with_every_digest_clear_and_opaque() {
    let daemon = Setup::new().token("cards", &Person::OPENSSL).start().unwrap();
    for person in Person::OPENSSL {
        for digest in DIGESTS {
            for form in FORMS {
                let options = [form, &["--digest", digest]].concat();
                let signed = sign(&daemon, &options, &letter(person));
                // With -cades it looks into signingCertificateV2 as well.
                let content = openssl::verify(&["-cades"], &signed);
                assert_eq!(content.unwrap(), ENTITY, "{person:?} {options:?}");
            }
        }
    }
}

#[test]
fn openssl_verifies_pss_signatures_with_every_digest_clear_and_opaque() {
    let daemon = Setup::new().token("cards", &Person::RSA).start().unwrap();
    for person in Person::RSA {
        for digest in DIGESTS {
            for form in FORMS {
                let options = [form, &["--pss", "--digest", digest]].concat();
                let signed = sign(&daemon, &options, &letter(person));
                let content = openssl::verify(&[], &signed);
                assert_eq!(content.unwrap(), ENTITY, "{person:?} {options:?}");
                assert!(
                    openssl::describe(&signed).unwrap().contains("rsassaPss"),
                    "{person:?} {options:?}"
                );
            }
        }
    }
}

#[test]
fn openssl_finds_every_message_signed_in_its_canonical_form() {
    let daemon = Setup::new().token("cards", &[Person::Carol]).start().unwrap();
    let mut signed_messages = 0;
    for sample in samples().unwrap() {
        let Some(made) = &sample.to_sign else { continue };
        for (number, message) in sample.forms().iter().enumerate() {
            for form in FORMS {
                let options = [form, &["--from", "carol@example.org"]].concat();
                let signed = sign(&daemon, &options, message.as_bytes());
                let name = format!("{}, form {number} {form:?}", sample.name);
                let text = String::from_utf8(signed.clone()).unwrap();
                assert!(text.starts_with(&made.outer), "{name}: {text}");
                assert!(text.is_ascii() || !made.entity.is_ascii(), "{name}: {text}");
                let content = openssl::verify(&[], &signed).unwrap();
                assert_eq!(String::from_utf8(content).unwrap(), made.entity, "{name}");
                signed_messages += 1;
            }
        }
    }
    assert!(signed_messages >= 30, "only {signed_messages} messages");
}

#[test]
fn what_cannot_be_signed_is_refused_as_malformed_and_leaves_no_file() {
    let daemon = Setup::new().token("cards", &[Person::Carol]).start().unwrap();
    let out = daemon.directory().join("signed.eml");
    let mut refused = 0;
    for sample in samples().unwrap().iter().filter(|sample| sample.to_sign.is_none()) {
        let options = ["sign", "--from", "carol@example.org", "--out", out.to_str().unwrap()];
        let finished = daemon.chancery(options, sample.message.as_bytes()).unwrap();
        assert_eq!(finished.code, 5, "{}: {}", sample.name, finished.stderr);
        assert!(!out.exists(), "{}", sample.name);
        refused += 1;
    }
    assert!(refused >= 2, "only {refused} messages");
}

#[test]
fn openssl_verifies_what_a_gateway_rewrote_to_bare_line_feeds() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    for form in FORMS {
        let signed = String::from_utf8(sign(&daemon, form, &letter(Person::Alice))).unwrap();
        let rewritten = signed.replace("\r\n", "\n");
        assert_eq!(openssl::verify(&[], rewritten.as_bytes()).unwrap(), ENTITY, "{form:?}");
    }
}

#[test]
fn openssl_verifies_the_bare_cms_object() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let signed = sign(&daemon, &["--opaque"], &letter(Person::Alice));
    let der = openssl::object(&signed).unwrap();
    assert_eq!(openssl::verify(&["-inform", "DER"], &der).unwrap(), ENTITY);
}

#[test]
fn signed_attributes_are_those_that_clients_look_for() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let signed = sign(&daemon, &["--opaque"], &letter(Person::Alice));
    let text = openssl::describe(&signed).unwrap();
    for attribute in [
        "contentType (1.2.840.113549.1.9.3)",
        "messageDigest (1.2.840.113549.1.9.4)",
        "signingTime (1.2.840.113549.1.9.5)",
        "S/MIME Capabilities (1.2.840.113549.1.9.15)",
        "id-smime-aa-signingCertificateV2 (1.2.840.113549.1.9.16.2.47)",
        "id-smime-aa-encrypKeyPref (1.2.840.113549.1.9.16.2.11)",
        "(1.2.840.113549.1.9.52)",
    ] {
        assert!(text.contains(attribute), "{attribute} is not in\n{text}");
    }
}

#[test]
fn openssl_refuses_what_was_changed_after_signing() {
    let daemon = Setup::new().token("cards", &[Person::Dave]).start().unwrap();
    let signed = String::from_utf8(sign(&daemon, &[], &letter(Person::Dave))).unwrap();
    let changed = signed.replace("in the drawer", "on the table.");
    let error = openssl::verify(&[], changed.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("verification failure"), "{error}");
}
