//! GnuPG's gpgsm, which is what KMail and Claws Mail use, opens what is made here, and what it makes is opened here.
//!
//! gpgsm 2.2 has neither OAEP nor ECDH nor AES-GCM nor P-521.
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
    gnupg::Gpgsm,
    messages::{ENTITY, letter},
    openssl,
    people::Person,
};

fn chancery(daemon: &Daemon, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    daemon.chancery(arguments, input).unwrap().success().unwrap()
}

fn object(message: &[u8]) -> Vec<u8> {
    openssl::object(message).unwrap()
}

#[test]
fn gpgsm_verifies_everybodys_signatures() {
    let daemon = Setup::new().token("cards", &Person::OPENSSL).start().unwrap();
    let gpgsm = Gpgsm::new(&[]).unwrap();
    for person in Person::OPENSSL {
        if person == Person::Grace {
            continue;
        }
        // A digest as wide as Dave's curve, for gpgsm takes none that is narrower.
        for digest in ["sha384", "sha512"] {
            let opaque = chancery(&daemon, &["sign", "--opaque", "--digest", digest], &letter(person));
            assert_eq!(gpgsm.verify(&object(&opaque)).unwrap(), ENTITY, "{person:?} {digest}");
            let clear = chancery(&daemon, &["sign", "--digest", digest], &letter(person));
            gpgsm.verify_detached(&object(&clear), ENTITY).unwrap();
        }
    }
}

#[test]
fn gpgsm_refuses_a_signature_over_other_bytes() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let gpgsm = Gpgsm::new(&[]).unwrap();
    let clear = chancery(&daemon, &["sign"], &letter(Person::Alice));
    let error = gpgsm.verify_detached(&object(&clear), b"Content-Type: text/plain\r\n\r\nNo.\r\n");
    assert!(error.unwrap_err().to_string().contains("invalid signature"));
}

#[test]
fn the_daemon_verifies_what_gpgsm_signs() {
    let daemon = Setup::new().start().unwrap();
    let gpgsm = Gpgsm::new(&[Person::Bob.signing(), Person::Frank.signing()]).unwrap();
    for person in [Person::Bob, Person::Frank] {
        for digest in ["sha256", "sha384", "sha512"] {
            let options = ["--digest-algo", digest];
            let signed = gpgsm.sign(&person.address(), &options, ENTITY).unwrap();
            assert_eq!(
                signed[..2],
                [0x30, 0x80],
                "{person:?} {digest}: the length is indefinite"
            );
            let out = daemon.directory().join("content");
            chancery(&daemon, &["verify", "--out", out.to_str().unwrap()], &signed);
            assert_eq!(std::fs::read(&out).unwrap(), ENTITY, "{person:?} {digest}");
        }
    }
}

#[test]
fn a_detached_signature_of_gpgsm_is_verified_as_multipart_signed() {
    let daemon = Setup::new().start().unwrap();
    let gpgsm = Gpgsm::new(&[Person::Bob.signing()]).unwrap();
    let options = ["--detach-sign", "--base64"];
    let signature = gpgsm.sign(&Person::Bob.address(), &options, ENTITY).unwrap();
    let message = [
        b"From: bob@example.org\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n \
          micalg=sha-256; boundary=b\r\n\r\n--b\r\n",
        ENTITY,
        b"\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        &signature,
        b"\r\n--b--\r\n",
    ]
    .concat();
    chancery(&daemon, &["verify"], &message);
    let changed = String::from_utf8(message).unwrap().replace("drawer", "garden");
    assert_eq!(daemon.chancery(["verify"], changed.as_bytes()).unwrap().code, 1);
}

#[test]
fn gpgsm_decrypts_what_is_encrypted_to_rsa_keys() {
    let daemon = Setup::new().start().unwrap();
    let gpgsm = Gpgsm::new(&[Person::Alice.encryption(), Person::Bob.encryption()]).unwrap();
    let encrypt = |people: &[Person], cipher| {
        let mut command = daemon.chancery_command().unwrap();
        command.args([
            "encrypt",
            "--key-management",
            "rsa-pkcs1",
            "--content-encryption",
            cipher,
        ]);
        for person in people {
            let certificate = person.encryption().certificate_file();
            command.arg("--recipient-cert").arg(certificate);
        }
        object(&run(&mut command, &letter(Person::Alice)).unwrap().success().unwrap())
    };
    for cipher in ["aes128-cbc", "aes256-cbc"] {
        for people in [&[Person::Alice][..], &[Person::Bob], &[Person::Bob, Person::Alice]] {
            let entity = gpgsm.decrypt(&encrypt(people, cipher));
            assert_eq!(entity.unwrap(), ENTITY, "{people:?} {cipher}");
        }
    }
}

#[test]
fn the_daemon_decrypts_what_gpgsm_encrypts() {
    let daemon = Setup::new().token("cards", &Person::RSA).start().unwrap();
    let gpgsm = Gpgsm::new(&[]).unwrap();
    for person in Person::RSA {
        gpgsm.import(person.encryption().certificate_file()).unwrap();
    }
    let addresses = Person::RSA.map(Person::address);
    let everybody = addresses.each_ref().map(String::as_str);
    for address in everybody {
        for cipher in ["AES128", "AES192", "AES256"] {
            let options = ["--cipher-algo", cipher];
            let sealed = gpgsm.encrypt(&[address], &options, ENTITY).unwrap();
            assert_eq!(chancery(&daemon, &["decrypt"], &sealed), ENTITY, "{address} {cipher}");
        }
        let sealed = gpgsm.encrypt(&everybody, &[], ENTITY).unwrap();
        let options = ["decrypt", "--for", address];
        assert_eq!(chancery(&daemon, &options, &sealed), ENTITY, "{address} among all");
    }
}
