//! Messages that are truncated, oversized, deeply nested, changed, or no messages at all: thousands of them, one daemon.

use std::{collections::BTreeMap, fs};

use hsm_tests::{
    daemon::{Daemon, Setup},
    openssl::{self, Recipient},
    people::Person,
};
use tonic::Status;

use crate::{
    ENTITY, LETTER, assert_all_is_well, assert_refused,
    wire::{Mail, block_on, reason},
};

/// What a message may be refused for. Nothing that a stranger writes is anybody else's fault, least of all INTERNAL.
const REASONS: [&str; 7] = [
    "DECRYPTION_FAILED",
    "MALFORMED_MESSAGE",
    "WRONG_MESSAGE_KIND",
    "UNSUPPORTED_MESSAGE",
    "LIMIT_EXCEEDED",
    "NO_DECRYPTION_KEY",
    "MESSAGE_EMPTY",
];

/// How much resident memory may have grown after thousands of bad messages, once the first hundreds have been refused.
const GROWTH: u64 = 16 << 20;

fn daemon() -> Daemon {
    Setup::new()
        .token("cards", &[Person::Alice, Person::Carol])
        .start()
        .unwrap()
}

#[track_caller]
fn assert_refusal(status: &Status) {
    let reason = reason(status);
    assert!(REASONS.contains(&reason.as_str()), "{reason}: {status:?}");
    assert!(!status.message().is_empty());
}

/// Encrypted to Alice (RSA) and Carol (ECDH).
fn sealed(options: &[&str]) -> Vec<u8> {
    let recipients = [Person::Alice, Person::Carol].map(|person| Recipient { person, options: &[] });
    openssl::encrypt(&recipients, options, &letter_of(40)).unwrap()
}

fn letter_of(lines: usize) -> Vec<u8> {
    let mut letter = ENTITY.to_vec();
    for line in 0..lines {
        letter.extend_from_slice(format!("This is line {line} of a letter.\r\n").as_bytes());
    }
    letter
}

/// `message` with one bit changed, for `count` bits spread over the whole of it.
fn with_a_bit_changed(message: &[u8], count: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
    let bits = message.len() * 8;
    (0..count).map(move |index| {
        // Coprime to eight and to most lengths, so that every bit of an octet has its turn.
        let bit = index * bits / count + index % 8;
        let mut changed = message.to_vec();
        changed[bit / 8 % message.len()] ^= 1 << (bit % 8);
        changed
    })
}

#[test]
fn no_changed_bit_gets_through_gcm_and_each_is_refused_by_name() {
    let daemon = daemon();
    let letter = letter_of(40);
    for form in ["SMIME", "DER"] {
        let message = sealed(&["-aes-256-gcm", "-outform", form]);
        block_on(async {
            let mut mail = Mail::connect(&daemon).await;
            assert!(mail.decrypt(&message).await.unwrap().ends_with(&letter));
            for changed in with_a_bit_changed(&message, 400) {
                match mail.decrypt(&changed).await {
                    // The change was to the outer header, to a line end, or to the other recipient.
                    Ok(content) => assert!(content.ends_with(&letter), "{}", String::from_utf8_lossy(&changed)),
                    Err(status) => assert_refusal(&status),
                }
            }
        });
    }
    assert_all_is_well(&daemon);
}

#[test]
fn changed_bits_in_cbc_and_in_signatures_are_refused_by_name_or_reported() {
    let daemon = daemon();
    let cbc = sealed(&["-aes-128-cbc", "-stream"]);
    let clear = openssl::sign(Person::Alice, &[], &letter_of(10)).unwrap();
    let opaque = openssl::sign(Person::Alice, &["-nodetach"], &letter_of(10)).unwrap();
    block_on(async {
        let mut mail = Mail::connect(&daemon).await;
        for changed in with_a_bit_changed(&cbc, 400) {
            if let Err(status) = mail.decrypt(&changed).await {
                assert_refusal(&status);
            }
        }
        for message in [clear, opaque] {
            for changed in with_a_bit_changed(&message, 300) {
                if let Err(status) = mail.verify(&changed).await {
                    assert_refusal(&status);
                }
            }
        }
    });
    assert_all_is_well(&daemon);
}

#[test]
fn a_truncated_message_is_refused_wherever_it_ends() {
    let daemon = daemon();
    let messages = [
        sealed(&["-aes-256-gcm"]),
        sealed(&["-aes-256-gcm", "-outform", "DER"]),
        sealed(&["-aes-128-cbc", "-stream"]),
        sealed(&["-aes-128-cbc", "-outform", "DER"]),
    ];
    block_on(async {
        let mut mail = Mail::connect(&daemon).await;
        for message in messages {
            let last = message.trim_ascii_end().len();
            for end in (0..last).step_by(last / 60 + 1) {
                let status = mail.decrypt(&message[..end]).await.unwrap_err();
                assert_refusal(&status);
            }
        }
        let signed = openssl::sign(Person::Alice, &[], &letter_of(10)).unwrap();
        let end_of_signature = signed.len() - signed.len() / 10;
        for end in (0..end_of_signature).step_by(97) {
            if let Ok(valid) = mail.verify(&signed[..end]).await {
                assert!(!valid, "valid with {end} of {} octets", signed.len());
            }
        }
    });
    assert_all_is_well(&daemon);
}

#[test]
fn thousands_of_bad_messages_leave_no_memory_behind() {
    let daemon = daemon();
    let gcm = sealed(&["-aes-256-gcm"]);
    let signed = openssl::sign(Person::Alice, &["-nodetach"], &letter_of(10)).unwrap();
    let mut random = Random(1);
    block_on(async {
        let mut mail = Mail::connect(&daemon).await;
        let mut settled = 0;
        let mut reasons = BTreeMap::new();
        for round in 0..3000_usize {
            if round == 600 {
                settled = daemon.memory().unwrap();
            }
            let garbage = random.octets(round % 4096);
            let refused = match round % 6 {
                0 => mail.decrypt(&garbage).await.err(),
                1 => mail.verify(&garbage).await.err(),
                2 => mail
                    .decrypt(
                        &[
                            b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80".as_slice(),
                            &garbage,
                        ]
                        .concat(),
                    )
                    .await
                    .err(),
                3 => mail.decrypt(&random.damage(&gcm)).await.err(),
                4 => mail.verify(&random.damage(&signed)).await.err(),
                _ => mail
                    .decrypt(
                        &[
                            b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                                .as_slice(),
                            &garbage,
                        ]
                        .concat(),
                    )
                    .await
                    .err(),
            };
            if let Some(status) = refused {
                assert_refusal(&status);
                *reasons.entry(reason(&status)).or_insert(0) += 1;
            }
        }
        let grown = daemon.memory().unwrap().saturating_sub(settled);
        eprintln!("{reasons:?}; resident memory grew by {grown} bytes");
        assert!(reasons.len() >= 3, "{reasons:?}");
        assert!(grown < GROWTH, "resident memory grew by {grown} bytes");
    });
    assert_all_is_well(&daemon);
}

#[test]
fn a_message_beyond_the_limit_is_refused_and_no_file_is_left() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .configure("limits", "message_bytes = 65536")
        .start()
        .unwrap();
    let mut large = LETTER.to_vec();
    large.resize(100_000, b'x');
    let recipient = Recipient {
        person: Person::Alice,
        options: &[],
    };
    let sealed = openssl::encrypt(&[recipient], &["-aes-256-gcm"], &large).unwrap();
    let signed = openssl::sign(Person::Alice, &["-nodetach"], &large).unwrap();
    let out = daemon.directory().join("out");
    fs::create_dir(&out).unwrap();
    let file = out.join("message").display().to_string();
    for (arguments, input) in [
        (vec!["sign", "--out", &file], &large),
        (vec!["sign", "--opaque", "--out", &file], &large),
        (vec!["encrypt", "--to", "alice@example.org", "--out", &file], &large),
        (vec!["decrypt", "--out", &file], &sealed),
        (vec!["verify", "--out", &file], &signed),
    ] {
        let refused = daemon.chancery(&arguments, input).unwrap();
        assert_refused(&refused, 5, "MESSAGE_TOO_LARGE");
        let left: Vec<_> = fs::read_dir(&out).unwrap().collect();
        assert!(left.is_empty(), "{arguments:?} left {left:?}");
    }
    assert_all_is_well(&daemon);
}

#[test]
fn mail_nested_too_deep_is_refused_when_signed() {
    let daemon = daemon();
    for depth in [33, 1000] {
        let mut message = Vec::from(b"From: alice@example.org\r\n");
        for level in 0..depth {
            message.extend_from_slice(
                format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n").as_bytes(),
            );
        }
        message.extend_from_slice(b"\r\nHello\r\n");
        for level in (0..depth).rev() {
            message.extend_from_slice(format!("--b{level}--\r\n").as_bytes());
        }
        assert_refused(&daemon.chancery(["sign"], &message).unwrap(), 5, "LIMIT_EXCEEDED");
    }
    assert_all_is_well(&daemon);
}

#[test]
fn a_cms_object_nested_too_deep_is_refused() {
    let daemon = daemon();
    let nested = [0x30, 0x80].repeat(100_000);
    // A content of constructed OCTET STRINGs inside one another.
    let sealed = sealed(&["-aes-128-cbc", "-stream", "-outform", "DER"]);
    let content = sealed
        .windows(4)
        .rposition(|octets| octets[..2] == [0xa0, 0x80])
        .unwrap();
    let strings = [&sealed[..content + 2], &[0x24, 0x80].repeat(10_000)].concat();
    for message in [&nested, &strings] {
        for command in ["decrypt", "verify"] {
            let refused = daemon.chancery([command], message).unwrap();
            assert_eq!(refused.code, 5, "{}", refused.stderr);
            assert!(refused.stdout.is_empty());
        }
    }
    assert_all_is_well(&daemon);
}

#[test]
fn a_failed_decryption_leaves_no_file_even_after_plaintext_has_passed() {
    let daemon = daemon();
    let recipient = Recipient {
        person: Person::Alice,
        options: &[],
    };
    let large = letter_of(200_000);
    let message = openssl::encrypt(&[recipient], &["-aes-128-cbc", "-outform", "DER"], &large).unwrap();
    let out = daemon.directory().join("out");
    fs::create_dir(&out).unwrap();
    let file = out.join("message");
    let cut = &message[..message.len() - 1000];
    let arguments = ["decrypt".as_ref(), "--out".as_ref(), file.as_os_str()];
    let refused = daemon.chancery(arguments, cut).unwrap();
    assert_refused(&refused, 5, "MALFORMED_MESSAGE");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    // The same, where the structure is whole and the padding is not.
    fs::write(&file, b"there before").unwrap();
    let mut padding = message.clone();
    // In the last block but one, the bit comes back in the length of the padding, which is never 0x80 or more.
    let last_but_one = padding.len() - 17;
    padding[last_but_one] ^= 0x80;
    let refused = daemon.chancery(arguments, &padding).unwrap();
    assert_refused(&refused, 1, "DECRYPTION_FAILED");
    assert_eq!(fs::read(&file).unwrap(), b"there before");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    assert_all_is_well(&daemon);
}

#[test]
fn a_message_of_another_kind_is_called_so() {
    let daemon = daemon();
    let signed = openssl::sign(Person::Alice, &[], ENTITY).unwrap();
    let opaque = openssl::sign(Person::Alice, &["-nodetach"], ENTITY).unwrap();
    for message in [&signed, &opaque, &LETTER.to_vec()] {
        assert_refused(&daemon.chancery(["decrypt"], message).unwrap(), 5, "WRONG_MESSAGE_KIND");
    }
    for message in [&sealed(&["-aes-128-cbc"]), &LETTER.to_vec()] {
        assert_refused(&daemon.chancery(["verify"], message).unwrap(), 5, "WRONG_MESSAGE_KIND");
    }
    assert_refused(&daemon.chancery(["sign"], b"").unwrap(), 5, "MESSAGE_EMPTY");
}

/// The same octets in every run (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn octets(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// A few octets replaced, and sometimes the rest cut off.
    fn damage(&mut self, message: &[u8]) -> Vec<u8> {
        let mut damaged = message.to_vec();
        for _ in 0..1 + self.next() % 4 {
            let at = self.next() as usize % damaged.len();
            damaged[at] = self.next() as u8;
        }
        if self.next().is_multiple_of(4) {
            damaged.truncate(self.next() as usize % message.len());
        }
        damaged
    }
}
