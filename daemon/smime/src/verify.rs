//! Verifying a signed message, clear or opaque, while it passes. Here is the state machine; what it finds is put together
//! in the files below. Whether a certificate is to be trusted is not decided here.
//!
//! ```text
//!   bytes ──► mime::EntityReader ──► Passing ──┬─► ContentDigest   the signed entity
//!                                              └─► ber::CmsReader ──► SignedData
//!   finish: SignedData × ContentDigest ──► checks ──► SignedReport
//! ```

mod attributes;
mod authors;
mod checks;
mod content_digest;
mod passing;
mod signed_data;
mod signer_info;

use const_oid::ObjectIdentifier;

use self::authors::Authors;
use self::checks::Evidence;
use self::passing::{Passing, Sink};
use crate::ber::BerError;
use crate::limits::Limits;
use crate::mime::{EntityReader, MimeError};
use crate::report::SignedReport;

/// What happens to the signed content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Only the report is wanted.
    Discard,
    /// The outer header without Content-* and MIME-Version, a new MIME-Version if there is an outer header, and the signed
    /// entity as it was signed.
    Emit,
}

/// How to verify.
#[derive(Clone, Debug)]
pub struct Options {
    /// What happens to the signed content.
    pub content: Content,
    /// Bounds on what is read.
    pub limits: Limits,
}

/// Why there is no report. Trying again with the same message does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The message is malformed as MIME, or is no S/MIME message.
    #[error(transparent)]
    Mime(#[from] MimeError),
    /// The CMS object is malformed or beyond the limits.
    #[error(transparent)]
    Ber(#[from] BerError),
    /// The CMS object is something else.
    #[error("the message is not signed: its CMS object is of type {0}, not SignedData")]
    NotSigned(ObjectIdentifier),
    /// An element of SignedData cannot be read.
    #[error("the signature is malformed: its {element} cannot be read")]
    Malformed {
        /// Its name in the standard.
        element: &'static str,
    },
    /// More of something than the limits allow.
    #[error("the signature has more than {limit} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A multipart/signed whose signature has content of its own: two contents, and readers would disagree.
    #[error("the signature of the multipart/signed message carries content of its own, which RFC 8551 forbids")]
    TwoContents,
    /// A detached signature on its own, or a bag of certificates.
    #[error(
        "the CMS object has no content: it is a detached signature without its message, or carries certificates only"
    )]
    NoContent,
}

/// A message that is being verified.
#[derive(Debug)]
pub struct Verifying {
    reader: EntityReader,
    passing: Passing,
}

impl Verifying {
    /// Before the first byte of the message.
    #[must_use]
    pub fn begin(options: Options) -> Self {
        Self {
            reader: EntityReader::new(&options.limits),
            passing: Passing::new(options),
        }
    }

    /// The next bytes of the message. Signed content is appended to `out`, if it was asked for; nothing may be done with it
    /// until the report is there.
    ///
    /// # Errors
    /// [`VerifyError`]; the machine is of no use afterwards.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), VerifyError> {
        self.reader.push(
            input,
            &mut Sink {
                passing: &mut self.passing,
                out,
            },
        )
    }

    /// The message is complete: the verdict, which is about everything that came out.
    ///
    /// # Errors
    /// [`VerifyError`] if the message is truncated or its signature cannot be read.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<SignedReport, VerifyError> {
        self.reader.end(&mut Sink {
            passing: &mut self.passing,
            out,
        })?;
        let passed = self.passing.end()?;
        let (certificates, unreadable_certificates) = passed.signed_data.certificates(&passed.limits)?;
        let signer_infos = passed.signed_data.signer_infos(&passed.limits)?;
        let evidence = Evidence {
            content_type: passed.signed_data.content_type()?,
            digests: &passed.digests,
            looks_like_attributes: passed.looks_like_attributes,
            certificates: &certificates,
            authors: &Authors::of(&passed.header, &passed.content_header),
        };
        let signers = signer_infos
            .iter()
            .map(|signer| checks::report(signer, &evidence))
            .collect();
        Ok(SignedReport {
            media_type: passed.media_type,
            signers,
            unreadable_certificates,
        })
    }
}

#[cfg(test)]
mod tests;
