//! Signed mail that is encrypted and encrypted mail that is signed: OpenSSL undoes both of ours, and we undo both of its.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use hsm_tests::{
    daemon::{Daemon, Setup},
    messages::{ENTITY, letter},
    openssl::{self, Recipient},
    people::Person,
};

/// Signer and recipient: every kind of key on each side.
const PAIRS: [(Person, Person); 4] = [
    (Person::Alice, Person::Carol),
    (Person::Dave, Person::Bob),
    (Person::Grace, Person::Frank),
    (Person::Frank, Person::Grace),
];
const FORMS: [&[&str]; 2] = [&[], &["--opaque"]];

fn daemon() -> Daemon {
    Setup::new().token("cards", &Person::ALL).start().unwrap()
}

fn chancery(daemon: &Daemon, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    daemon.chancery(arguments, input).unwrap().success().unwrap()
}

/// The content of a valid signed message.
fn verified(daemon: &Daemon, input: &[u8]) -> Vec<u8> {
    let out = daemon.directory().join("verified.eml");
    chancery(daemon, &["verify", "--out", out.to_str().unwrap()], input);
    let content = std::fs::read(&out).unwrap();
    std::fs::remove_file(out).unwrap();
    content
}

#[test]
fn openssl_undoes_what_was_signed_and_then_encrypted() {
    let daemon = daemon();
    for (signer, recipient) in PAIRS {
        for form in FORMS {
            let signed = chancery(&daemon, &[&["sign"], form].concat(), &letter(signer));
            let sealed = chancery(&daemon, &["encrypt", "--to", &recipient.address()], &signed);
            assert!(sealed.starts_with(b"From: "), "the outer header stays outside");
            let opened = openssl::decrypt(&recipient.encryption(), &[], &sealed).unwrap();
            let content = openssl::verify(&[], &opened).unwrap();
            assert_eq!(content, ENTITY, "{signer:?} {recipient:?} {form:?}");
        }
    }
}

#[test]
fn openssl_undoes_what_was_encrypted_and_then_signed() {
    let daemon = daemon();
    for (signer, recipient) in PAIRS {
        for form in FORMS {
            let sealed = chancery(&daemon, &["encrypt", "--to", &recipient.address()], &letter(signer));
            let signed = chancery(&daemon, &[&["sign"], form].concat(), &sealed);
            let content = openssl::verify(&[], &signed).unwrap();
            let opened = openssl::decrypt(&recipient.encryption(), &[], &content).unwrap();
            assert_eq!(opened, ENTITY, "{signer:?} {recipient:?} {form:?}");
        }
    }
}

#[test]
fn the_daemon_undoes_what_openssl_signed_and_then_encrypted() {
    let daemon = daemon();
    for (signer, person) in PAIRS {
        for form in [&[][..], &["-nodetach"], &["-nodetach", "-stream"]] {
            let signed = openssl::sign(signer, form, ENTITY).unwrap();
            let recipient = Recipient { person, options: &[] };
            let sealed = openssl::encrypt(&[recipient], &["-aes-256-gcm", "-stream"], &signed).unwrap();
            let opened = chancery(&daemon, &["decrypt"], &sealed);
            assert!(
                verified(&daemon, &opened).ends_with(ENTITY),
                "{signer:?} {person:?} {form:?}"
            );
        }
    }
}

#[test]
fn the_daemon_undoes_what_openssl_encrypted_and_then_signed() {
    let daemon = daemon();
    for (signer, person) in PAIRS {
        for form in [&[][..], &["-nodetach"], &["-nodetach", "-stream"]] {
            let recipient = Recipient { person, options: &[] };
            let sealed = openssl::encrypt(&[recipient], &["-aes-128-cbc"], ENTITY).unwrap();
            let signed = openssl::sign(signer, form, &sealed).unwrap();
            let opened = chancery(&daemon, &["decrypt"], &verified(&daemon, &signed));
            assert!(opened.ends_with(ENTITY), "{signer:?} {person:?} {form:?}");
        }
    }
}

#[test]
fn a_letter_that_went_through_every_layer_comes_back_whole() {
    let daemon = daemon();
    for person in Person::ALL {
        let signed = chancery(&daemon, &["sign"], &letter(person));
        let sealed = chancery(&daemon, &["encrypt", "--to", &person.address()], &signed);
        let signed_again = chancery(&daemon, &["sign", "--opaque"], &sealed);
        let content = verified(&daemon, &signed_again);
        let opened = chancery(&daemon, &["decrypt"], &content);
        let read = verified(&daemon, &opened);
        let read = String::from_utf8(read).unwrap();
        assert!(
            read.starts_with(&format!("From: {}\r\n", person.address())),
            "{person:?}: {read}"
        );
        assert!(read.as_bytes().ends_with(ENTITY), "{person:?}: {read}");
        assert_eq!(read.matches("Subject: ").count(), 1, "{person:?}: {read}");
        assert_eq!(read.matches("MIME-Version: ").count(), 1, "{person:?}: {read}");
    }
}
