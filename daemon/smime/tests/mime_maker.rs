//! Making: what the messages in `tests/messages` cannot show, since it is binary, large, bounded or random.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use chancery_smime::limits::Limits;
use chancery_smime::mime::{Base64Decoder, CrlfWriter, EightBit, EntityMaker, MimeError};

fn make_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    eight_bit: EightBit,
    limits: &Limits,
) -> Result<Vec<u8>, MimeError> {
    let (mut maker, mut entity) = (EntityMaker::new(eight_bit, limits), Vec::new());
    for piece in pieces {
        maker.push(piece, &mut entity)?;
    }
    maker.end(&mut entity)?;
    Ok(entity)
}

fn make(message: impl AsRef<[u8]>, eight_bit: EightBit) -> Result<Vec<u8>, MimeError> {
    make_pieces([message.as_ref()], eight_bit, &Limits::default())
}

fn sign(message: impl AsRef<[u8]>) -> Vec<u8> {
    make(message, EightBit::Encode).unwrap()
}

fn encrypt(message: impl AsRef<[u8]>) -> Vec<u8> {
    make(message, EightBit::Keep).unwrap()
}

/// A message of one part.
fn message(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    [fields.as_bytes(), b"\r\n\r\n", body.as_ref()].concat()
}

/// Header section and body of an entity.
fn split(entity: &[u8]) -> (&str, &[u8]) {
    let at = entity
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a blank line");
    (std::str::from_utf8(&entity[..at]).unwrap(), &entity[at + 4..])
}

fn base64_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut decoder = Base64Decoder::new();
    decoder.push(text, &mut bytes).unwrap();
    decoder.end(&mut bytes).unwrap();
    bytes
}

fn quoted_printable_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'=', [b'\r', b'\n', after @ ..]) => after,
            (b'=', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                after
            }
            (b'=', _) => panic!("a lonely ="),
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    bytes
}

fn canonical(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    CrlfWriter::new().push(text, &mut out);
    out
}

/// Numbers without a pattern: a linear congruential generator.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    /// `len` pieces out of `alphabet`, put together.
    fn text(&mut self, alphabet: &[&[u8]], len: usize) -> Vec<u8> {
        (0..len)
            .flat_map(|_| alphabet[self.below(alphabet.len())])
            .copied()
            .collect()
    }
}

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
    let (header, body) = split(&encrypt(&undeclared)).to_owned_parts();
    assert_eq!(
        (header.as_str(), body),
        (
            "Content-Type: image/png\r\nContent-Transfer-Encoding: binary",
            bytes.clone()
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

trait ToOwnedParts {
    fn to_owned_parts(&self) -> (String, Vec<u8>);
}

impl ToOwnedParts for (&str, &[u8]) {
    fn to_owned_parts(&self) -> (String, Vec<u8>) {
        (self.0.to_owned(), self.1.to_vec())
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

#[test]
fn content_that_shows_too_late_what_it_is_is_refused_with_the_way_out() {
    let limits = Limits {
        lookahead_len: 100,
        ..Limits::default()
    };
    let lines = "0123456789\r\n".repeat(20);
    let refused = |fields: &str, late: &str| {
        let part = format!("--b\r\n\r\nfirst\r\n--b\r\n{fields}\r\n\r\n{lines}{late}\r\n--b--\r\n");
        let message = message("Content-Type: multipart/mixed; boundary=b", part);
        let whole = make_pieces([message.as_slice()], EightBit::Encode, &limits).unwrap_err();
        assert_eq!(
            make_pieces(message.chunks(1), EightBit::Encode, &limits),
            Err(whole.clone())
        );
        whole.to_string()
    };
    assert_eq!(
        refused("Content-Type: text/plain\r\nContent-Transfer-Encoding: 7bit", "é"),
        "part 2 (text/plain) is declared 7bit, but has an 8-bit byte after the first 100 bytes, and relays may change that; \
         encode it as quoted-printable or base64, or declare `Content-Transfer-Encoding: 8bit`, and sign again"
    );
    let long = "x".repeat(999);
    for (late, found) in [
        (long.as_str(), "a line of more than 998 bytes"),
        ("\0", "a NUL byte"),
        ("a\rb", "a CR without LF"),
    ] {
        let error = refused("Content-Type: application/x-thing", late);
        assert!(
            error.starts_with("part 2 (application/x-thing) declares no transfer encoding, but has "),
            "{error}"
        );
        assert!(error.contains(found), "{error}");
    }
    let declared = message(
        "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit",
        format!("{lines}é\0\r"),
    );
    let entity = make_pieces([declared.as_slice()], EightBit::Encode, &limits).unwrap();
    assert!(split(&entity).0.ends_with("quoted-printable"));
}

#[test]
fn header_sections_nesting_and_boundaries_are_bounded() {
    let limits = Limits {
        header_len: 200,
        nesting: 3,
        ..Limits::default()
    };
    let refused = |message: &str| {
        let error = make_pieces([message.as_bytes()], EightBit::Encode, &limits).unwrap_err();
        assert_eq!(
            make_pieces(message.as_bytes().chunks(1), EightBit::Encode, &limits),
            Err(error.clone())
        );
        error.to_string()
    };
    let multipart = "Content-Type: multipart/mixed; boundary=b\n\n--b\n";
    assert_eq!(
        refused(&format!("{multipart}{multipart}Subject: {}", "x".repeat(300))),
        "the header section of part 1.1 is longer than 200 bytes; shorten it or raise the limit"
    );
    let embedded = "Content-Type: message/rfc822\n\n";
    for message in [
        multipart.repeat(4),
        embedded.repeat(4),
        format!("{multipart}{embedded}").repeat(2),
    ] {
        let error = refused(&message);
        assert!(
            error.ends_with("lies deeper than 3 levels of parts; flatten the message or raise the limit"),
            "{error}"
        );
    }
    assert!(make_pieces([embedded.repeat(3).as_bytes()], EightBit::Encode, &limits).is_ok());
    assert!(
        make(
            format!("Content-Type: multipart/mixed; boundary={}\n\n", "b".repeat(201)),
            EightBit::Keep
        )
        .is_err()
    );
}

#[test]
fn a_body_leaves_as_it_comes_whatever_its_lines_look_like() {
    let bodies = [
        b"x".repeat(65_536),
        b"0123456789\n".repeat(6000),
        b"\n--b".repeat(16_384),
        b"\r".repeat(65_536),
        b"--b-".repeat(16_384),
    ];
    for (eight_bit, piece) in [EightBit::Encode, EightBit::Keep]
        .into_iter()
        .flat_map(|mode| bodies.iter().map(move |body| (mode, body)))
    {
        let mut maker = EntityMaker::new(eight_bit, &Limits::default());
        let mut entity = Vec::new();
        let header = "Content-Type: multipart/mixed; boundary=boundary\n\n--boundary\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\n";
        maker.push(header.as_bytes(), &mut entity).unwrap();
        let (mut pushed, mut made) = (0, 0);
        for _ in 0..32 {
            entity.clear();
            maker.push(piece, &mut entity).unwrap();
            pushed += piece.len();
            made += entity.len();
            assert!(made + 70_000 > pushed, "{} bytes are held back", pushed - made);
        }
    }
}

#[test]
fn random_messages_give_the_same_however_they_are_cut_and_stay_the_same_when_made_again() {
    let alphabet: [&[u8]; 24] = [
        b"--a\n",
        b"--a--\n",
        b"--a-b\r\n",
        b"--a-b--\r\n",
        b"--a",
        b"\n",
        b"\r\n",
        b"\r",
        b"text\n",
        b"text \r\n",
        b"--",
        b"\xc3\xa9",
        b"Content-Type: multipart/mixed; boundary=a-b\n\n",
        b"Content-Type: multipart/signed; boundary=a-b\r\n\r\n",
        b"Content-Type: message/rfc822\n\n",
        b"Content-Type: image/png\n\n",
        b"Content-Type: text/html\n\n",
        b"Content-Transfer-Encoding: base64\n\n",
        b"Content-Transfer-Encoding: 8bit\n",
        b"Content-Transfer-Encoding: binary\n",
        b"\0",
        b"=",
        b"From x\n",
        b"Subject: x\n",
    ];
    let mut noise = Noise(2);
    let mut accepted = 0;
    for round in 0..6000 {
        let len = 1 + round % 40;
        let mut message = b"Content-Type: multipart/mixed; boundary=a\n\n--a\n".to_vec();
        message.extend_from_slice(&noise.text(&alphabet, len));
        if round % 3 > 0 {
            message.extend_from_slice(b"\n--a--\n");
        }
        for eight_bit in [EightBit::Encode, EightBit::Keep] {
            let whole = make(&message, eight_bit);
            let size = 1 + noise.below(7);
            let pieces = make_pieces(message.chunks(size), eight_bit, &Limits::default());
            assert_eq!(pieces, whole, "{}", String::from_utf8_lossy(&message));
            let Ok(entity) = whole else { continue };
            accepted += 1;
            let again = make(&entity, eight_bit)
                .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&entity)));
            assert_eq!(
                String::from_utf8_lossy(&again),
                String::from_utf8_lossy(&entity),
                "{}",
                String::from_utf8_lossy(&message)
            );
        }
    }
    assert!(accepted > 1000, "only {accepted} messages were accepted");
}
