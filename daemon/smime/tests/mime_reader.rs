//! Opening: every form in which S/MIME arrives, cut at every position, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use chancery_smime::algorithm::DigestAlgorithm;
use chancery_smime::limits::Limits;
use chancery_smime::mime::{
    Base64Encoder, Carrier, EntityReader, EntitySink, Header, LineEnds, MimeError, SmimeType, clear_signed_header,
    opaque_header, signature_part_header,
};

/// Everything that a reader said, pieces put together.
#[derive(Debug, Default, PartialEq)]
struct Opened {
    header: Vec<u8>,
    carrier: Option<Carrier>,
    cms: Vec<u8>,
    content: Vec<u8>,
    content_end: Option<LineEnds>,
}

impl EntitySink for Opened {
    type Error = MimeError;

    fn carrier(&mut self, header: &Header, carrier: Carrier) -> Result<(), MimeError> {
        assert!(self.carrier.is_none() && self.cms.is_empty() && self.content.is_empty());
        self.header = header.raw().to_vec();
        self.carrier = Some(carrier);
        Ok(())
    }

    fn cms(&mut self, bytes: &[u8]) -> Result<(), MimeError> {
        let is_clear = matches!(self.carrier, Some(Carrier::MultipartSigned { .. }));
        assert!(self.carrier.is_some() && is_clear == self.content_end.is_some());
        self.cms.extend_from_slice(bytes);
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), MimeError> {
        assert!(matches!(self.carrier, Some(Carrier::MultipartSigned { .. })) && self.content_end.is_none());
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    fn content_end(&mut self, line_ends: LineEnds) -> Result<(), MimeError> {
        assert!(self.content_end.replace(line_ends).is_none());
        Ok(())
    }
}

fn open_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Opened, MimeError> {
    let mut opened = Opened::default();
    let mut reader = EntityReader::new(&Limits::default());
    for piece in pieces {
        reader.push(piece, &mut opened)?;
    }
    reader.end(&mut opened)?;
    Ok(opened)
}

/// Opens a message whole, cut in two at every position, and byte by byte: always with the same result.
fn open(message: impl AsRef<[u8]>) -> Result<Opened, MimeError> {
    let message = message.as_ref();
    let whole = open_pieces([message]);
    assert_eq!(open_pieces(message.chunks(1)), whole, "byte by byte");
    for cut in 0..=message.len() {
        let (first, second) = message.split_at(cut);
        assert_eq!(open_pieces([first, second]), whole, "cut at {cut}");
    }
    whole
}

/// Something that looks like a CMS object from far away.
fn cms(len: usize) -> Vec<u8> {
    (0..len)
        .map(|position| {
            if position == 0 {
                0x30
            } else {
                u8::try_from(position % 251).unwrap()
            }
        })
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    let (mut encoder, mut out) = (Base64Encoder::new(), Vec::new());
    encoder.push(bytes, &mut out);
    encoder.end(&mut out);
    String::from_utf8(out).unwrap()
}

fn clear(content: &str, boundary: &str) -> String {
    format!(
        "From: a@example.org\r\nContent-Type: multipart/signed; micalg=\"sha-256,SHA512,md5\";\r\n \
         protocol=\"application/x-pkcs7-signature\"; boundary=\"{boundary}\"\r\n\r\nThis is S/MIME.\r\n\
         --{boundary}\r\n{content}\r\n--{boundary}\r\nContent-Type: application/pkcs7-signature\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--{boundary}--\r\nEpilogue\r\n",
        base64(&cms(100))
    )
}

#[test]
fn pkcs7_mime_is_opened_whatever_it_is_called_and_however_it_is_encoded() {
    let object = cms(200);
    let text = base64(&object);
    let lf = text.replace("\r\n", "\n");
    let one_line = text.replace("\r\n", "");
    for (fields, body) in [
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64",
            &text,
        ),
        (
            "content-type: APPLICATION/X-PKCS7-MIME; smime-type=\"Enveloped-Data\"\r\ncontent-transfer-encoding: BASE64",
            &lf,
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: 7bit",
            &text,
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data",
            &one_line,
        ),
    ] {
        let opened = open(format!("Subject: x\r\n{fields}\r\n\r\n{body}")).unwrap();
        assert_eq!(opened.cms, object);
        assert!(opened.header.starts_with(b"Subject: x\r\n") && !opened.header.ends_with(b"\r\n\r\n"));
        assert!(matches!(
            opened.carrier,
            Some(Carrier::Cms {
                smime_type: Some(SmimeType::EnvelopedData),
                ..
            })
        ));
        assert_eq!((opened.content.as_slice(), opened.content_end), (&b""[..], None));
    }
    let binary = [
        b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: binary\n\n".as_slice(),
        &object,
    ]
    .concat();
    let opened = open(binary).unwrap();
    assert_eq!(opened.cms, object);
    assert_eq!(
        opened.carrier,
        Some(Carrier::Cms {
            smime_type: None,
            media_type: "application/pkcs7-mime".to_owned()
        })
    );
}

#[test]
fn an_attachment_named_p7m_is_opened() {
    for fields in [
        "Content-Type: application/octet-stream; name=\"SMIME.P7M\"",
        "Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=smime.p7m",
        "Content-Type: application/octet-stream\nContent-Disposition: attachment;\n filename*=utf-8''smime%2Ep7m",
    ] {
        let message = format!("{fields}\nContent-Transfer-Encoding: base64\n\n{}", base64(&cms(50)));
        let opened = open(message).unwrap();
        assert_eq!(opened.cms, cms(50));
        assert!(matches!(opened.carrier, Some(Carrier::Cms { smime_type: None, .. })));
    }
}

#[test]
fn a_bare_object_and_pem_are_opened() {
    let object = cms(150);
    assert_eq!(open(&object).unwrap().cms, object);
    for (label, end) in [("CMS", "\n"), ("PKCS7", "\r\n")] {
        let text = base64(&object).replace("\r\n", end);
        let pem = format!("-----BEGIN {label}-----{end}{text}-----END {label}-----{end}trailing");
        let opened = open(&pem).unwrap();
        assert_eq!(
            (opened.cms.as_slice(), opened.header.as_slice()),
            (object.as_slice(), &b""[..])
        );
        let opened = open(format!("Content-Type: application/pkcs7-mime{end}{end}{pem}")).unwrap();
        assert_eq!(opened.cms, object);
    }
}

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
fn what_is_no_smime_message_is_refused_by_name() {
    let signature = "Content-Type: application/pkcs7-signature\r\n";
    let cases: [(String, &str); 16] = [
        (String::new(), "the body is empty"),
        (
            "Subject: x\r\n\r\nHello".to_owned(),
            "`text/plain`, which is no S/MIME message",
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned(),
            "`multipart/mixed`",
        ),
        (
            "Content-Type: application/pkcs7-mime\r\n\r\n \r\n".to_owned(),
            "the body is empty",
        ),
        ("Content-Type: application/pkcs7-mime".to_owned(), "the body is empty"),
        (
            "Content-Type: application/pkcs7-mime\r\n\r\nHello".to_owned(),
            "neither base64 nor BER",
        ),
        (
            "Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nMII="
                .to_owned(),
            "`quoted-printable`; only base64 and binary",
        ),
        (
            "Content-Type: application/pkcs7-mime\r\nContent-Type: text/plain\r\n\r\n".to_owned(),
            "more than one Content-Type",
        ),
        (
            "Content-Type: multipart/signed\r\n\r\n".to_owned(),
            "boundary parameter is missing",
        ),
        (
            clear("x", "b").replace("x-pkcs7", "pgp"),
            "signed with `application/pgp-signature`",
        ),
        (
            clear("x", "b").replace(signature, ""),
            "second part of the multipart/signed message is `text/plain`",
        ),
        (clear("x", "b").replace("--b--", "--b"), "exactly two parts"),
        (
            clear("x", "b").replace("x\r\n--b\r\n", "x\r\n--b--\r\n"),
            "this one has one",
        ),
        (
            "not a header\r\n\r\n".to_owned(),
            "line 1 of the header section of the message is no header field",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n".to_owned(),
            "neither with BEGIN CMS",
        ),
        ("-----BEGIN CMS-----\nMIIx\n".to_owned(), "END line is missing"),
    ];
    for (message, expected) in cases {
        let error = open(&message).unwrap_err().to_string();
        assert!(error.contains(expected), "{message}: {error}");
    }
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
fn garbage_gives_errors_and_nothing_else() {
    let mut state = 7_u32;
    for _ in 0..2000 {
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let mut message = clear("Content-Type: text/plain\r\n\r\nHello\r\n", "b").into_bytes();
        let bytes: Vec<u8> = std::iter::repeat_with(next).take(8).collect();
        for pair in bytes.chunks(2) {
            let at = usize::from(pair[0]) * message.len() / 256;
            message[at] = pair[1];
        }
        assert_eq!(open_pieces(message.chunks(3)), open_pieces([message.as_slice()]));
    }
}

#[test]
fn what_the_builders_write_is_what_the_reader_reads() {
    for smime_type in [
        SmimeType::SignedData,
        SmimeType::EnvelopedData,
        SmimeType::AuthEnvelopedData,
        SmimeType::CompressedData,
        SmimeType::CertsOnly,
    ] {
        let fields = String::from_utf8(opaque_header(smime_type)).unwrap();
        let file_name = format!("filename=\"{}\"\r\n\r\n", smime_type.file_name());
        assert!(
            fields.ends_with(&file_name) && fields.lines().all(|line| line.len() <= 76),
            "{fields}"
        );
        let opened = open(fields + &base64(&cms(10))).unwrap();
        assert!(matches!(opened.carrier, Some(Carrier::Cms { smime_type: Some(read), .. }) if read == smime_type));
        assert_eq!(opened.cms, cms(10));
    }
    let boundary = "----=_boundary (1)";
    let header = clear_signed_header("sha-256,sha-512", boundary);
    let signature = signature_part_header();
    let message = [
        header.as_slice(),
        format!("--{boundary}\r\n\r\nx\r\n--{boundary}\r\n").as_bytes(),
        signature.as_slice(),
        base64(&cms(10)).as_bytes(),
        format!("--{boundary}--\r\n").as_bytes(),
    ]
    .concat();
    let opened = open(message).unwrap();
    assert_eq!((opened.content, opened.cms), (b"\r\nx".to_vec(), cms(10)));
    assert_eq!(
        opened.carrier,
        Some(Carrier::MultipartSigned {
            micalg: vec![DigestAlgorithm::Sha256, DigestAlgorithm::Sha512],
            protocol: Some("application/pkcs7-signature".to_owned()),
        })
    );
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
