//! Which transfer encodings and charsets the maker gives to parts, so that they pass relays and keep their content.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![allow(unreachable_pub, dead_code, reason = "tests")]

use chancery_smime::limits::Limits;
use chancery_smime::mime::EightBit;

#[path = "support/maker.rs"]
mod maker;

use maker::{
    Noise, base64_decoded, canonical, encrypt, make, make_pieces, message, quoted_printable_decoded, sign, split,
};

fn assert_passes_relays(body: &[u8]) {
    for line in body.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(line.is_ascii() && !line.contains(&b'\r') && !line.contains(&0));
        assert!(line.len() <= 998 && !line.ends_with(b" ") && !line.ends_with(b"\t") && !line.starts_with(b"From "));
    }
}

#[test]
fn binary_content_keeps_its_bytes() {
    let bytes: Vec<u8> = (0..=255).chain(*b"\n\r\n\r\r\n").collect();
    let declared = message("Content-Type: image/png\r\nContent-Transfer-Encoding: binary", &bytes);
    assert_eq!(encrypt(&declared), declared);
    let undeclared = message("Content-Type: image/png", &bytes);
    assert_eq!(
        split(&encrypt(&undeclared)),
        (
            "Content-Type: image/png\r\nContent-Transfer-Encoding: binary",
            bytes.as_slice()
        )
    );
    for message in [declared, undeclared] {
        let entity = sign(message);
        let (header, body) = split(&entity);
        assert_eq!(header, "Content-Type: image/png\r\nContent-Transfer-Encoding: base64");
        assert_eq!(base64_decoded(body), bytes);
        assert!(body.ends_with(b"\r\n") && !body.ends_with(b"\r\n\r\n"));
    }
}

#[test]
fn a_base64_part_in_a_multipart_is_not_followed_by_an_empty_line() {
    let message = message(
        "Content-Type: multipart/mixed; boundary=b",
        "--b\nContent-Type: a/b\n\n\u{e9}\n--b\n\n\u{e9}\n\n--b--",
    );
    let expected = "--b\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nw6k=\r\n\
                    --b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9\r\n\r\n--b--";
    assert_eq!(split(&sign(message)).1, expected.as_bytes());
}

#[test]
fn lines_too_long_for_relays_are_encoded_and_shorter_ones_are_not() {
    for (len, end, long) in [
        (998, "\r\n", false),
        (998, "\n", false),
        (998, "", false),
        (999, "\r\n", true),
        (999, "", true),
    ] {
        let text = format!("a\r\n{}{end}", "x".repeat(len));
        let entity = sign(message("Content-Type: text/plain", &text));
        let (header, body) = split(&entity);
        assert_eq!(header.contains("quoted-printable"), long, "{len} {end:?}");
        assert_eq!(quoted_printable_decoded(body), canonical(text.as_bytes()));
        let entity = sign(message("Content-Type: application/json", &text));
        assert_eq!(split(&entity).0.contains("base64"), long);
    }
}

#[test]
fn what_relays_might_change_is_encoded_and_survives() {
    for text in [
        "trailing \r\nx",
        "trailing\t\r\nx",
        "end ",
        "end\t",
        "From me\r\n",
        "x\r\nFrom me",
        "bare\rCR",
        "nul\0",
        "cr\r",
    ] {
        let entity = sign(message("Content-Type: text/plain", text));
        let (header, body) = split(&entity);
        assert_passes_relays(body);
        let decoded = if header.contains("base64") {
            base64_decoded(body)
        } else {
            quoted_printable_decoded(body)
        };
        assert_eq!(decoded, text.as_bytes(), "{text:?}");
    }
    for text in ["", "x", "a\r\n\r\n", " From me\r\n", "\u{e9}"] {
        assert_eq!(
            split(&encrypt(message("Content-Type: text/plain", text))).1,
            text.as_bytes(),
            "{text:?}"
        );
    }
}

#[test]
fn quoted_printable_can_be_decoded_to_the_same_text_and_passes_every_relay() {
    let alphabet: [&[u8]; 14] = [
        b"a",
        b"word ",
        b"\xc3\xa9",
        b"=",
        b" ",
        b"\t",
        b"\n",
        b"\r\n",
        b"\n.",
        b"\nFrom ",
        b"From",
        b"\r",
        b"Lorem ipsum dolor",
        b".",
    ];
    let mut noise = Noise(1);
    for round in 0..400 {
        let mut text = noise.text(&alphabet, round);
        text.extend_from_slice("é".as_bytes());
        let fields = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit";
        let message = message(fields, &text);
        let entity = sign(&message);
        let (header, body) = split(&entity);
        assert!(header.ends_with("Content-Transfer-Encoding: quoted-printable"));
        assert_eq!(quoted_printable_decoded(body), canonical(&text));
        assert_passes_relays(body);
        assert!(
            body.split(|&byte| byte == b'\n')
                .all(|line| line.len() <= 77 && line != b".\r" && line != b".")
        );
        let size = 1 + noise.below(40);
        let limits = Limits {
            lookahead_len: 1,
            ..Limits::default()
        };
        assert_eq!(
            make_pieces(message.chunks(size), EightBit::Encode, &limits).unwrap(),
            entity
        );
    }
}

#[test]
fn base64_in_one_long_line_is_broken_into_lines() {
    let fields = "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64";
    let entity = sign(message(fields, "QUJD".repeat(1000)));
    let (header, body) = split(&entity);
    assert_eq!((header, base64_decoded(body)), (fields, b"ABC".repeat(1000)));
    assert_passes_relays(body);
    let short = message(fields, "QUJD\r\n");
    assert_eq!(sign(&short), short);
}

#[test]
fn a_text_that_names_no_charset_is_given_one_that_fits() {
    for (body, charset) in [
        (&b"ascii"[..], "us-ascii"),
        ("é".as_bytes(), "utf-8"),
        (b"\xe9", "unknown-8bit"),
    ] {
        for eight_bit in [EightBit::Encode, EightBit::Keep] {
            let entity = make(message("Subject: x", body), eight_bit).unwrap();
            let (header, _) = split(&entity);
            assert!(
                header.starts_with(&format!("Content-Type: text/plain; charset={charset}")),
                "{header}"
            );
        }
    }
    // The look-ahead ends in the middle of a character, and after that comes more.
    let limits = Limits {
        lookahead_len: 10,
        ..Limits::default()
    };
    let message = message("Subject: x", "é".repeat(5) + "a" + &"é".repeat(5));
    for shift in 0..2 {
        let limits = Limits {
            lookahead_len: limits.lookahead_len + shift,
            ..limits.clone()
        };
        let entity = make_pieces([message.as_slice()], EightBit::Encode, &limits).unwrap();
        assert!(split(&entity).0.contains("charset=utf-8"));
    }
}
