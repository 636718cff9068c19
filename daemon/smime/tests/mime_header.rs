//! Header sections: fields, addresses, Content-Type, and the reader that collects them from a stream.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use chancery_smime::limits::Limits;
use chancery_smime::mime::{Header, HeaderReader, LineEnds, MimeError, TransferEncoding};

fn header(raw: &str) -> Header {
    Header::parse(raw.as_bytes()).unwrap()
}

fn from(value: &str) -> Vec<String> {
    header(&format!("From: {value}\r\n")).from_addresses()
}

#[test]
fn addresses_are_found_in_every_form_that_mail_has() {
    for (value, expected) in [
        ("alice@example.org", &["alice@example.org"][..]),
        ("Alice@EXAMPLE.org", &["Alice@example.org"]),
        ("Alice <alice@example.org>", &["alice@example.org"]),
        ("\"Lovelace, Alice\" <alice@example.org>", &["alice@example.org"]),
        ("\"bob@example.org\" <alice@example.org>", &["alice@example.org"]),
        ("Alice @ Home <alice@example.org>", &["alice@example.org"]),
        ("=?utf-8?q?Al=C3=AFce?= <alice@example.org>", &["alice@example.org"]),
        (
            "alice@example.org (Alice (the first) \\) bob@example.org)",
            &["alice@example.org"],
        ),
        ("a(one).b(two)@(three)example.org", &["a.b@example.org"]),
        ("a . b @ example . org", &["a.b@example.org"]),
        ("\"alice\"@example.org", &["alice@example.org"]),
        ("\"alice l.\"@example.org", &["\"alice l.\"@example.org"]),
        ("\"a\\\"b\"@example.org", &["\"a\\\"b\"@example.org"]),
        (
            "<@relay.example,@other.example:alice@example.org>",
            &["alice@example.org"],
        ),
        ("Alice <@relay.example:alice@example.org>", &["alice@example.org"]),
        ("alice@[192.0.2.1]", &["alice@[192.0.2.1]"]),
        ("alice@[IPv6:2001:DB8::1]", &["alice@[ipv6:2001:db8::1]"]),
        ("a@example.org, B <b@example.org>", &["a@example.org", "b@example.org"]),
        (
            "Team: a@example.org, B <b@example.org>;",
            &["a@example.org", "b@example.org"],
        ),
        ("undisclosed-recipients:;", &[]),
        (",, a@example.org,", &["a@example.org"]),
        ("jürgen@bücher.example", &["jürgen@bücher.example"]),
        ("", &[]),
    ] {
        assert_eq!(from(value), expected, "{value}");
    }
}

#[test]
fn what_is_no_address_is_returned_as_it_stands_so_that_it_matches_no_certificate() {
    for value in [
        "Alice",
        "alice@",
        "@example.org",
        "alice@example.org bob@example.org",
        "mallory alice@example.org",
        "alice@example.org@example.net",
        "<alice@example.org> <bob@example.org>",
        "<alice@example.org> bob",
        "<alice@example.org",
        "alice@example.org>",
        "\"alice@example.org",
        "\"mallory\"alice@example.org",
        "alice\"mallory\"@example.org",
    ] {
        assert_eq!(from(value), [value]);
    }
}

#[test]
fn every_from_field_counts() {
    let header = header("From: a@example.org\r\nSubject: x\r\nfrom : b@example.org\r\nSender: C <c@example.org>\r\n");
    assert_eq!(header.from_addresses(), ["a@example.org", "b@example.org"]);
    assert_eq!(header.sender_address().as_deref(), Some("c@example.org"));
}

#[test]
fn fields_are_unfolded_whatever_their_line_ends() {
    for end in ["\r\n", "\n"] {
        let header = header(&format!(
            "Subject: one{end}\ttwo{end} three{end}\t{end}To:{end} x{end}{end}ignored"
        ));
        assert_eq!(header.field("SUBJECT").as_deref(), Some("one\ttwo three"));
        assert_eq!(header.field("to").as_deref(), Some("x"));
        assert_eq!(header.field("Cc"), None);
        assert!(!header.raw().ends_with(b"ignored"));
    }
    assert_eq!(header("A: b\n").line_ends(), LineEnds::Lf);
    assert_eq!(header("A: b\r\nC: d\n").line_ends(), LineEnds::Crlf);
    assert_eq!(header("").line_ends(), LineEnds::Crlf);
}

#[test]
fn fields_are_split_into_those_that_stay_outside_and_those_that_move_inside() {
    let header =
        header("From: a\nMIME-Version: 1.0\ncontent-type: text/plain;\n charset=utf-8\nSubject: b\nContent-ID: <x>\n");
    assert_eq!(header.outer_fields(), b"From: a\r\nSubject: b\r\n");
    assert_eq!(
        header.content_fields(),
        b"content-type: text/plain;\r\n charset=utf-8\r\nContent-ID: <x>\r\n"
    );
}

#[test]
fn an_mbox_line_at_the_top_is_tolerated_and_other_garbage_is_named_by_line() {
    assert_eq!(
        header("From alice Thu Jan 1\nFrom: a@example.org\n").from_addresses(),
        ["a@example.org"]
    );
    for (raw, expected) in [
        ("Subject: x\nno colon\n", 2),
        (" folded\n", 1),
        ("a b: c\n", 1),
        (": c\n", 1),
        ("\u{1}\n", 1),
    ] {
        match Header::parse(raw.as_bytes()) {
            Err(MimeError::HeaderLine { line, .. }) => assert_eq!(line, expected, "{raw}"),
            other => panic!("{raw}: {other:?}"),
        }
    }
}

#[test]
fn content_types_are_read_with_all_forms_of_parameters() {
    for (value, media_type, name, expected) in [
        ("Text/PLAIN", "text/plain", "charset", None),
        (
            "text/plain; charset=us-ascii (Plain text)",
            "text/plain",
            "charset",
            Some("us-ascii"),
        ),
        (
            "text/plain; charset=\"us-ascii\"",
            "text/plain",
            "CHARSET",
            Some("us-ascii"),
        ),
        (
            "text (a) / (b) plain (c) ; (d) charset (e) = (f) x",
            "text/plain",
            "charset",
            Some("x"),
        ),
        (
            "multipart/mixed; boundary=\"a\\\"b;c\"; x=y",
            "multipart/mixed",
            "boundary",
            Some("a\"b;c"),
        ),
        (
            "multipart/mixed; boundary=----=_Part_1",
            "multipart/mixed",
            "boundary",
            Some("----=_Part_1"),
        ),
        (
            "multipart/mixed; garbage; ; boundary=b",
            "multipart/mixed",
            "boundary",
            Some("b"),
        ),
        ("a/b; name*=utf-8'en'na%C3%AFve%20x", "a/b", "name", Some("naïve x")),
        ("a/b; name*=iso-8859-1''na%EFve", "a/b", "name", Some("naïve")),
        (
            "a/b; name*1=\"me.p7m\"; name*0=\"smi\"",
            "a/b",
            "name",
            Some("smime.p7m"),
        ),
        (
            "a/b; name*0*=utf-8''%e2%82%ac; name*1=\"%41\"; name*3=lost",
            "a/b",
            "name",
            Some("€%41"),
        ),
        ("a/b; name*=%zz%4", "a/b", "name", Some("%zz%4")),
        ("a/b; boundary=one; boundary=two", "a/b", "boundary", Some("one")),
        ("a/b; boundary=\"open", "a/b", "boundary", Some("open")),
        ("a/b (; boundary=one) ; boundary=two", "a/b", "boundary", Some("two")),
        (
            "a/b garbage (\\); boundary=one) ; (x) boundary=two",
            "a/b",
            "boundary",
            Some("two"),
        ),
        (
            "a/b; a=b (; boundary=one); boundary=two",
            "a/b",
            "boundary",
            Some("two"),
        ),
        (
            "a/b; a=\"b\" \"; boundary=one\"; boundary=two",
            "a/b",
            "boundary",
            Some("two"),
        ),
        ("text", "text/plain", "charset", None),
        ("", "text/plain", "charset", None),
    ] {
        let content_type = header(&format!("Content-Type: {value}\r\n")).content_type();
        assert_eq!(content_type.media_type, media_type, "{value}");
        assert_eq!(content_type.param(name), expected, "{value}");
    }
    assert_eq!(header("").content_type().media_type, "text/plain");
}

#[test]
fn a_field_full_of_parameters_takes_no_longer_than_its_length() {
    // If each parameter cost a look at all that follow, this would take minutes, which the time limit of tests notices.
    let value = format!("a/b{}; boundary=last", ";c=d".repeat(1 << 18));
    let content_type = header(&format!("Content-Type: {value}\r\n")).content_type();
    assert_eq!(content_type.param("boundary"), Some("last"));
}

#[test]
fn transfer_encodings_are_read_in_any_case_and_default_to_7bit() {
    for (value, expected) in [
        ("BASE64", TransferEncoding::Base64),
        ("Quoted-Printable (comment)", TransferEncoding::QuotedPrintable),
        ("8bit", TransferEncoding::EightBit),
        ("binary;", TransferEncoding::Binary),
        ("7Bit", TransferEncoding::SevenBit),
        ("X-UUEncode", TransferEncoding::Other("x-uuencode".to_owned())),
    ] {
        assert_eq!(
            header(&format!("content-transfer-encoding: {value}\n")).transfer_encoding(),
            expected
        );
    }
    assert_eq!(header("").transfer_encoding(), TransferEncoding::SevenBit);
}

#[test]
fn the_reader_stops_at_the_blank_line_however_the_bytes_come() {
    for raw in [
        "A: b\r\nC: d\r\n\r\nbody\r\n\r\n",
        "A: b\nC: d\n\nbody\n\n",
        "A: b\r\nC: d\n\r\nbody",
    ] {
        let body = &raw[raw.find("body").unwrap()..];
        for split in 0..=raw.len() {
            let mut reader = HeaderReader::new(&Limits::default());
            let (first, second) = raw.as_bytes().split_at(split);
            let (header, rest) = match reader.push(first).unwrap() {
                Some((header, rest)) => (header, [rest, second].concat()),
                None => {
                    let (header, rest) = reader.push(second).unwrap().unwrap();
                    (header, rest.to_vec())
                }
            };
            assert_eq!(header.field("C").as_deref(), Some("d"));
            assert_eq!(rest, body.as_bytes());
        }
    }
}

#[test]
fn a_message_may_be_all_header_or_no_header() {
    let mut reader = HeaderReader::new(&Limits::default());
    assert!(reader.push(b"A: b\r\nC: d").unwrap().is_none());
    assert_eq!(reader.end().unwrap().field("C").as_deref(), Some("d"));
    let mut reader = HeaderReader::new(&Limits::default());
    let (header, rest) = reader.push(b"\nbody").unwrap().unwrap();
    assert_eq!((header.raw(), rest), (&b""[..], &b"body"[..]));
}

#[test]
fn a_header_section_is_bounded_with_or_without_line_ends() {
    let limits = Limits {
        header_len: 100,
        ..Limits::default()
    };
    let refused = Err(MimeError::HeaderTooLong {
        part: Default::default(),
        limit: 100,
    });
    let endless = [b"A: ".as_slice(), &[b'x'; 98]].concat();
    assert_eq!(HeaderReader::new(&limits).push(&endless).map(|_| ()), refused);
    let mut reader = HeaderReader::new(&limits);
    assert_eq!(
        endless.chunks(1).try_for_each(|byte| reader.push(byte).map(|_| ())),
        refused
    );
    let fits = [b"A: ".as_slice(), &[b'x'; 94], b"\n", b"\n"].concat();
    assert!(HeaderReader::new(&limits).push(&fits[..98]).unwrap().is_none());
}
