//! What OpenSSL encrypts, with every cipher, key management and option that it has, is decrypted with keys on a token.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use hsm_tests::{
    daemon::{Daemon, Setup},
    messages::{ENTITY, samples},
    openssl::{self, Recipient},
    people::Person,
};
use serde_json::Value;

const CIPHERS: [&str; 6] = [
    "-aes-128-cbc",
    "-aes-192-cbc",
    "-aes-256-cbc",
    "-aes-128-gcm",
    "-aes-192-gcm",
    "-aes-256-gcm",
];

/// The options of `openssl cms -encrypt` that change the message it writes.
const FORMS: [&[&str]; 7] = [
    &[],
    &["-crlfeol"],
    &["-keyid"],
    &["-stream"],
    &["-outform", "DER"],
    &["-outform", "DER", "-stream"],
    &["-outform", "PEM"],
];

fn daemon(people: &[Person]) -> Daemon {
    Setup::new().token("cards", people).start().unwrap()
}

fn decrypt(daemon: &Daemon, message: &[u8], name: &str) -> (Vec<u8>, Value) {
    let file = daemon.directory().join("report.json");
    let finished = daemon
        .chancery(["decrypt", "--report", file.to_str().unwrap()], message)
        .unwrap();
    assert_eq!(finished.code, 0, "{name}: {}", finished.stderr);
    let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    (finished.stdout, report["layers"][0].clone())
}

fn assert_decrypts(daemon: &Daemon, recipients: &[Recipient<'_>], options: &[&str]) -> Value {
    let name = format!("{recipients:?} {options:?}");
    let encrypted = openssl::encrypt(recipients, options, ENTITY).unwrap();
    let (message, report) = decrypt(daemon, &encrypted, &name);
    assert!(
        message.ends_with(ENTITY),
        "{name}: {}",
        String::from_utf8_lossy(&message)
    );
    report
}

#[test]
fn everybodys_mail_is_decrypted_in_every_cipher_and_every_form() {
    let daemon = daemon(&Person::OPENSSL);
    for person in Person::OPENSSL {
        let recipient = Recipient { person, options: &[] };
        for cipher in CIPHERS {
            for form in FORMS {
                let options = [&[cipher], form].concat();
                let report = assert_decrypts(&daemon, &[recipient], &options);
                assert_eq!(
                    report["content_encryption"],
                    cipher.trim_start_matches('-').replacen('-', "", 1),
                    "{report:#}"
                );
                assert_eq!(report["authenticated"], cipher.ends_with("gcm"), "{report:#}");
                assert_eq!(report["key"], person.encryption().key().unwrap(), "{report:#}");
            }
        }
    }
}

#[test]
fn oaep_is_decrypted_with_every_digest_and_a_label() {
    let daemon = daemon(&Person::RSA);
    for person in Person::RSA {
        for options in [
            &["-keyopt", "rsa_padding_mode:oaep"][..],
            &["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha1"],
            &["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"],
            &["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha384"],
            &["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha512"],
            &[
                "-keyopt",
                "rsa_padding_mode:oaep",
                "-keyopt",
                "rsa_oaep_md:sha256",
                "-keyopt",
                "rsa_mgf1_md:sha1",
            ],
            &["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_mgf1_md:sha512"],
            &[
                "-keyopt",
                "rsa_padding_mode:oaep",
                "-keyopt",
                "rsa_oaep_md:sha384",
                "-keyopt",
                "rsa_oaep_label:6368616e63657279",
            ],
        ] {
            let recipient = Recipient { person, options };
            let report = assert_decrypts(&daemon, &[recipient], &["-aes-256-gcm"]);
            assert_eq!(report["key_management"], "rsa-oaep", "{options:?}: {report:#}");
        }
    }
}

#[test]
fn ecdh_is_decrypted_with_every_digest_of_the_kdf_and_every_key_wrap() {
    let daemon = daemon(&Person::EC);
    for person in Person::EC {
        for kdf in ["sha1", "sha224", "sha256", "sha384", "sha512"] {
            for wrap in ["aes128-wrap", "aes192-wrap", "aes256-wrap"] {
                let kdf = format!("ecdh_kdf_md:{kdf}");
                let options = ["-keyopt", &kdf];
                let recipient = Recipient {
                    person,
                    options: &options,
                };
                let report = assert_decrypts(&daemon, &[recipient], &["-aes-256-cbc", "-wrap", wrap]);
                assert_eq!(report["key_management"], "ecdh", "{options:?}: {report:#}");
            }
        }
    }
}

#[test]
fn cofactor_ecdh_is_decrypted() {
    let daemon = daemon(&[Person::Carol]);
    for kdf in ["sha1", "sha256", "sha512"] {
        let kdf = format!("ecdh_kdf_md:{kdf}");
        let recipient = Recipient {
            person: Person::Carol,
            options: &["-keyopt", "ecdh_cofactor_mode:1", "-keyopt", &kdf],
        };
        assert_decrypts(&daemon, &[recipient], &["-aes-128-gcm"]);
    }
}

#[test]
fn a_message_to_all_is_decrypted_by_whoever_is_there() {
    let recipients = Person::OPENSSL.map(|person| Recipient { person, options: &[] });
    for (person, cipher) in [
        (Person::Alice, "-aes-128-cbc"),
        (Person::Frank, "-aes-256-gcm"),
        (Person::Carol, "-aes-256-cbc"),
        (Person::Grace, "-aes-128-gcm"),
    ] {
        let daemon = daemon(&[person]);
        for form in [&[][..], &["-keyid"], &["-stream", "-outform", "DER"]] {
            let report = assert_decrypts(&daemon, &recipients, &[&[cipher], form].concat());
            assert_eq!(report["recipient_count"], 6, "{report:#}");
            assert_eq!(report["key"], person.encryption().key().unwrap(), "{report:#}");
        }
    }
}

#[test]
fn recipients_of_other_kinds_are_passed_over() {
    let daemon = daemon(&[Person::Bob]);
    let recipient = Recipient {
        person: Person::Bob,
        options: &[],
    };
    let password = ["-aes-256-cbc", "-pwri_password", "secret"];
    let key = [
        "-aes-256-gcm",
        "-secretkey",
        "000102030405060708090a0b0c0d0e0f",
        "-secretkeyid",
        "c0fee0",
    ];
    for options in [&password[..], &key] {
        let report = assert_decrypts(&daemon, &[recipient], options);
        assert_eq!(report["recipient_count"], 2, "{report:#}");
    }
}

#[test]
fn every_message_comes_back_as_openssl_encrypted_it() {
    let daemon = daemon(&[Person::Carol]);
    let recipient = Recipient {
        person: Person::Carol,
        options: &[],
    };
    for sample in samples().unwrap() {
        let Some(made) = &sample.to_encrypt else { continue };
        for (number, entity) in [made.entity.clone(), made.entity.replace("\r\n", "\n")]
            .iter()
            .enumerate()
        {
            for cipher in ["-aes-256-gcm", "-aes-128-cbc"] {
                let name = format!("{} {number} {cipher}", sample.name);
                let encrypted = openssl::encrypt(&[recipient], &[cipher, "-binary"], entity.as_bytes()).unwrap();
                let message = String::from_utf8(decrypt(&daemon, &encrypted, &name).0).unwrap();
                assert!(message.ends_with(entity.as_str()), "{name}: {message:?}");
            }
        }
    }
}

#[test]
fn mail_to_somebody_else_is_not_decrypted() {
    let daemon = daemon(&[Person::Alice, Person::Carol]);
    for person in [Person::Bob, Person::Dave] {
        for cipher in ["-aes-256-gcm", "-aes-128-cbc"] {
            let recipient = Recipient { person, options: &[] };
            let encrypted = openssl::encrypt(&[recipient], &[cipher], ENTITY).unwrap();
            let out = daemon.directory().join("out.eml");
            let finished = daemon
                .chancery(["decrypt", "--out", out.to_str().unwrap()], &encrypted)
                .unwrap();
            assert_eq!(finished.code, 4, "{person:?}: {}", finished.stderr);
            assert!(!out.exists());
        }
    }
}

#[test]
fn ciphers_of_the_past_are_refused() {
    let daemon = daemon(&[Person::Alice]);
    let recipient = Recipient {
        person: Person::Alice,
        options: &[],
    };
    for cipher in ["-des3", "-camellia-256-cbc"] {
        let encrypted = openssl::encrypt(&[recipient], &[cipher], ENTITY).unwrap();
        let finished = daemon.chancery(["decrypt"], &encrypted).unwrap();
        assert_ne!(finished.code, 0, "{cipher}");
        assert!(finished.stdout.is_empty(), "{cipher}");
        assert!(
            finished.stderr.contains("not supported"),
            "{cipher}: {}",
            finished.stderr
        );
    }
}
