//! The reader and the writer of the outer layers, on every form of BER that peers write.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use const_oid::ObjectIdentifier;

use super::encode::push_tlv;
use super::*;
use crate::limits::Limits;

const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");

fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_tlv(tag, contents, &mut out);
    out
}

/// Writes down what it is told.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Record {
    content_type: Option<ObjectIdentifier>,
    elements: Vec<(Field, Vec<u8>)>,
    content: Vec<u8>,
    content_end: Option<bool>,
}

impl CmsVisitor for Record {
    type Error = BerError;

    fn content_type(&mut self, oid: ObjectIdentifier) -> Result<(), BerError> {
        assert_eq!(self.content_type.replace(oid), None);
        Ok(())
    }

    fn element(&mut self, field: Field, der: &[u8]) -> Result<(), BerError> {
        self.elements.push((field, der.to_vec()));
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), BerError> {
        assert_eq!(self.content_end, None);
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    fn content_end(&mut self, present: bool) -> Result<(), BerError> {
        assert_eq!(self.content_end.replace(present), None);
        Ok(())
    }
}

fn read_with(limits: &Limits, pieces: &[&[u8]]) -> Result<Record, BerError> {
    let mut record = Record::default();
    let mut reader = CmsReader::new(limits);
    for piece in pieces {
        reader.push(piece, &mut record)?;
    }
    reader.end(&mut record)?;
    Ok(record)
}

fn read(bytes: &[u8]) -> Result<Record, BerError> {
    read_with(&Limits::default(), &[bytes])
}

/// How the test writes constructed elements.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Definite,
    LongLengths,
    Indefinite,
}

fn wrap(form: Form, tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let contents = parts.concat();
    match form {
        Form::Definite => tlv(tag, &contents),
        Form::LongLengths => {
            let mut out = vec![tag, 0x88];
            out.extend_from_slice(&(contents.len() as u64).to_be_bytes());
            out.extend_from_slice(&contents);
            out
        }
        Form::Indefinite => [vec![tag, 0x80], contents, vec![0, 0]].concat(),
    }
}

fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    tlv(0x06, oid.as_bytes())
}

/// The ways to write "hello world" as a string with primitive tag `tag`.
fn strings(tag: u8) -> Vec<Vec<u8>> {
    let piece = |text: &str| tlv(0x04, text.as_bytes());
    let mut all = vec![tlv(tag, b"hello world")];
    for form in [Form::Definite, Form::LongLengths, Form::Indefinite] {
        all.push(wrap(form, tag | 0x20, &[piece("hello"), piece(""), piece(" world")]));
        for inner in [Form::Definite, Form::Indefinite] {
            let nested = wrap(
                inner,
                0x24,
                &[piece(" wor"), wrap(form, 0x24, &[piece("l")]), piece("d")],
            );
            all.push(wrap(
                form,
                tag | 0x20,
                &[piece("hello"), wrap(inner, 0x24, &[]), nested],
            ));
        }
    }
    all
}

fn signed(form: Form, content: Option<&[u8]>) -> Vec<u8> {
    let content = content
        .map(|content| wrap(form, 0xa0, &[content.to_vec()]))
        .unwrap_or_default();
    let certificates = wrap(form, 0xa0, &[wrap(form, 0x30, &[tlv(0x02, &[1])])]);
    let signer_infos = wrap(
        form,
        0x31,
        &[wrap(form, 0x30, &[tlv(0x04, b"s"), wrap(form, 0xa0, &[])])],
    );
    let body = [
        tlv(0x02, &[1]),
        wrap(form, 0x31, &[]),
        wrap(form, 0x30, &[oid(ID_DATA), content]),
        certificates,
        signer_infos,
    ];
    wrap(
        form,
        0x30,
        &[oid(ID_SIGNED_DATA), wrap(form, 0xa0, &[wrap(form, 0x30, &body)])],
    )
}

fn signed_record(content: Option<&[u8]>) -> Record {
    Record {
        content_type: Some(ID_SIGNED_DATA),
        elements: vec![
            (Field::Version, vec![2, 1, 1]),
            (Field::DigestAlgorithms, vec![0x31, 0]),
            (Field::ContentType, oid(ID_DATA)),
            (Field::Certificates, tlv(0xa0, &tlv(0x30, &tlv(0x02, &[1])))),
            (
                Field::SignerInfos,
                tlv(0x31, &tlv(0x30, &[tlv(0x04, b"s"), tlv(0xa0, &[])].concat())),
            ),
        ],
        content: content.unwrap_or_default().to_vec(),
        content_end: Some(content.is_some()),
    }
}

fn auth_enveloped(form: Form, content: &[u8]) -> Vec<u8> {
    let algorithm = wrap(form, 0x30, &[oid(ID_DATA)]);
    let body = [
        tlv(0x02, &[0]),
        wrap(form, 0xa0, &[]),
        wrap(form, 0x31, &[wrap(form, 0x30, &[])]),
        wrap(form, 0x30, &[oid(ID_DATA), algorithm, content.to_vec()]),
        wrap(form, 0xa1, &[wrap(form, 0x30, &[])]),
        wrap(form, 0x24, &[tlv(0x04, b"ma"), tlv(0x04, b"c")]),
        wrap(form, 0xa2, &[]),
    ];
    wrap(
        form,
        0x30,
        &[
            oid(grammar::ID_AUTH_ENVELOPED_DATA),
            wrap(form, 0xa0, &[wrap(form, 0x30, &body)]),
        ],
    )
}

#[test]
fn every_framing_of_signed_data_gives_the_same_parts() {
    for form in [Form::Definite, Form::LongLengths, Form::Indefinite] {
        for content in strings(0x04) {
            assert_eq!(
                read(&signed(form, Some(&content))).unwrap(),
                signed_record(Some(b"hello world"))
            );
        }
        assert_eq!(read(&signed(form, None)).unwrap(), signed_record(None));
    }
}

#[test]
fn every_framing_of_auth_enveloped_data_gives_the_same_parts() {
    let expected = read(&auth_enveloped(Form::Definite, &tlv(0x80, b"hello world"))).unwrap();
    assert_eq!(expected.elements[7], (Field::UnprotectedAttrs, vec![0xa2, 0]));
    assert_eq!(expected.elements[6], (Field::Mac, tlv(0x04, b"mac")));
    assert_eq!(expected.elements[5], (Field::AuthAttrs, vec![0xa1, 2, 0x30, 0]));
    for form in [Form::Definite, Form::LongLengths, Form::Indefinite] {
        for content in strings(0x80) {
            assert_eq!(read(&auth_enveloped(form, &content)).unwrap(), expected);
        }
    }
}

#[test]
fn it_does_not_matter_where_the_input_is_cut() {
    for form in [Form::Definite, Form::Indefinite] {
        for content in strings(0x80) {
            let bytes = auth_enveloped(form, &content);
            let expected = read(&bytes).unwrap();
            let octets: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read_with(&Limits::default(), &octets).unwrap(), expected);
            for cut in 0..bytes.len() {
                let (one, other) = bytes.split_at(cut);
                assert_eq!(read_with(&Limits::default(), &[one, other]).unwrap(), expected);
            }
        }
    }
}

#[test]
fn content_is_a_slice_of_the_input() {
    struct Addresses(Vec<usize>);
    impl CmsVisitor for Addresses {
        type Error = BerError;
        fn content_type(&mut self, _: ObjectIdentifier) -> Result<(), BerError> {
            Ok(())
        }
        fn element(&mut self, _: Field, _: &[u8]) -> Result<(), BerError> {
            Ok(())
        }
        fn content(&mut self, bytes: &[u8]) -> Result<(), BerError> {
            self.0.push(bytes.as_ptr().addr());
            Ok(())
        }
        fn content_end(&mut self, _: bool) -> Result<(), BerError> {
            Ok(())
        }
    }
    let bytes = signed(Form::Definite, Some(&tlv(0x04, b"hello world")));
    let at = bytes.windows(11).position(|window| window == b"hello world").unwrap();
    let mut addresses = Addresses(Vec::new());
    CmsReader::new(&Limits::default()).push(&bytes, &mut addresses).unwrap();
    assert_eq!(addresses.0, [bytes[at..].as_ptr().addr()]);
}

#[test]
fn a_truncated_object_is_refused_wherever_it_ends() {
    for form in [Form::Definite, Form::Indefinite] {
        let bytes = signed(form, Some(&strings(0x04)[3]));
        for length in 0..bytes.len() {
            assert_eq!(
                read(&bytes[..length]),
                Err(BerError::Truncated { offset: length as u64 })
            );
        }
    }
}

#[test]
fn padding_behind_the_object_is_passed_over_and_anything_else_is_refused() {
    for form in [Form::Definite, Form::Indefinite] {
        let bytes = signed(form, None);
        let padded = [bytes.as_slice(), b"\0\0\r\n \t\n"].concat();
        assert_eq!(read(&padded).unwrap(), signed_record(None));
        let spoilt = [bytes.as_slice(), b"\r\n0"].concat();
        assert_eq!(
            read(&spoilt),
            Err(BerError::TrailingData {
                offset: bytes.len() as u64 + 2
            })
        );
    }
}

#[test]
fn no_bit_flip_makes_the_reader_panic() {
    for form in [Form::Definite, Form::Indefinite] {
        let bytes = auth_enveloped(form, &strings(0x80)[5]);
        for bit in 0..bytes.len() * 8 {
            let mut spoilt = bytes.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            let whole = read(&spoilt);
            let octets: Vec<&[u8]> = spoilt.chunks(1).collect();
            assert_eq!(read_with(&Limits::default(), &octets), whole);
        }
    }
}

#[test]
fn multi_byte_tags_are_refused() {
    assert_eq!(
        read(&[0x3f, 0x81, 0x01, 0x00]),
        Err(BerError::MultiByteTag { offset: 0 })
    );
    let inside = wrap(Form::Indefinite, 0x30, &[oid(ID_SIGNED_DATA), vec![0xbf, 0x20, 0x80]]);
    assert_eq!(read(&inside), Err(BerError::MultiByteTag { offset: 13 }));
}

#[test]
fn reserved_lengths_and_indefinite_primitives_are_refused() {
    assert_eq!(read(&[0x30, 0xff]), Err(BerError::InvalidLength { offset: 1 }));
    assert_eq!(read(&[0x30, 0x89]), Err(BerError::InvalidLength { offset: 1 }));
    assert_eq!(
        read(&[0x30, 0x80, 0x06, 0x80]),
        Err(BerError::InvalidLength { offset: 3 })
    );
}

#[test]
fn an_element_longer_than_the_one_around_it_is_refused() {
    let mut bytes = signed(Form::Definite, Some(&tlv(0x04, b"hello world")));
    let at = bytes.windows(11).position(|window| window == b"hello world").unwrap();
    bytes[at - 1] += 1;
    assert_eq!(read(&bytes), Err(BerError::Overrun { offset: at as u64 - 2 }));
    let huge = [0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(read(&huge), Err(BerError::Overrun { offset: 0 }));
}

#[test]
fn an_end_of_contents_in_a_definite_element_is_refused() {
    let bytes = tlv(0x30, &[0, 0]);
    assert!(matches!(
        read(&bytes),
        Err(BerError::Unexpected {
            tag: 0,
            offset: 2,
            within: "ContentInfo"
        })
    ));
}

#[test]
fn elements_out_of_order_or_missing_are_refused() {
    let wrong = tlv(0x30, &[oid(ID_SIGNED_DATA), tlv(0x31, &[])].concat());
    assert!(matches!(
        read(&wrong),
        Err(BerError::Unexpected {
            tag: 0x31,
            within: "ContentInfo",
            ..
        })
    ));
    let body = tlv(0x30, &tlv(0x02, &[1]));
    let short = tlv(0x30, &[oid(ID_SIGNED_DATA), tlv(0xa0, &body)].concat());
    assert!(matches!(
        read(&short),
        Err(BerError::Incomplete {
            within: "SignedData",
            ..
        })
    ));
}

#[test]
fn other_content_types_are_refused_by_name() {
    let bytes = tlv(0x30, &[oid(ID_DATA), tlv(0xa0, &tlv(0x04, b"x"))].concat());
    assert_eq!(read(&bytes), Err(BerError::UnsupportedContentType(ID_DATA)));
}

#[test]
fn nesting_is_bounded() {
    let limits = Limits {
        nesting: 8,
        ..Limits::default()
    };
    let mut string = tlv(0x04, b"x");
    for _ in 0..3 {
        string = wrap(Form::Indefinite, 0x24, &[string]);
    }
    let fits = signed(Form::Indefinite, Some(&string));
    assert!(read_with(&limits, &[&fits]).is_ok());
    let deep = signed(Form::Indefinite, Some(&wrap(Form::Indefinite, 0x24, &[string])));
    assert_eq!(read_with(&limits, &[&deep]), Err(BerError::TooDeep { limit: 8 }));
    let endless = [&[0x30, 0x80][..]; 100_000].concat();
    assert_eq!(to_definite(&endless, &limits), Err(BerError::TooDeep { limit: 8 }));
}

#[test]
fn collected_elements_are_bounded_and_content_is_not() {
    let limits = Limits {
        cms_element_len: 64,
        ..Limits::default()
    };
    let content = tlv(0x04, &[7; 10_000]);
    let recipients = |form, count: usize| wrap(form, 0x31, &vec![tlv(0x30, &[]); count]);
    for form in [Form::Definite, Form::Indefinite] {
        assert_eq!(
            read_with(&limits, &[&signed(form, Some(&content))])
                .unwrap()
                .content
                .len(),
            10_000
        );
        let enveloped = |count| {
            let parts = [tlv(0x02, &[0]), recipients(form, count)];
            let body = wrap(Form::Indefinite, 0x30, &parts);
            wrap(
                Form::Indefinite,
                0x30,
                &[oid(grammar::ID_ENVELOPED_DATA), wrap(Form::Indefinite, 0xa0, &[body])],
            )
        };
        assert_eq!(
            read_with(&limits, &[&enveloped(50)]),
            Err(BerError::ElementTooLong {
                element: "recipientInfos",
                limit: 64
            })
        );
        assert!(matches!(
            read_with(&limits, &[&enveloped(20)]),
            Err(BerError::Incomplete { .. })
        ));
    }
}

#[test]
fn a_malformed_certificate_is_handed_on_as_received() {
    let certificates = tlv(0xa0, &tlv(0x30, &[0x02, 0x7f]));
    let parts = [
        tlv(0x02, &[1]),
        tlv(0x31, &[]),
        tlv(0x30, &oid(ID_DATA)),
        certificates.clone(),
        tlv(0x31, &[]),
    ];
    let bytes = tlv(
        0x30,
        &[oid(ID_SIGNED_DATA), tlv(0xa0, &tlv(0x30, &parts.concat()))].concat(),
    );
    assert!(
        read(&bytes)
            .unwrap()
            .elements
            .contains(&(Field::Certificates, certificates))
    );
}

#[test]
fn to_definite_keeps_values_and_rejects_leftovers() {
    let limits = Limits::default();
    let der = signed(Form::Definite, Some(&tlv(0x04, &[3; 300])));
    assert_eq!(to_definite(&der, &limits).unwrap(), der);
    for form in [Form::LongLengths, Form::Indefinite] {
        let string = wrap(
            form,
            0x24,
            &[tlv(0x04, &[3; 100]), wrap(form, 0x24, &[tlv(0x04, &[3; 200])])],
        );
        assert_eq!(to_definite(&signed(form, Some(&string)), &limits).unwrap(), der);
    }
    assert!(matches!(
        to_definite(&[0x05, 0, 0], &limits),
        Err(BerError::TrailingData { offset: 2 })
    ));
    assert!(to_definite(&[0x30, 0x80, 0x05, 0], &limits).is_err());
    assert!(to_definite(&[0x30, 2, 0, 0], &limits).is_err());
    assert!(to_definite(&[], &limits).is_err());
}

#[test]
fn what_the_writer_writes_the_reader_reads() {
    let mut out = Vec::new();
    let mut writer = CmsWriter::start_signed(1, &[0x31, 0], ID_DATA, false, &mut out);
    let content: Vec<u8> = (0..200_000u32).map(|n| n.to_le_bytes()[0]).collect();
    writer.content(&content[..100_000], &mut out);
    writer.piece_head(100_000, &mut out);
    out.extend_from_slice(&content[100_000..]);
    writer.end_content(&mut out);
    writer.raw(&tlv(0x31, &[]), &mut out);
    writer.end(&mut out);
    let record = read(&out).unwrap();
    assert_eq!(record.content, content);
    assert_eq!(record.elements.last().unwrap(), &(Field::SignerInfos, vec![0x31, 0]));

    let mut out = Vec::new();
    let mut writer = CmsWriter::start_auth_enveloped(&tlv(0x31, &[]), ID_DATA, &tlv(0x30, &[]), &mut out);
    writer.content(b"secret", &mut out);
    writer.end_content(&mut out);
    writer.raw(&tlv(0x04, b"mac"), &mut out);
    writer.end(&mut out);
    let record = read(&out).unwrap();
    assert_eq!(record.content, b"secret");
    assert_eq!(record.content_end, Some(true));

    let mut out = Vec::new();
    let mut writer = CmsWriter::start_enveloped(2, &tlv(0x31, &[]), ID_DATA, &tlv(0x30, &[]), &mut out);
    writer.content(b"secret", &mut out);
    writer.end(&mut out);
    assert_eq!(read(&out).unwrap().elements[0], (Field::Version, vec![2, 1, 2]));

    let mut out = Vec::new();
    let mut writer = CmsWriter::start_signed(1, &[0x31, 0], ID_DATA, true, &mut out);
    writer.end_content(&mut out);
    writer.raw(&tlv(0x31, &[]), &mut out);
    writer.end(&mut out);
    assert_eq!(read(&out).unwrap().content_end, Some(false));
}
