//! Opening multipart/signed: where its content ends, to the byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![allow(unreachable_pub, dead_code, reason = "tests")]

use chancery_smime::algorithm::DigestAlgorithm;
use chancery_smime::limits::Limits;
use chancery_smime::mime::{Carrier, EntityReader, LineEnds, MimeError};

#[path = "support/opened.rs"]
mod opened;

use opened::{Opened, clear, cms, open, open_pieces};

#[test]
fn a_clear_signed_message_is_split_exactly() {
    let content = "Content-Type: text/plain\r\n\r\nHello  \r\n--\r\n--b\r\n--boundary-longer\r\n--boundar\r\n\r\n";
    let opened = open(clear(content, "boundary")).unwrap();
    assert_eq!(String::from_utf8(opened.content).unwrap(), content);
    assert_eq!(opened.cms, cms(100));
    assert_eq!(opened.content_end, Some(LineEnds::Crlf));
    assert_eq!(
        opened.carrier,
        Some(Carrier::MultipartSigned {
            micalg: vec![DigestAlgorithm::Sha256, DigestAlgorithm::Sha512],
            protocol: Some("application/x-pkcs7-signature".to_owned()),
        })
    );
}

#[test]
fn line_ends_are_reported_and_content_is_left_as_received() {
    let message = clear("Content-Type: text/plain\n\nmixed\r\nline ends\rhere", "b").replace("\r\n", "\n");
    let opened = open(&message).unwrap();
    assert_eq!(opened.content, b"Content-Type: text/plain\n\nmixed\nline ends\rhere");
    assert_eq!(opened.content_end, Some(LineEnds::Lf));
    let mixed = clear("A: b\n\nmixed\r\nline\nends", "b");
    assert_eq!(open(mixed).unwrap().content, b"A: b\n\nmixed\r\nline\nends");
}

#[test]
fn a_nested_multipart_whose_boundary_begins_with_ours_stays_inside() {
    let content = "Content-Type: multipart/mixed; boundary=outer-1\r\n\r\n--outer-1\r\n\r\na\r\n--outer-1--\r\n";
    assert_eq!(open(clear(content, "outer")).unwrap().content, content.as_bytes());
    let content = "Content-Type: multipart/mixed; boundary=oute\r\n\r\n--oute\r\n\r\na\r\n--oute--\r\n";
    assert_eq!(open(clear(content, "outer")).unwrap().content, content.as_bytes());
}

#[test]
fn delimiters_may_have_padding_and_the_last_may_lack_its_line_end() {
    let message = clear("A: b\r\n\r\ntext", "b").replace("--b\r\n", "--b \t \r\n");
    let message = message.strip_suffix("\r\nEpilogue\r\n").unwrap();
    let opened = open(message).unwrap();
    assert_eq!(
        (opened.content.as_slice(), opened.cms),
        (&b"A: b\r\n\r\ntext"[..], cms(100))
    );
    let boundary = "b".repeat(200);
    let longest = clear("x", &boundary).replace(
        &format!("--{boundary}\r\n"),
        &format!("--{boundary}{}\r\n", " ".repeat(256)),
    );
    assert_eq!(open(longest).unwrap().content, b"x");
    let too_much = clear("A: b\r\n\r\ntext", "b").replace("--b--\r\n", &format!("--b--{}\r\n", " ".repeat(300)));
    assert!(matches!(open(too_much), Err(MimeError::Unterminated { .. })));
}

#[test]
fn content_may_be_empty_and_the_protocol_may_be_missing() {
    let message = clear("", "b").replace("\r\n protocol=\"application/x-pkcs7-signature\";", "");
    let opened = open(message).unwrap();
    assert_eq!(opened.content, b"");
    assert!(matches!(
        opened.carrier,
        Some(Carrier::MultipartSigned { protocol: None, .. })
    ));
    let none = clear("x", "b").replace("--b\r\nx\r\n--b\r\n", "--b\r\n--b\r\n");
    assert_eq!(open(none).unwrap().content, b"");
}

#[test]
fn the_signature_part_may_be_binary_and_named_only() {
    let message = clear("x", "b").replace(
        "application/pkcs7-signature\r\n",
        "application/octet-stream; name=smime.p7s\r\n",
    );
    assert_eq!(open(message).unwrap().cms, cms(100));
    let object = [cms(40).as_slice(), b"\n\r\n"].concat();
    let mut message = b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nx\r\n--b\r\n\
        Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        .to_vec();
    message.extend_from_slice(&object);
    message.extend_from_slice(b"\r\n--b--\r\n");
    assert_eq!(open(message).unwrap().cms, object);
}

#[test]
fn a_message_cut_off_anywhere_is_an_error() {
    let message = clear("Content-Type: text/plain\r\n\r\nHello\r\n", "boundary");
    let end = message.find("--boundary--").unwrap() + "--boundary--".len();
    for len in 0..end {
        assert!(
            open_pieces([&message.as_bytes()[..len]]).is_err(),
            "the first {len} bytes"
        );
    }
    assert!(open_pieces([&message.as_bytes()[..end]]).is_ok());
    let cut = open_pieces([&message.as_bytes()[..end - 4]]).unwrap_err().to_string();
    assert!(cut.contains("`--boundary--` of the message is missing"), "{cut}");
}

#[test]
fn signed_content_leaves_as_it_comes_whatever_its_lines_look_like() {
    let bodies = [
        b"x".repeat(65_536),
        b"\n--b".repeat(16_384),
        b"\r\n".repeat(32_768),
        b"--boundary ".repeat(6000),
    ];
    for body in bodies {
        let mut opened = Opened::default();
        let mut reader = EntityReader::new(&Limits::default());
        reader
            .push(
                b"Content-Type: multipart/signed; boundary=boundary\n\n--boundary\n",
                &mut opened,
            )
            .unwrap();
        for count in 1..10 {
            reader.push(&body, &mut opened).unwrap();
            assert!(opened.content.len() + 1000 > count * body.len());
        }
    }
}
