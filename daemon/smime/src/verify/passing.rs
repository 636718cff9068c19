//! The message while it passes: content goes to the digests and, if asked for, to the caller; the CMS object goes through
//! the BER reader into [`SignedData`].

use const_oid::ObjectIdentifier;

use super::authors::{ContentHeader, Section};
use super::content_digest::{ContentDigest, Digests};
use super::signed_data::SignedData;
use super::{Content, Options, VerifyError};
use crate::algorithm::DigestAlgorithm;
use crate::ber::{CmsReader, CmsVisitor, Field, ID_SIGNED_DATA};
use crate::limits::Limits;
use crate::mime::{Carrier, EntitySink, Header, LineEnds};

/// What has passed so far.
#[derive(Debug)]
pub(super) struct Passing {
    options: Options,
    cms: CmsReader,
    received: Received,
    content_header: ContentHeader,
}

#[derive(Debug, Default)]
struct Received {
    header: Option<Header>,
    clear: bool,
    digest: Option<ContentDigest>,
    signed_data: SignedData,
}

/// The message once all of it has passed.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) limits: Limits,
    pub(super) header: Header,
    pub(super) content_header: Section,
    pub(super) media_type: &'static str,
    pub(super) digests: Digests,
    pub(super) looks_like_attributes: bool,
    pub(super) signed_data: SignedData,
}

impl Passing {
    pub(super) fn new(options: Options) -> Self {
        Self {
            cms: CmsReader::new(&options.limits),
            content_header: ContentHeader::new(&options.limits),
            options,
            received: Received::default(),
        }
    }

    pub(super) fn end(mut self) -> Result<Passed, VerifyError> {
        // The carrier is announced before the reader ends without an error; without one nothing was signed.
        let header = self.received.header.take().ok_or(VerifyError::NoContent)?;
        let mut nowhere = Vec::new();
        self.cms.end(&mut Visitor {
            received: &mut self.received,
            content_header: &mut self.content_header,
            content: Content::Discard,
            out: &mut nowhere,
        })?;
        let (digests, looks_like_attributes) = self.received.digest.ok_or(VerifyError::NoContent)?.finish();
        Ok(Passed {
            limits: self.options.limits,
            header,
            content_header: self.content_header.end(),
            media_type: if self.received.clear {
                "multipart/signed"
            } else {
                "application/pkcs7-mime"
            },
            digests,
            looks_like_attributes,
            signed_data: self.received.signed_data,
        })
    }
}

/// What the MIME reader talks to: the state and the caller's buffer.
pub(super) struct Sink<'a> {
    pub(super) passing: &'a mut Passing,
    pub(super) out: &'a mut Vec<u8>,
}

impl EntitySink for Sink<'_> {
    type Error = VerifyError;

    fn carrier(&mut self, header: &Header, carrier: Carrier) -> Result<(), VerifyError> {
        let received = &mut self.passing.received;
        if let Carrier::MultipartSigned { micalg, .. } = carrier {
            received.clear = true;
            received.digest = Some(ContentDigest::for_clear(&announced(&micalg)));
        }
        if self.passing.options.content == Content::Emit && !header.raw().is_empty() {
            self.out.extend_from_slice(&outer_header(header));
        }
        received.header = Some(header.clone());
        Ok(())
    }

    fn cms(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        let Passing {
            options,
            cms,
            received,
            content_header,
        } = &mut *self.passing;
        cms.push(
            bytes,
            &mut Visitor {
                received,
                content_header,
                content: options.content,
                out: self.out,
            },
        )
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        self.passing.content_header.push(bytes);
        if let Some(digest) = &mut self.passing.received.digest {
            digest.update(bytes);
        }
        if self.passing.options.content == Content::Emit {
            self.out.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn content_end(&mut self, _line_ends: LineEnds) -> Result<(), VerifyError> {
        Ok(())
    }
}

/// The header that goes in front of the signed entity, in the line ends that the message has.
fn outer_header(header: &Header) -> Vec<u8> {
    let mut fields = [header.outer_fields().as_slice(), b"MIME-Version: 1.0\r\n"].concat();
    if header.line_ends() == LineEnds::Lf {
        // Fields have no CR but those of the line ends.
        fields.retain(|octet| *octet != b'\r');
    }
    fields
}

/// The digests to run over a clear-signed entity: what micalg announces, and SHA-256, which is what most signers use who
/// announce something else. All of them when nothing known is announced.
fn announced(micalg: &[DigestAlgorithm]) -> Vec<DigestAlgorithm> {
    if micalg.is_empty() {
        return DigestAlgorithm::ALL.to_vec();
    }
    [micalg, &[DigestAlgorithm::Sha256]].concat()
}

/// What the BER reader talks to.
struct Visitor<'a> {
    received: &'a mut Received,
    content_header: &'a mut ContentHeader,
    content: Content,
    out: &'a mut Vec<u8>,
}

impl CmsVisitor for Visitor<'_> {
    type Error = VerifyError;

    fn content_type(&mut self, oid: ObjectIdentifier) -> Result<(), VerifyError> {
        if oid == ID_SIGNED_DATA {
            Ok(())
        } else {
            Err(VerifyError::NotSigned(oid))
        }
    }

    fn element(&mut self, field: Field, der: &[u8]) -> Result<(), VerifyError> {
        self.received.signed_data.keep(field, der);
        if field == Field::DigestAlgorithms && !self.received.clear {
            let algorithms = self.received.signed_data.digest_algorithms()?;
            self.received.digest = Some(ContentDigest::for_opaque(&algorithms));
        }
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        if self.received.clear {
            return Err(VerifyError::TwoContents);
        }
        self.content_header.push(bytes);
        if let Some(digest) = &mut self.received.digest {
            digest.update(bytes);
        }
        if self.content == Content::Emit {
            self.out.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn content_end(&mut self, present: bool) -> Result<(), VerifyError> {
        match (self.received.clear, present) {
            (true, true) => Err(VerifyError::TwoContents),
            (false, false) => Err(VerifyError::NoContent),
            (true, false) | (false, true) => Ok(()),
        }
    }
}
