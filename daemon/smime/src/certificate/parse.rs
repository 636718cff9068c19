//! The walk over Certificate and TBSCertificate (RFC 5280, section 4.1) that finds where each field lies. Only structure is
//! looked at here; what a field means is the business of its own file.

use std::ops::Range;
use std::sync::OnceLock;

use der::asn1::AnyRef;
use der::{Decode, Length, Reader, SliceReader, Tag, TagNumber};

use super::extensions::Extensions;
use super::{CertificateError, Inner, addresses, name, public_key, time};

pub(super) fn certificate(der: &[u8]) -> Result<Inner, CertificateError> {
    let mut outer = Cursor::new(der, 0, "Certificate")?;
    let certificate = outer.next("Certificate")?;
    outer.finish("Certificate")?;
    let mut certificate = certificate.enter(Tag::Sequence, "Certificate")?;
    let tbs = certificate.next("tbsCertificate")?;
    certificate.next("signatureAlgorithm")?;
    certificate.next("signatureValue")?;

    let mut tbs = tbs.enter(Tag::Sequence, "tbsCertificate")?;
    if tbs.peek() == Some(context(0)) {
        tbs.next("version")?;
    }
    let serial = tbs.next("serialNumber")?.with_tag(Tag::Integer, "serialNumber")?;
    tbs.next("signature")?;
    let issuer = tbs.next("issuer")?.with_tag(Tag::Sequence, "issuer")?;
    let mut validity = tbs.next("validity")?.enter(Tag::Sequence, "validity")?;
    let not_before = time::read(validity.next("notBefore")?.any, "notBefore")?;
    let not_after = time::read(validity.next("notAfter")?.any, "notAfter")?;
    let subject = tbs.next("subject")?.with_tag(Tag::Sequence, "subject")?;
    let spki = tbs.next("subjectPublicKeyInfo")?;
    let spki_range = spki.whole.clone();

    let mut spki = spki.enter(Tag::Sequence, "subjectPublicKeyInfo")?;
    let key_identifier = spki.next("subjectPublicKeyInfo.algorithm")?;
    let key_bits = spki
        .next("subjectPublicKey")?
        .with_tag(Tag::BitString, "subjectPublicKey")?;
    let mut key_bits_range = key_bits.value.clone();
    // The first content octet of a BIT STRING counts unused bits.
    key_bits_range.start = key_bits_range.end.min(key_bits_range.start.saturating_add(1));
    let key_bits_octets = octets(der, &key_bits_range);

    let mut extensions = Extensions::default();
    while let Some(tag) = tbs.peek() {
        let field = tbs.next("extensions")?;
        if tag == context(3) {
            extensions = Extensions::read(field.any.value());
        }
    }

    Ok(Inner {
        addresses: addresses::collect(
            &extensions.mailboxes,
            &name::email_addresses(octets(der, &subject.whole)),
        ),
        key_algorithm: public_key::algorithm(key_identifier.any, key_bits_octets),
        pss_only: public_key::is_pss_only(key_identifier.any),
        serial: serial.value,
        issuer: issuer.whole,
        subject: subject.whole,
        spki: spki_range,
        key_bits: key_bits_range,
        key_sha1: OnceLock::new(),
        not_before,
        not_after,
        extensions,
        der: der.into(),
    })
}

fn octets<'a>(der: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    der.get(range.clone()).unwrap_or_default()
}

const fn context(number: u32) -> Tag {
    Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(number),
    }
}

/// Reads the elements of one SEQUENCE one after the other, and knows where in the certificate it is.
struct Cursor<'a> {
    reader: SliceReader<'a>,
    base: usize,
}

/// One element and where it lies in the certificate.
struct Element<'a> {
    any: AnyRef<'a>,
    /// With tag and length.
    whole: Range<usize>,
    /// The content octets alone.
    value: Range<usize>,
}

impl<'a> Cursor<'a> {
    fn new(octets: &'a [u8], base: usize, field: &'static str) -> Result<Self, CertificateError> {
        let reader = SliceReader::new(octets).map_err(malformed(field))?;
        Ok(Self { reader, base })
    }

    fn peek(&self) -> Option<Tag> {
        Tag::peek(&self.reader).ok()
    }

    fn next(&mut self, field: &'static str) -> Result<Element<'a>, CertificateError> {
        let start = self.offset(self.reader.position());
        let any = AnyRef::decode(&mut self.reader).map_err(malformed(field))?;
        let end = self.offset(self.reader.position());
        Ok(Element {
            any,
            whole: start..end,
            value: end.saturating_sub(any.value().len())..end,
        })
    }

    fn offset(&self, position: Length) -> usize {
        self.base
            .saturating_add(usize::try_from(position).unwrap_or(usize::MAX))
    }

    fn finish(self, field: &'static str) -> Result<(), CertificateError> {
        self.reader.finish().map_err(malformed(field))
    }
}

impl<'a> Element<'a> {
    fn with_tag(self, tag: Tag, field: &'static str) -> Result<Self, CertificateError> {
        self.any.header().tag().assert_eq(tag).map_err(malformed(field))?;
        Ok(self)
    }

    fn enter(self, tag: Tag, field: &'static str) -> Result<Cursor<'a>, CertificateError> {
        let element = self.with_tag(tag, field)?;
        Cursor::new(element.any.value(), element.value.start, field)
    }
}

fn malformed<E: Into<der::Error>>(field: &'static str) -> impl FnOnce(E) -> CertificateError {
    move |source| CertificateError::Malformed {
        field,
        source: source.into(),
    }
}
