//! The daemon with tokens, from end to end: the shortest way through every part, and what a stop or a lock does to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::process::Command;

use hsm_tests::{
    command::run,
    daemon::{Pin, Setup, chanceryd},
    openssl,
    people::Person,
};

const LETTER: &[u8] = b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: Hello\r\n\r\nHello Bob\r\n";

#[test]
fn a_letter_is_signed_on_the_token_and_accepted_by_openssl() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let signed = daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    let content = openssl::verify(&[], &signed).unwrap();
    assert!(
        content.ends_with(b"\r\n\r\nHello Bob\r\n"),
        "{}",
        String::from_utf8_lossy(&content)
    );
    daemon.stop().unwrap();
}

#[test]
fn a_letter_is_encrypted_by_openssl_and_opened_on_the_token() {
    let daemon = Setup::new().token("cards", &[Person::Bob]).start().unwrap();
    let recipient = openssl::Recipient {
        person: Person::Bob,
        options: &[],
    };
    let sealed = openssl::encrypt(
        &[recipient],
        &["-aes-256-gcm"],
        b"Content-Type: text/plain\r\n\r\nHello\r\n",
    )
    .unwrap();
    let opened = daemon.chancery(["decrypt"], &sealed).unwrap().success().unwrap();
    assert!(
        opened.ends_with(b"\r\n\r\nHello\r\n"),
        "{}",
        String::from_utf8_lossy(&opened)
    );
}

#[test]
fn a_token_each_is_unlocked_for_two_people() {
    let daemon = Setup::new()
        .token("alice-card", &[Person::Alice])
        .token("carol-card", &[Person::Carol])
        .start()
        .unwrap();
    for person in [Person::Alice, Person::Carol] {
        let from = person.address();
        let signed = daemon
            .chancery(["sign", "--from", &from], LETTER)
            .unwrap()
            .success()
            .unwrap();
        openssl::verify(&[], &signed).unwrap();
    }
}

#[test]
fn a_daemon_starts_again_where_it_was_stopped() {
    let mut daemon = Setup::new().token("cards", &[Person::Dave]).start().unwrap();
    daemon.restart().unwrap();
    let signed = daemon.chancery(["sign", "--from", "dave@example.org"], LETTER).unwrap();
    openssl::verify(&[], &signed.success().unwrap()).unwrap();
    let report = chanceryd(["verify-audit".as_ref(), daemon.audit_file().as_os_str()]).unwrap();
    report.success().unwrap();
}

#[test]
fn a_locked_token_is_unlocked_over_the_wire() {
    let daemon = Setup::new()
        .token_with_pin("cards", &[Person::Alice], Pin::None)
        .start()
        .unwrap();
    assert_eq!(daemon.chancery(["sign"], LETTER).unwrap().code, 4);
    let pin = daemon.token("cards").unwrap().pin.clone();
    daemon
        .chancery(["unlock", "cards", "--pin-stdin"], pin.as_bytes())
        .unwrap()
        .success()
        .unwrap();
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
}

#[test]
fn a_key_of_the_configuration_that_nobody_knows_is_named() {
    let error = Setup::new().configure("limits", "nonsense = 1").start().unwrap_err();
    assert!(format!("{error:#}").contains("nonsense"), "{error:#}");
}

#[test]
fn the_demo_runs_to_its_end() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/run.sh");
    let said = run(&mut Command::new(script), b"").unwrap().success().unwrap();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("Bob and Carol have read the same letter"), "{said}");
}
