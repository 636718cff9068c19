//! Whom `encrypt` encrypts to.

use std::fs;

use chancery::v1;
use tonic::Code;

use crate::certificate::{DIGITAL_SIGNATURE, Spec};
use crate::fake::{Fake, Script, status};

/// A daemon that has Bob, and a directory that has Carol.
struct House {
    fake: Fake,
    directory: String,
    bob: Vec<u8>,
}

fn house() -> House {
    let bob = Spec::for_address("bob@example.org").der(1);
    let identity = v1::Identity {
        name: "identities/bob@example.org".to_owned(),
        encryption: Some(v1::IdentityKey {
            certificate: bob.clone().into(),
            ..v1::IdentityKey::default()
        }),
        ..v1::Identity::default()
    };
    let fake = Fake::start(Script {
        identities: vec![identity],
        ..Script::default()
    });
    let directory = fake.file("certificates");
    fs::create_dir(&directory).unwrap();
    House { fake, directory, bob }
}

impl House {
    fn keep(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(format!("{}/{name}", self.directory), content).unwrap();
    }

    /// The options that reached the daemon.
    async fn options(&self, args: &[&str]) -> String {
        let run = self
            .fake
            .run(&[&["encrypt", "--certificates", &self.directory], args].concat())
            .await;
        assert_eq!(run.status, 0, "{}", run.stderr);
        self.fake.first_call().await.options
    }
}

/// How often a certificate stands in the options.
fn count(options: &str, der: &[u8]) -> usize {
    options
        .matches(&format!("certificate: {:?}", bytes::Bytes::copy_from_slice(der)))
        .count()
}

#[tokio::test]
async fn the_daemons_identity_comes_before_the_directory() {
    let house = house();
    let other = Spec::for_address("bob@example.org").der(2);
    house.keep("bob.der", &other);
    let options = house.options(&["--to", "bob@EXAMPLE.org"]).await;
    assert_eq!(
        (count(&options, &house.bob), count(&options, &other)),
        (1, 0),
        "{options}"
    );
}

#[tokio::test]
async fn of_several_in_the_directory_the_newest_valid_one_that_encrypts_is_taken() {
    let house = house();
    let carol = "carol@example.org";
    let spec = |valid| Spec {
        valid,
        ..Spec::for_address(carol)
    };
    house.keep("older.pem", spec((-20, 20)).pem(1));
    let newest = spec((-10, 10));
    house.keep("newest.CRT", newest.pem(2));
    house.keep("expired.pem", spec((-9, -8)).pem(3));
    house.keep("future.pem", spec((1, 9)).pem(4));
    house.keep(
        "signing.pem",
        Spec {
            key_usage: DIGITAL_SIGNATURE,
            ..spec((-5, 5))
        }
        .pem(5),
    );
    house.keep(
        "dave.pem",
        Spec {
            valid: (-2, 2),
            ..Spec::for_address("dave@example.org")
        }
        .pem(6),
    );
    house.keep("notes.txt", "no certificate");
    house.keep(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n",
    );
    let options = house.options(&["--to", carol]).await;
    assert_eq!(options.matches("certificate: ").count(), 1, "{options}");
    assert_eq!(count(&options, &newest.der(2)), 1, "{options}");
}

#[tokio::test]
async fn the_sender_can_read_it_too_and_nobody_is_a_recipient_twice() {
    let house = house();
    let alice = Spec::for_address("alice@example.org").der(7);
    house.keep("alice.cer", &alice);
    house.keep("bob.der", &house.bob);
    let file = format!("{}/bob.der", house.directory);
    let args = [
        "--to",
        "bob@example.org",
        "--from",
        "alice@example.org",
        "--recipient-cert",
        &file,
    ];
    let options = house.options(&args).await;
    assert_eq!(
        (count(&options, &house.bob), count(&options, &alice)),
        (1, 1),
        "{options}"
    );
}

#[tokio::test]
async fn key_management_applies_to_the_keys_it_suits() {
    let house = house();
    house.keep(
        "carol.der",
        Spec {
            rsa: false,
            ..Spec::for_address("carol@example.org")
        }
        .der(1),
    );
    let args = [
        "--to",
        "bob@example.org",
        "--to",
        "carol@example.org",
        "--key-management",
        "rsa-pkcs1",
    ];
    let options = house
        .options(&[&args[..], &["--content-encryption", "aes128-cbc"]].concat())
        .await;
    assert_eq!(options.matches("key_management: RsaPkcs1").count(), 1, "{options}");
    assert_eq!(options.matches("key_management: Unspecified").count(), 1, "{options}");
    assert!(options.contains("content_encryption: Aes128Cbc"), "{options}");
}

#[tokio::test]
async fn nobody_found_ends_with_4_and_tells_where_it_was_looked() {
    let house = house();
    house.keep(
        "carol.der",
        Spec {
            valid: (-9, -8),
            ..Spec::for_address("carol@example.org")
        }
        .der(1),
    );
    let args = [
        "encrypt",
        "--to",
        "carol@example.org",
        "--certificates",
        &house.directory,
    ];
    let run = house.fake.run(&args).await;
    assert_eq!(run.status, 4, "{}", run.stderr);
    for part in ["identities/carol@example.org", &house.directory, "expired"] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    let run = house.fake.run(&["encrypt", "--to", "carol@example.org"]).await;
    assert!(run.stderr.contains("--certificates"), "{}", run.stderr);
}

#[tokio::test]
async fn nobody_found_and_the_daemon_refusing_to_say_ends_with_3() {
    let refuse_unary = Some(status(Code::PermissionDenied, "NOT_PERMITTED", "no grant allows it"));
    let fake = Fake::start(Script {
        refuse_unary,
        ..Script::default()
    });
    assert_eq!(fake.run(&["encrypt", "--to", "bob@example.org"]).await.status, 3);
}

#[tokio::test]
async fn a_file_that_is_no_certificate_ends_with_5_and_one_that_is_not_there_with_74() {
    let house = house();
    house.keep(
        "odd.pem",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    );
    let file = format!("{}/odd.pem", house.directory);
    let run = house.fake.run(&["encrypt", "--recipient-cert", &file]).await;
    assert_eq!(run.status, 5, "{}", run.stderr);
    let run = house
        .fake
        .run(&["encrypt", "--recipient-cert", "/nonexistent.pem"])
        .await;
    assert_eq!(run.status, 74, "{}", run.stderr);
}
