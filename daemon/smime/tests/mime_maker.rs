//! Making: what the messages in `tests/messages` cannot show, since it is large, bounded or random.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![allow(unreachable_pub, dead_code, reason = "tests")]

use chancery_smime::limits::Limits;
use chancery_smime::mime::{EightBit, EntityMaker};

#[path = "support/maker.rs"]
mod maker;

use maker::{Noise, make, make_pieces, message, split};

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
