//! What is encrypted to people's certificates is decrypted by OpenSSL with their keys.
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

const CIPHERS: [&str; 4] = ["aes128-cbc", "aes256-cbc", "aes128-gcm", "aes256-gcm"];

/// A daemon without a token: no private key is needed here.
fn daemon() -> Daemon {
    Setup::new().start().unwrap()
}

fn encrypt(daemon: &Daemon, people: &[Person], options: &[&str], message: &[u8]) -> Vec<u8> {
    let mut command = daemon.chancery_command().unwrap();
    command.arg("encrypt").args(options);
    for person in people {
        command
            .arg("--recipient-cert")
            .arg(person.encryption().certificate_file());
    }
    hsm_tests::command::run(&mut command, message)
        .unwrap()
        .success()
        .unwrap()
}

#[test]
fn openssl_decrypts_every_cipher_with_every_key_management() {
    let daemon = daemon();
    for person in Person::OPENSSL {
        let managements: &[&str] = if Person::RSA.contains(&person) {
            &["rsa-pkcs1", "rsa-oaep"]
        } else {
            &["ecdh"]
        };
        for management in managements {
            for cipher in CIPHERS {
                let options = ["--content-encryption", cipher, "--key-management", management];
                let encrypted = encrypt(&daemon, &[person], &options, &letter(person));
                let entity = openssl::decrypt(&person.encryption(), &[], &encrypted);
                assert_eq!(entity.unwrap(), ENTITY, "{person:?} {options:?}");
            }
        }
    }
}

#[test]
fn everybody_decrypts_a_message_to_all() {
    let daemon = daemon();
    for cipher in CIPHERS {
        let options = ["--content-encryption", cipher];
        let encrypted = encrypt(&daemon, &Person::ALL, &options, &letter(Person::Alice));
        for person in Person::OPENSSL {
            let entity = openssl::decrypt(&person.encryption(), &[], &encrypted);
            assert_eq!(entity.unwrap(), ENTITY, "{person:?} {cipher}");
        }
    }
}

#[test]
fn nobody_else_decrypts() {
    let daemon = daemon();
    let encrypted = encrypt(&daemon, &[Person::Alice, Person::Carol], &[], &letter(Person::Alice));
    for person in [Person::Bob, Person::Dave, Person::Frank] {
        assert!(
            openssl::decrypt(&person.encryption(), &[], &encrypted).is_err(),
            "{person:?}"
        );
    }
}

#[test]
fn openssl_decrypts_every_message_as_it_was() {
    let daemon = daemon();
    let mut encrypted_messages = 0;
    for sample in samples().unwrap() {
        let Some(made) = &sample.to_encrypt else { continue };
        for (number, message) in sample.forms().iter().enumerate() {
            for cipher in ["aes256-gcm", "aes128-cbc"] {
                let options = ["--content-encryption", cipher];
                let encrypted = encrypt(&daemon, &[Person::Carol], &options, message.as_bytes());
                let name = format!("{}, form {number} {cipher}", sample.name);
                let text = String::from_utf8(encrypted.clone()).unwrap();
                assert!(text.starts_with(&made.outer), "{name}: {text}");
                let entity = openssl::decrypt(&Person::Carol.encryption(), &[], &encrypted).unwrap();
                assert_eq!(String::from_utf8(entity).unwrap(), made.entity, "{name}");
                encrypted_messages += 1;
            }
        }
    }
    assert!(encrypted_messages >= 30, "only {encrypted_messages} messages");
}

#[test]
fn openssl_decrypts_the_bare_cms_object() {
    let daemon = daemon();
    for cipher in CIPHERS {
        let options = ["--content-encryption", cipher];
        let encrypted = encrypt(&daemon, &[Person::Dave], &options, &letter(Person::Dave));
        let der = openssl::object(&encrypted).unwrap();
        let entity = openssl::decrypt(&Person::Dave.encryption(), &["-inform", "DER"], &der);
        assert_eq!(entity.unwrap(), ENTITY, "{cipher}");
    }
}

#[test]
fn recipients_are_found_among_the_daemons_identities() {
    let daemon = Setup::new()
        .token("cards", &[Person::Bob, Person::Grace])
        .start()
        .unwrap();
    let options = ["--to", "bob@example.org", "--to", "grace@example.org"];
    let encrypted = encrypt(&daemon, &[], &options, &letter(Person::Alice));
    for person in [Person::Bob, Person::Grace] {
        assert_eq!(openssl::decrypt(&person.encryption(), &[], &encrypted).unwrap(), ENTITY);
    }
}

#[test]
fn a_changed_ciphertext_is_noticed_when_it_is_authenticated() {
    let daemon = daemon();
    let options = ["--content-encryption", "aes256-gcm"];
    let encrypted = encrypt(&daemon, &[Person::Alice], &options, &letter(Person::Alice));
    let mut der = openssl::object(&encrypted).unwrap();
    let pair = Person::Alice.encryption();
    assert_eq!(openssl::decrypt(&pair, &["-inform", "DER"], &der).unwrap(), ENTITY);
    // The tag is at the end; the ciphertext is before it.
    let at = der.len() - 40;
    der[at] ^= 1;
    assert!(openssl::decrypt(&pair, &["-inform", "DER"], &der).is_err());
}
