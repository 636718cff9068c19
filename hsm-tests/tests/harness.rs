//! The harness itself: what the other tests rest on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use hsm_tests::{
    openssl::{self, Recipient},
    people::Person,
};

const MESSAGE: &[u8] = b"Content-Type: text/plain\r\n\r\nHello\r\n";

/// OpenSSL 3.0's CMS knows neither Ed25519 nor X25519.
fn openssl_knows(person: &Person) -> bool {
    *person != Person::Erin
}

#[test]
fn openssl_accepts_everybodys_signatures_and_chains() {
    for person in Person::ALL.into_iter().filter(openssl_knows) {
        let signed = openssl::sign(person, &[], MESSAGE).unwrap();
        assert_eq!(openssl::verify(&[], &signed).unwrap(), MESSAGE, "{person:?}");
    }
}

#[test]
fn openssl_refuses_a_signature_over_other_bytes() {
    let signed = openssl::sign(Person::Alice, &[], MESSAGE).unwrap();
    let text = String::from_utf8(signed).unwrap().replace("Hello", "Hallo");
    let error = openssl::verify(&[], text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("verification failure"), "{error}");
}

#[test]
fn openssl_encrypts_to_everybody_that_it_knows_how_to() {
    for person in Person::ALL.into_iter().filter(openssl_knows) {
        let recipient = Recipient { person, options: &[] };
        let encrypted = openssl::encrypt(&[recipient], &["-aes-256-gcm"], MESSAGE).unwrap();
        let pair = person.encryption();
        assert_eq!(openssl::decrypt(&pair, &[], &encrypted).unwrap(), MESSAGE, "{person:?}");
    }
}

#[test]
fn openssl_does_not_decrypt_for_somebody_else() {
    let recipient = Recipient {
        person: Person::Alice,
        options: &[],
    };
    let encrypted = openssl::encrypt(&[recipient], &["-aes-128-cbc"], MESSAGE).unwrap();
    assert!(openssl::decrypt(&Person::Frank.encryption(), &[], &encrypted).is_err());
}

#[test]
fn keys_are_named_by_their_public_halves() {
    let key = Person::Alice.signing().key().unwrap();
    assert_eq!(key.len(), "keys/".len() + 64);
    assert_ne!(key, Person::Alice.encryption().key().unwrap());
    assert_eq!(
        Person::Frank.signing().key().unwrap(),
        Person::Frank.encryption().key().unwrap()
    );
    assert_eq!(Person::Frank.pairs().len(), 1);
}
