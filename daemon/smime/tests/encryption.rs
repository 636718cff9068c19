//! Encrypting and decrypting against each other: any cut of the input, and any damage to the message.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![allow(missing_docs, unreachable_pub, reason = "tests")]

#[path = "support/keys.rs"]
mod keys;
#[path = "../src/test_rng.rs"]
mod test_rng;

use chancery_smime::algorithm::{ContentEncryptionAlgorithm, KeyManagementAlgorithm};
use chancery_smime::decrypt::{DecryptError, Decrypting, Output, Progress};
use chancery_smime::encrypt::{EncryptError, Encrypted, Encrypting, Options, Recipient, RecipientError};
use chancery_smime::limits::Limits;
use chancery_smime::mime::Base64Decoder;
use keys::{P256, P384, P521, Pair, RSA_ALICE, RSA_BOB, X25519, open, open_with};
use test_rng::TestRng;
use zeroize::Zeroizing;

const ENTITY: &str = "Content-Type: text/plain\r\n\r\nA letter under seal.\r\n";

fn options(pairs: &[Pair], content_encryption: ContentEncryptionAlgorithm) -> Options {
    let recipients = pairs
        .iter()
        .map(|pair| Recipient {
            certificate: pair.certificate(),
            key_management: None,
        })
        .collect();
    Options {
        recipients,
        content_encryption,
        limits: Limits::default(),
    }
}

fn encrypt(message: &[u8], options: Options, rng: &mut TestRng) -> (Vec<u8>, Encrypted) {
    let mut encrypting = Encrypting::begin(options, rng).unwrap();
    let mut out = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let longest = [1, 16, 100, 70_000][rng.below(4)];
        let (piece, later) = rest.split_at(rng.below(longest + 1).min(rest.len()));
        encrypting.push(piece, &mut out).unwrap();
        rest = later;
    }
    let encrypted = encrypting.finish(&mut out).unwrap();
    (out, encrypted)
}

/// The entity, encrypted for everybody of `pairs`.
fn seal(pairs: &[Pair], content_encryption: ContentEncryptionAlgorithm, rng: &mut TestRng) -> Vec<u8> {
    encrypt(ENTITY.as_bytes(), options(pairs, content_encryption), rng).0
}

/// What comes of `octets` with each of their bits changed, one at a time.
fn with_each_bit_changed(octets: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..octets.len() * 8).map(move |bit| {
        let mut changed = octets.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        (bit, changed)
    })
}

/// The CMS object of an encrypted message, without its header and base64.
fn cms(message: &[u8]) -> Vec<u8> {
    let body = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut decoder = Base64Decoder::new();
    let mut out = Vec::new();
    decoder.push(&message[body..], &mut out).unwrap();
    decoder.end(&mut out).unwrap();
    out
}

#[test]
fn what_was_encrypted_is_decrypted_however_both_are_cut() {
    let mut rng = TestRng::new(11);
    let pairs = [RSA_ALICE, P256, P384, P521, X25519];
    for (round, content_encryption) in ContentEncryptionAlgorithm::ALL.into_iter().cycle().take(30).enumerate() {
        let mut entity =
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n".to_vec();
        let len = [0, 3, 1000, 65_000, 200_000][rng.below(5)] + rng.below(40);
        entity.extend_from_slice(&rng.octets(len));
        let message = [b"From: a@example.org\r\nSubject: x\r\n", entity.as_slice()].concat();
        let pair = pairs[round % pairs.len()];
        let (encrypted, report) = encrypt(&message, options(&[pair], content_encryption), &mut rng);
        assert_eq!(report.content_length, entity.len() as u64);
        let pieces: Vec<usize> = (0..5).map(|_| rng.below(3000)).chain([1]).collect();
        let opened = open(&encrypted, pair, &pieces).unwrap();
        let expected = [
            b"From: a@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n",
            entity.as_slice(),
        ]
        .concat();
        assert!(
            opened.plaintext == expected,
            "round {round}: {content_encryption} {pair:?}"
        );
        assert_eq!(opened.opened.content_encryption, content_encryption);
        assert_eq!(opened.opened.authenticated, content_encryption.is_authenticated());
        let expected = if pair == RSA_ALICE {
            "OAEP(SHA-256,SHA-256,0)"
        } else {
            "ECDH"
        };
        assert_eq!(opened.operation, expected);
        // The CMS object alone has no header to go before the entity.
        assert!(open(&cms(&encrypted), pair, &pieces).unwrap().plaintext == entity);
    }
}

#[test]
fn every_line_of_the_message_fits_in_mail() {
    let mut rng = TestRng::new(12);
    let long = format!("Content-Type: text/plain\r\n\r\n{}\r\n", "ü".repeat(5000));
    let (message, _) = encrypt(
        long.as_bytes(),
        options(&[RSA_ALICE], ContentEncryptionAlgorithm::Aes256Gcm),
        &mut rng,
    );
    assert!(message.is_ascii());
    assert!(message.ends_with(b"\r\n"));
    for line in message.split(|&octet| octet == b'\n') {
        assert!(line.len() <= 77 && (line.is_empty() || line.ends_with(b"\r")));
    }
}

#[test]
fn nothing_but_the_tag_decides_over_gcm_and_no_changed_bit_gets_through() {
    let mut rng = TestRng::new(13);
    let message = seal(&[P256], ContentEncryptionAlgorithm::Aes128Gcm, &mut rng);
    let object = cms(&message);
    let mut failed = 0;
    for (bit, changed) in with_each_bit_changed(&object) {
        match open(&changed, P256, &[97]) {
            // Bits that carry no meaning: issuer and serial number of a recipient decide only who is asked, the version
            // and the curve's name are told from elsewhere. The content is the same then.
            Ok(opened) => assert_eq!(opened.plaintext, ENTITY.as_bytes(), "bit {bit}"),
            Err(DecryptError::Failed) => failed += 1,
            Err(_) => {}
        }
    }
    assert!(failed > 8 * ENTITY.len(), "{failed}");
}

#[test]
fn no_changed_bit_of_a_cbc_message_makes_it_panic() {
    let mut rng = TestRng::new(14);
    let message = seal(&[P256], ContentEncryptionAlgorithm::Aes256Cbc, &mut rng);
    let object = cms(&message);
    let mut failed = 0;
    for (_, changed) in with_each_bit_changed(&object) {
        if matches!(open(&changed, P256, &[97]), Err(DecryptError::Failed)) {
            failed += 1;
        }
    }
    assert!(failed > 0);
}

#[test]
fn a_truncated_message_is_an_error_at_every_length() {
    let mut rng = TestRng::new(15);
    for content_encryption in [
        ContentEncryptionAlgorithm::Aes256Cbc,
        ContentEncryptionAlgorithm::Aes256Gcm,
    ] {
        let message = seal(&[P256], content_encryption, &mut rng);
        let object = cms(&message);
        for len in 0..object.len() {
            let error = open(&object[..len], P256, &[50]).unwrap_err();
            assert!(!matches!(error, DecryptError::Failed), "{len}: {error}");
        }
    }
}

#[test]
fn a_wrong_key_an_absent_one_and_one_of_wrong_length_fail_alike() {
    let mut rng = TestRng::new(16);
    for pair in [RSA_ALICE, P256, X25519] {
        let message = seal(&[pair], ContentEncryptionAlgorithm::Aes256Gcm, &mut rng);
        let right = |request: &chancery_smime::decrypt::KeyRequest| {
            Zeroizing::new(pair.operate(&request.candidates[0].operation()).unwrap())
        };
        assert!(
            open_with(&message, &[99], |request, rng| request.content_key(
                0,
                Some(right(request)),
                rng
            ))
            .is_ok()
        );
        for wrong in 0..6 {
            let result = open_with(&message, &[99], |request, rng| {
                let mut secret = right(request);
                match wrong {
                    0 => return request.content_key(0, None, rng),
                    1 => return request.content_key(1, Some(secret), rng),
                    2 => secret.truncate(31),
                    3 => secret.push(0),
                    4 => secret.clear(),
                    _ => secret[5] ^= 1,
                }
                request.content_key(0, Some(secret), rng)
            });
            assert!(
                matches!(result, Err(DecryptError::Failed)),
                "{pair:?} {wrong}: {result:?}"
            );
        }
    }
}

#[test]
fn a_failed_operation_gives_a_new_key_each_time() {
    let mut rng = TestRng::new(17);
    let message = seal(&[RSA_ALICE], ContentEncryptionAlgorithm::Aes256Cbc, &mut rng);
    let mut decrypting = Decrypting::begin(Limits::default());
    let Progress::NeedsKey(request) = decrypting.push(&message, &mut Output::default()).unwrap() else {
        panic!()
    };
    let first = request.content_key(0, None, &mut rng);
    assert!(first != request.content_key(0, None, &mut rng));
    assert_eq!(format!("{first:?}"), "ContentKey(…)");
}

#[test]
fn nothing_goes_on_before_the_key_request_is_answered() {
    let mut rng = TestRng::new(18);
    let message = seal(&[RSA_ALICE], ContentEncryptionAlgorithm::Aes256Cbc, &mut rng);
    let mut decrypting = Decrypting::begin(Limits::default());
    let mut out = Output::default();
    assert!(matches!(decrypting.push(&message, &mut out), Ok(Progress::NeedsKey(_))));
    assert!(matches!(
        decrypting.push(b"", &mut out),
        Err(DecryptError::KeyNotAnswered)
    ));
    assert!(out.plaintext.is_empty() && out.held.is_empty());
    assert!(matches!(decrypting.finish(&mut out), Err(DecryptError::KeyNotAnswered)));
}

#[test]
fn certificates_that_cannot_receive_mail_are_refused_by_name() {
    let mut rng = TestRng::new(19);
    let mut begin = |pair: Pair, key_management| {
        let recipients = vec![
            Recipient {
                certificate: RSA_BOB.certificate(),
                key_management: None,
            },
            Recipient {
                certificate: pair.certificate(),
                key_management,
            },
        ];
        let content_encryption = ContentEncryptionAlgorithm::Aes256Gcm;
        match Encrypting::begin(
            Options {
                recipients,
                content_encryption,
                limits: Limits::default(),
            },
            &mut rng,
        ) {
            Err(EncryptError::Recipient { certificate, source }) => (certificate, source),
            other => panic!("{pair:?}: {other:?}"),
        }
    };
    let (certificate, source) = begin(Pair("rsa-sign"), None);
    assert_eq!(certificate, "CN=Signer\\, Only,O=Chancery Test,C=XX (serial 03eb)");
    assert_eq!(source, RecipientError::NotForEncryption);
    assert_eq!(begin(Pair("ed25519"), None).1, RecipientError::UnsupportedKey);
    for (pair, wanted) in [
        (RSA_ALICE, KeyManagementAlgorithm::Ecdh),
        (P256, KeyManagementAlgorithm::RsaOaep),
        (X25519, KeyManagementAlgorithm::RsaPkcs1),
    ] {
        let (_, source) = begin(pair, Some(wanted));
        assert!(
            matches!(source, RecipientError::KeyManagementMismatch { .. }),
            "{source}"
        );
    }
}

#[test]
fn the_number_of_recipients_is_limited_both_ways() {
    let mut rng = TestRng::new(20);
    let limits = Limits {
        recipients: 1,
        ..Limits::default()
    };
    let mut two = options(&[RSA_ALICE, P256], ContentEncryptionAlgorithm::Aes256Cbc);
    let (message, report) = encrypt(ENTITY.as_bytes(), two.clone(), &mut rng);
    assert_eq!(
        report.key_managements,
        [KeyManagementAlgorithm::RsaOaep, KeyManagementAlgorithm::Ecdh]
    );
    two.limits = limits.clone();
    assert!(matches!(
        Encrypting::begin(two, &mut rng),
        Err(EncryptError::TooManyRecipients { count: 2, limit: 1 })
    ));
    let none = options(&[], ContentEncryptionAlgorithm::Aes256Cbc);
    assert!(matches!(
        Encrypting::begin(none, &mut rng),
        Err(EncryptError::NoRecipients)
    ));

    let mut decrypting = Decrypting::begin(limits);
    let error = decrypting.push(&message, &mut Output::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the recipients of the message cannot be read: there are more than 1 recipients"
    );
}

#[test]
fn a_certificate_given_twice_is_one_recipient() {
    let mut rng = TestRng::new(21);
    let (message, report) = encrypt(
        ENTITY.as_bytes(),
        options(&[P256, P256], ContentEncryptionAlgorithm::Aes256Cbc),
        &mut rng,
    );
    assert_eq!(report.key_managements.len(), 2);
    assert_eq!(open(&message, P256, &[1000]).unwrap().opened.recipient_count, 1);
}

#[test]
fn what_is_not_encrypted_is_told_apart_from_what_cannot_be_decrypted() {
    let push = |message: &str| {
        let mut decrypting = Decrypting::begin(Limits::default());
        let mut out = Output::default();
        decrypting
            .push(message.as_bytes(), &mut out)
            .map(drop)
            .and_then(|()| decrypting.finish(&mut out).map(drop))
    };
    let signed = "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b\r\n\r\n--b\r\n";
    assert!(matches!(push(signed), Err(DecryptError::MultipartSigned)));
    assert!(matches!(
        push("Content-Type: text/plain\r\n\r\nhello\r\n"),
        Err(DecryptError::MalformedMime(_))
    ));
    // ContentInfo of SignedData
    let opaque = "Content-Type: application/pkcs7-mime\r\n\r\nMIAGCSqGSIb3DQEHAqCAMIACAQExADCABgkqhkiG9w0BBwGggA==\r\n";
    assert!(matches!(push(opaque), Err(DecryptError::NotEncrypted { .. })));
    assert!(push("").is_err());
}

/// Scripts in `tests/fixtures/encrypt` say whose: pyca/cryptography, GnuPG, NSS. A name begins with the pair.
#[test]
fn messages_made_by_another_hand_are_decrypted() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/encrypt/messages");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let pair = [RSA_ALICE, RSA_BOB, P256, P384, P521, X25519]
            .into_iter()
            .find(|pair| name.split('_').next() == Some(pair.0))
            .unwrap();
        let message = std::fs::read(&path).unwrap();
        // CMS objects alone have no header to go before the entity.
        let header = if name.ends_with(".eml") {
            "MIME-Version: 1.0\r\n"
        } else {
            ""
        };
        for pieces in [&[usize::MAX][..], &[1], &[100, 3]] {
            let opened = open(&message, pair, pieces).unwrap_or_else(|error| panic!("{name}: {error}"));
            let text = String::from_utf8(opened.plaintext).unwrap();
            assert_eq!(
                text,
                format!("{header}Content-Type: text/plain\r\n\r\nMade by another hand.\r\n"),
                "{name}"
            );
        }
        count += 1;
    }
    assert!(count >= 15, "{count}");
}

#[test]
fn changed_authenticated_attributes_are_found_out() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/encrypt/messages/rsa-alice_authenticated_attributes.eml"
    );
    let text = String::from_utf8(std::fs::read(path).unwrap())
        .unwrap()
        .replace('\n', "\r\n");
    let mut object = cms(text.as_bytes());
    assert!(open(&object, RSA_ALICE, &[1000]).is_ok());
    let time = object
        .windows(13)
        .position(|window| window == b"261122030000Z")
        .unwrap();
    object[time] = b'3';
    assert!(matches!(open(&object, RSA_ALICE, &[1000]), Err(DecryptError::Failed)));
}
