//! Encryption with the OpenSSL command line on the other side, both ways.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "OpenSSL is run, and a thread feeds it"
)]
#![allow(missing_docs, unreachable_pub, reason = "tests")]

use std::io::{Read, Write};
use std::process::{Command, Stdio};

#[path = "support/keys.rs"]
mod keys;
#[path = "../src/test_rng.rs"]
mod test_rng;

use chancery_smime::algorithm::{ContentEncryptionAlgorithm, KeyManagementAlgorithm};
use chancery_smime::encrypt::{Encrypting, Options, Recipient};
use chancery_smime::limits::Limits;
use keys::{OpenedMessage, P256, P384, P521, Pair, RSA_ALICE, RSA_BOB, X25519, open};
use test_rng::TestRng;

const ENTITY: &str = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
                      Grüße aus der Kanzlei\r\n\r\n.\r\nFrom here on\r\n";

/// Runs `openssl cms`; what it writes, or what it complains about.
fn openssl(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("openssl")
        .arg("cms")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the openssl command line is needed for this test");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may stop reading when it finds a fault; the exit status tells.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    writer.join().unwrap();
    if child.wait().unwrap().success() {
        Ok(output)
    } else {
        Err(complaint)
    }
}

fn encrypt(
    message: &[u8],
    recipients: &[(Pair, Option<KeyManagementAlgorithm>)],
    content_encryption: ContentEncryptionAlgorithm,
) -> Vec<u8> {
    let mut rng = TestRng::new(message.len() as u64 + 1);
    let recipients = recipients
        .iter()
        .map(|(pair, key_management)| Recipient {
            certificate: pair.certificate(),
            key_management: *key_management,
        })
        .collect();
    let options = Options {
        recipients,
        content_encryption,
        limits: Limits::default(),
    };
    let mut encrypting = Encrypting::begin(options, &mut rng).unwrap();
    let mut out = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at((1 + rng.below(100_000)).min(rest.len()));
        encrypting.push(piece, &mut out).unwrap();
        rest = later;
    }
    encrypting.finish(&mut out).unwrap();
    out
}

fn openssl_decrypts(message: &[u8], pair: Pair) -> Result<Vec<u8>, String> {
    openssl(
        &[
            "-decrypt",
            "-recip",
            &pair.certificate_path(),
            "-inkey",
            &pair.key_path(),
        ],
        message,
    )
}

/// Every way to manage a key that OpenSSL 3.0 knows.
const KEY_MANAGEMENTS: [(Pair, Option<KeyManagementAlgorithm>); 7] = [
    (RSA_ALICE, None),
    (RSA_ALICE, Some(KeyManagementAlgorithm::RsaPkcs1)),
    (RSA_BOB, Some(KeyManagementAlgorithm::RsaOaep)),
    (P256, None),
    (P384, None),
    (P521, None),
    (P256, Some(KeyManagementAlgorithm::Ecdh)),
];

#[test]
fn openssl_decrypts_what_is_encrypted_here_for_every_kind_of_key_and_content_encryption() {
    for content_encryption in ContentEncryptionAlgorithm::ALL {
        for (pair, key_management) in KEY_MANAGEMENTS {
            let message = encrypt(ENTITY.as_bytes(), &[(pair, key_management)], content_encryption);
            let plaintext = openssl_decrypts(&message, pair)
                .unwrap_or_else(|error| panic!("{content_encryption} {pair:?} {key_management:?}: {error}"));
            assert_eq!(
                String::from_utf8_lossy(&plaintext),
                ENTITY,
                "{content_encryption} {pair:?}"
            );
        }
    }
}

#[test]
fn each_of_several_recipients_decrypts_and_others_do_not() {
    let recipients = [(RSA_ALICE, None), (P384, None), (P256, None), (X25519, None)];
    for content_encryption in [
        ContentEncryptionAlgorithm::Aes128Cbc,
        ContentEncryptionAlgorithm::Aes256Gcm,
    ] {
        let message = encrypt(ENTITY.as_bytes(), &recipients, content_encryption);
        for pair in [RSA_ALICE, P384, P256] {
            assert_eq!(openssl_decrypts(&message, pair).unwrap(), ENTITY.as_bytes(), "{pair:?}");
        }
        for (pair, _) in recipients {
            let opened = open(&message, pair, &[777]).unwrap();
            assert_eq!(opened.opened.recipient_count, 4);
            assert!(opened.plaintext.ends_with(ENTITY.as_bytes()));
        }
        assert!(openssl_decrypts(&message, RSA_BOB).is_err());
        assert!(open(&message, RSA_BOB, &[777]).is_err());
    }
}

#[test]
fn openssl_decrypts_large_and_empty_content() {
    let mut rng = TestRng::new(7);
    for len in [0, 1, 65_535, 65_536, 65_537, 3_000_000] {
        let mut entity =
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n".to_vec();
        entity.extend_from_slice(&rng.octets(len));
        for content_encryption in [
            ContentEncryptionAlgorithm::Aes256Cbc,
            ContentEncryptionAlgorithm::Aes256Gcm,
        ] {
            let message = encrypt(&entity, &[(P256, None)], content_encryption);
            assert!(
                openssl_decrypts(&message, P256).unwrap() == entity,
                "{len} {content_encryption}"
            );
        }
    }
}

#[test]
fn a_multipart_with_line_feeds_reaches_openssl_with_crlf_and_its_outer_header_outside() {
    let message = "From: alice@example.org\nSubject: two parts\nMIME-Version: 1.0\n\
                   Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n";
    let encrypted = encrypt(
        message.as_bytes(),
        &[(RSA_ALICE, None)],
        ContentEncryptionAlgorithm::Aes256Cbc,
    );
    let text = String::from_utf8(encrypted.clone()).unwrap();
    let header = "From: alice@example.org\r\nSubject: two parts\r\nMIME-Version: 1.0\r\n\
                  Content-Type: application/pkcs7-mime; smime-type=enveloped-data;\r\n";
    assert!(text.starts_with(header), "{text}");
    let plaintext = String::from_utf8(openssl_decrypts(&encrypted, RSA_ALICE).unwrap()).unwrap();
    assert!(
        plaintext.starts_with("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"),
        "{plaintext}"
    );
    assert!(!plaintext.contains("Subject"));
}

/// OpenSSL encrypts to the pair; here it is decrypted, in pieces of several sizes.
fn opens(pair: Pair, arguments: &[&str]) -> OpenedMessage {
    let certificate = pair.certificate_path();
    let mut all = vec!["-encrypt", "-binary", "-recip", &certificate];
    all.extend_from_slice(arguments);
    let message = openssl(&all, ENTITY.as_bytes()).unwrap_or_else(|error| panic!("{all:?}: {error}"));
    let whole = open(&message, pair, &[usize::MAX]).unwrap_or_else(|error| panic!("{all:?}: {error}"));
    let text = String::from_utf8_lossy(&whole.plaintext).into_owned();
    let expected = if arguments.contains(&"DER") || arguments.contains(&"PEM") {
        ENTITY.to_owned()
    } else {
        format!("MIME-Version: 1.0\r\n{ENTITY}")
    };
    assert_eq!(text, expected, "{all:?}");
    for pieces in [&[1][..], &[1, 60, 0, 7]] {
        assert_eq!(
            open(&message, pair, pieces).unwrap().plaintext,
            whole.plaintext,
            "{all:?}"
        );
    }
    whole
}

const CIPHERS: [&str; 6] = [
    "-aes-128-cbc",
    "-aes-192-cbc",
    "-aes-256-cbc",
    "-aes-128-gcm",
    "-aes-192-gcm",
    "-aes-256-gcm",
];

#[test]
fn what_openssl_encrypts_is_decrypted_in_every_encoding() {
    for cipher in CIPHERS {
        for form in [&["-outform", "SMIME"][..], &["-outform", "DER"], &["-outform", "PEM"]] {
            for stream in [&[][..], &["-stream"]] {
                for pair in [RSA_ALICE, P256] {
                    let opened = opens(pair, &[&[cipher], form, stream].concat());
                    assert_eq!(opened.opened.authenticated, cipher.ends_with("gcm"));
                }
            }
        }
    }
}

#[test]
fn rsa_oaep_of_openssl_is_decrypted_with_all_digests_and_labels() {
    for (digest, mgf1, label, expected) in [
        (None, None, None, "OAEP(SHA-1,SHA-1,0)"),
        (Some("sha256"), None, None, "OAEP(SHA-256,SHA-256,0)"),
        (Some("sha384"), Some("sha384"), None, "OAEP(SHA-384,SHA-384,0)"),
        (Some("sha512"), Some("sha512"), None, "OAEP(SHA-512,SHA-512,0)"),
        (Some("sha256"), Some("sha1"), None, "OAEP(SHA-256,SHA-1,0)"),
        (
            Some("sha1"),
            Some("sha512"),
            Some("0123456789"),
            "OAEP(SHA-1,SHA-512,5)",
        ),
    ] {
        let options = [
            digest.map(|digest| format!("rsa_oaep_md:{digest}")),
            mgf1.map(|mgf1| format!("rsa_mgf1_md:{mgf1}")),
            label.map(|label| format!("rsa_oaep_label:{label}")),
        ];
        let mut arguments = vec!["-aes256", "-keyopt", "rsa_padding_mode:oaep"];
        for option in options.iter().flatten() {
            arguments.extend_from_slice(&["-keyopt", option]);
        }
        let opened = opens(RSA_BOB, &arguments);
        assert_eq!(opened.operation, expected);
    }
}

#[test]
fn ecdh_of_openssl_is_decrypted_with_all_digests_of_the_kdf_and_key_wraps() {
    for pair in [P256, P384, P521] {
        for digest in [
            None,
            Some("sha1"),
            Some("sha224"),
            Some("sha256"),
            Some("sha384"),
            Some("sha512"),
        ] {
            for wrap in [None, Some("-aes128-wrap"), Some("-aes192-wrap"), Some("-aes256-wrap")] {
                for cofactor in [None, Some("ecdh_cofactor_mode:1")] {
                    let digest = digest.map(|digest| format!("ecdh_kdf_md:{digest}"));
                    let mut arguments = vec!["-aes-256-cbc"];
                    for option in [digest.as_deref(), cofactor].into_iter().flatten() {
                        arguments.extend_from_slice(&["-keyopt", option]);
                    }
                    arguments.extend(wrap);
                    opens(pair, &arguments);
                }
            }
        }
    }
}

#[test]
fn recipients_named_by_key_identifier_are_found() {
    for pair in [RSA_ALICE, P256, P521] {
        opens(pair, &["-keyid", "-aes-256-gcm"]);
        opens(pair, &["-keyid", "-aes-128-cbc", "-stream"]);
    }
}

#[test]
fn one_of_several_recipients_of_openssl_is_found_and_password_and_symmetric_key_are_passed_over() {
    let (alice, bob, p384) = (
        RSA_ALICE.certificate_path(),
        RSA_BOB.certificate_path(),
        P384.certificate_path(),
    );
    let arguments = [
        "-encrypt",
        "-binary",
        "-aes-256-cbc",
        "-pwri_password",
        "open sesame",
        "-secretkey",
        "000102030405060708090a0b0c0d0e0f",
        "-secretkeyid",
        "0a0b0c",
        &alice,
        &bob,
        &p384,
    ];
    let message = openssl(&arguments, ENTITY.as_bytes()).unwrap();
    for pair in [RSA_ALICE, RSA_BOB, P384] {
        let opened = open(&message, pair, &[400]).unwrap();
        assert!(opened.plaintext.ends_with(ENTITY.as_bytes()));
        assert_eq!(opened.opened.recipient_count, 5);
        assert_eq!(opened.operation, "RSA v1.5 RSA v1.5 ECDH");
    }
    assert!(open(&message, P256, &[400]).is_err());
}

#[test]
fn originator_certificates_and_odd_algorithms_are_told_apart() {
    let alice = RSA_ALICE.certificate_path();
    let message = openssl(&["-encrypt", "-binary", "-des3", &alice], ENTITY.as_bytes()).unwrap();
    let error = open(&message, RSA_ALICE, &[400]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the content of the message cannot be decrypted: the content encryption algorithm 1.2.840.113549.3.7 is not supported"
    );
}
