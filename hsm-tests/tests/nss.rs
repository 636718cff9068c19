//! NSS, which Thunderbird is made of, opens what is made here, and what it makes is opened here.
//!
//! The NSS of Debian 12 has neither OAEP nor ECDH nor AES-GCM in CMS, so encryption is tried with RSA PKCS#1 v1.5 and CBC.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use hsm_tests::{
    command::run,
    daemon::{Daemon, Setup},
    messages::{ENTITY, letter},
    nss::Nss,
    openssl,
    people::Person,
};

fn signing_database(people: &[Person]) -> Nss {
    let pairs: Vec<_> = people.iter().map(|person| person.signing()).collect();
    Nss::new(&pairs).unwrap()
}

fn encryption_database(people: &[Person]) -> Nss {
    let pairs: Vec<_> = people.iter().map(|person| person.encryption()).collect();
    Nss::new(&pairs).unwrap()
}

fn chancery(daemon: &Daemon, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    daemon.chancery(arguments, input).unwrap().success().unwrap()
}

fn object(message: &[u8]) -> Vec<u8> {
    openssl::object(message).unwrap()
}

#[test]
fn nss_verifies_everybodys_signatures() {
    let daemon = Setup::new().token("cards", &Person::OPENSSL).start().unwrap();
    let nss = Nss::new(&[]).unwrap();
    for person in Person::OPENSSL {
        for digest in ["sha256", "sha384", "sha512"] {
            let opaque = chancery(&daemon, &["sign", "--opaque", "--digest", digest], &letter(person));
            assert_eq!(nss.verify(&object(&opaque)).unwrap(), ENTITY, "{person:?} {digest}");
            let clear = chancery(&daemon, &["sign", "--digest", digest], &letter(person));
            let content = nss.verify_detached(&object(&clear), ENTITY);
            assert_eq!(content.unwrap(), ENTITY, "{person:?} {digest}");
        }
    }
}

#[test]
fn nss_refuses_a_signature_over_other_bytes() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let nss = Nss::new(&[]).unwrap();
    let clear = chancery(&daemon, &["sign"], &letter(Person::Alice));
    let error = nss.verify_detached(&object(&clear), b"Content-Type: text/plain\r\n\r\nNo.\r\n");
    assert!(error.unwrap_err().to_string().contains("DigestMismatch"));
}

#[test]
fn the_daemon_verifies_what_nss_signs() {
    let daemon = Setup::new().start().unwrap();
    let nss = signing_database(&Person::OPENSSL);
    for person in Person::OPENSSL {
        for options in [&[][..], &["-G"], &["-G", "-P", "-H", "SHA384"], &["-P", "-H", "SHA512"]] {
            // Without signed attributes NSS writes ECDSA signatures as r‖s, which not even NSS accepts.
            if options.is_empty() && Person::EC.contains(&person) {
                continue;
            }
            let name = format!("{person:?} {options:?}");
            let signed = nss.sign(&person.signing(), options, ENTITY).unwrap();
            assert_eq!(signed[..2], [0x30, 0x80], "{name}: the length is indefinite");
            let out = daemon.directory().join("content");
            let finished = daemon
                .chancery(["verify", "--json", "--out", out.to_str().unwrap()], &signed)
                .unwrap();
            let report = String::from_utf8_lossy(&finished.stdout).into_owned();
            assert_eq!(finished.code, 0, "{name}: {}{report}", finished.stderr);
            assert_eq!(std::fs::read(&out).unwrap(), ENTITY, "{name}");
        }
    }
}

#[test]
fn nss_decrypts_what_is_encrypted_to_rsa_keys() {
    let daemon = Setup::new().start().unwrap();
    for person in Person::RSA {
        let nss = encryption_database(&[person]);
        for cipher in ["aes128-cbc", "aes256-cbc"] {
            let mut command = daemon.chancery_command().unwrap();
            command.args([
                "encrypt",
                "--key-management",
                "rsa-pkcs1",
                "--content-encryption",
                cipher,
            ]);
            for recipient in Person::RSA {
                let certificate = recipient.encryption().certificate_file();
                command.arg("--recipient-cert").arg(certificate);
            }
            let sealed = run(&mut command, &letter(person)).unwrap().success().unwrap();
            let entity = nss.decrypt(&object(&sealed));
            assert_eq!(entity.unwrap(), ENTITY, "{person:?} {cipher}");
        }
    }
}

#[test]
fn the_daemon_decrypts_what_nss_encrypts() {
    let daemon = Setup::new().token("cards", &Person::RSA).start().unwrap();
    let nss = encryption_database(&Person::RSA);
    let everybody = Person::RSA.map(Person::encryption);
    for person in Person::RSA {
        let sealed = nss.encrypt(&[person.encryption()], ENTITY).unwrap();
        assert_eq!(sealed[..2], [0x30, 0x80], "the length is indefinite");
        assert_eq!(chancery(&daemon, &["decrypt"], &sealed), ENTITY, "{person:?}");
        let sealed = nss.encrypt(&everybody, ENTITY).unwrap();
        let options = ["decrypt", "--for", &person.address()];
        assert_eq!(chancery(&daemon, &options, &sealed), ENTITY, "{person:?} among all");
    }
}

#[test]
fn large_content_of_nss_comes_in_pieces_and_is_put_together() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let nss = encryption_database(&[Person::Alice]);
    let large: Vec<u8> = (0..300_000_u32)
        .flat_map(|number| format!("{number:08}\r\n").into_bytes())
        .collect();
    let sealed = nss.encrypt(&[Person::Alice.encryption()], &large).unwrap();
    assert!(chancery(&daemon, &["decrypt"], &sealed) == large);
    let signed = signing_database(&[Person::Alice])
        .sign(&Person::Alice.signing(), &["-G"], &large)
        .unwrap();
    let out = daemon.directory().join("content");
    chancery(&daemon, &["verify", "--out", out.to_str().unwrap()], &signed);
    assert!(std::fs::read(&out).unwrap() == large);
}
