//! What carries the octets from the MIME reader through the CMS reader to the layer, for the length of one call.

use super::layer::{EnvelopedReader, Visitor};
use super::{DecryptError, Output};
use crate::ber::CmsReader;
use crate::limits::Limits;
use crate::mime::{Carrier, EntitySink, Header, LineEnds};

pub(super) struct Sink<'a> {
    pub(super) cms: &'a mut CmsReader,
    pub(super) layer: &'a mut EnvelopedReader,
    pub(super) limits: &'a Limits,
    pub(super) out: &'a mut Output,
}

impl Sink<'_> {
    /// The CMS object is complete.
    pub(super) fn end(self) -> Result<(), DecryptError> {
        self.cms.end(&mut Visitor {
            layer: self.layer,
            limits: self.limits,
            out: self.out,
        })
    }
}

impl EntitySink for Sink<'_> {
    type Error = DecryptError;

    fn carrier(&mut self, header: &Header, carrier: Carrier) -> Result<(), DecryptError> {
        match carrier {
            Carrier::Cms { .. } => {
                self.layer.begin(header);
                Ok(())
            }
            Carrier::MultipartSigned { .. } => Err(DecryptError::MultipartSigned),
        }
    }

    fn cms(&mut self, bytes: &[u8]) -> Result<(), DecryptError> {
        self.cms.push(
            bytes,
            &mut Visitor {
                layer: self.layer,
                limits: self.limits,
                out: self.out,
            },
        )
    }

    fn content(&mut self, _bytes: &[u8]) -> Result<(), DecryptError> {
        Err(DecryptError::MultipartSigned)
    }

    fn content_end(&mut self, _line_ends: LineEnds) -> Result<(), DecryptError> {
        Err(DecryptError::MultipartSigned)
    }
}
