//! No oracle: whatever is wrong with what only the private key can see, the status is the same octet for octet.

use hsm_tests::{
    daemon::{Daemon, Setup},
    openssl::{self, Recipient},
    people::Person,
};
use tonic::Code;

use crate::{
    ENTITY, assert_all_is_well,
    wire::{Mail, block_on, bytes_of, reason},
};

/// Alice's encryption key has 2048 bits.
const RSA_LEN: usize = 256;

fn der(person: Person, keyopt: &[&str], cipher: &str) -> Vec<u8> {
    let recipient = Recipient {
        person,
        options: keyopt,
    };
    openssl::encrypt(&[recipient], &[cipher, "-outform", "DER"], ENTITY).unwrap()
}

/// Where the contents of the only OCTET STRING with this header begin.
fn octet_string(message: &[u8], header: &[u8]) -> usize {
    let mut places = message.windows(header.len()).enumerate();
    let (at, _) = places.find(|(_, octets)| *octets == header).unwrap();
    at + header.len()
}

/// `message` with these octets at this place.
fn put(message: &[u8], at: usize, octets: &[u8]) -> Vec<u8> {
    let mut changed = message.to_vec();
    changed[at..at + octets.len()].copy_from_slice(octets);
    changed
}

fn flip(message: &[u8], at: usize) -> Vec<u8> {
    put(message, at, &[message[at] ^ 0x40])
}

/// What Alice's public key makes of these octets, padded so.
fn rsa_encrypt(octets: &[u8], padding: &str) -> Vec<u8> {
    let arguments = ["pkeyutl", "-encrypt", "-certin", "-inkey"];
    let mut command = std::process::Command::new("openssl");
    command
        .args(arguments)
        .arg(Person::Alice.encryption().certificate_file());
    command.args(["-pkeyopt", &format!("rsa_padding_mode:{padding}")]);
    hsm_tests::command::run(&mut command, octets)
        .unwrap()
        .success()
        .unwrap()
}

/// An RSA block that begins with these octets and has no other zero.
fn raw_block(beginning: &[u8]) -> Vec<u8> {
    let mut block = vec![0x5a; RSA_LEN];
    block[..beginning.len()].copy_from_slice(beginning);
    block
}

/// Everything that can be wrong with the key transport of `message` to Alice.
fn wrong_transports(message: &[u8], padding: &str) -> Vec<(&'static str, Vec<u8>)> {
    let at = octet_string(message, &[0x04, 0x82, 0x01, 0x00]);
    let with = |octets: &[u8]| put(message, at, octets);
    vec![
        ("a changed ciphertext", flip(message, at + 100)),
        ("zero", with(&[0; RSA_LEN])),
        ("one", with(&raw_one())),
        ("more than the modulus", with(&[0xff; RSA_LEN])),
        (
            "no second octet of padding",
            with(&rsa_encrypt(&raw_block(&[0, 1]), "none")),
        ),
        (
            "no first octet of padding",
            with(&rsa_encrypt(&raw_block(&[1, 2]), "none")),
        ),
        ("no end of the padding", with(&rsa_encrypt(&raw_block(&[0, 2]), "none"))),
        (
            "too little padding",
            with(&rsa_encrypt(&raw_block(&[0, 2, 1, 1, 0]), "none")),
        ),
        ("an empty key", with(&rsa_encrypt(b"", padding))),
        ("a short key", with(&rsa_encrypt(&[7; 5], padding))),
        ("a long key", with(&rsa_encrypt(&[7; 33], padding))),
        ("another key", with(&rsa_encrypt(&[7; 32], padding))),
    ]
}

fn raw_one() -> Vec<u8> {
    let mut one = vec![0; RSA_LEN];
    one[RSA_LEN - 1] = 1;
    one
}

/// The status of each, all the same.
#[track_caller]
fn assert_one_error(daemon: &Daemon, messages: Vec<(&'static str, Vec<u8>)>) {
    block_on(async {
        let mut mail = Mail::connect(daemon).await;
        let mut first = None;
        for (what, message) in messages {
            let status = match mail.decrypt(&message).await {
                Ok(content) => panic!("{what}: {}", String::from_utf8_lossy(&content)),
                Err(status) => status,
            };
            assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
            assert_eq!(reason(&status), "DECRYPTION_FAILED", "{what}: {status:?}");
            let seen = bytes_of(&status);
            assert_eq!(*first.get_or_insert_with(|| seen.clone()), seen, "{what}");
        }
    });
    let failed = daemon.audit().unwrap().into_iter();
    let failed = failed.filter(|record| record["result"] == "failed");
    for record in failed {
        assert_eq!(record["reason"], "DECRYPTION_FAILED", "{record}");
    }
    assert_all_is_well(daemon);
}

#[test]
fn wrong_padding_wrong_key_wrong_wrap_and_wrong_tag_are_one_error() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice, Person::Carol])
        .start()
        .unwrap();
    let pkcs1 = der(Person::Alice, &[], "-aes-256-gcm");
    let oaep = der(Person::Alice, &["-keyopt", "rsa_padding_mode:oaep"], "-aes-256-gcm");
    let ecdh = der(Person::Carol, &[], "-aes-256-gcm");
    let wrapped = octet_string(&ecdh, &[0x04, 0x28]);
    let mut messages = wrong_transports(&pkcs1, "pkcs1");
    messages.extend(wrong_transports(&oaep, "oaep"));
    messages.push(("a wrong key wrap", flip(&ecdh, wrapped)));
    messages.push(("a wrong end of the key wrap", flip(&ecdh, wrapped + 39)));
    for (what, message) in [
        ("a wrong tag for RSA v1.5", &pkcs1),
        ("a wrong tag for OAEP", &oaep),
        ("a wrong tag for ECDH", &ecdh),
    ] {
        messages.push((what, flip(message, message.len() - 1)));
        // The tag is an OCTET STRING of sixteen; what stands before it is the end of the content.
        messages.push(("a wrong content", flip(message, message.len() - 18 - 3)));
    }
    assert_one_error(&daemon, messages);
}

#[test]
fn a_wrong_end_of_cbc_content_is_the_same_error() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let cbc = der(Person::Alice, &[], "-aes-256-cbc");
    let tag = der(Person::Alice, &[], "-aes-256-gcm");
    let end = cbc.len() - 1;
    // The last octet of the block before the last is what makes the last octet of the padding: 1 to 16, and never after this.
    assert_one_error(
        &daemon,
        vec![
            ("padding beyond a block", put(&cbc, end - 16, &[cbc[end - 16] ^ 0x80])),
            ("a wrong tag", flip(&tag, tag.len() - 1)),
        ],
    );
}
