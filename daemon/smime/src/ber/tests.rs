//! The reader and the writer of the outer layers, on every form of BER that peers write: how the tests write it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod framing;
mod refused;

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
