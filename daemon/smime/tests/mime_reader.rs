//! Opening: every form in which S/MIME arrives, cut at every position, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![allow(unreachable_pub, dead_code, reason = "tests")]

use chancery_smime::algorithm::DigestAlgorithm;
use chancery_smime::mime::{Carrier, SmimeType, clear_signed_header, opaque_header, signature_part_header};

#[path = "support/opened.rs"]
mod opened;

use opened::{base64, clear, cms, open, open_pieces};

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
