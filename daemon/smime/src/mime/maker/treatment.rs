//! How a body is written once that is decided.

use crate::mime::error::Declared;
use crate::mime::quoted_printable::QuotedPrintableEncoder;
use crate::mime::seven_bit::SevenBitCheck;
use crate::mime::{Base64Decoder, Base64Encoder, CrlfWriter, MimeError, NotSevenBit, PartName, TransferEncoding};

/// How a body is written.
#[derive(Debug)]
pub(super) enum Treatment {
    /// Byte for byte.
    Unchanged,
    /// As it is, with CRLF line ends.
    Lines {
        writer: CrlfWriter,
        check: Option<Check>,
    },
    QuotedPrintable(QuotedPrintableEncoder),
    Base64 {
        encoder: Base64Encoder,
        is_empty: bool,
    },
    /// Base64 in lines that are too long, to base64 in lines that are not.
    Rewrapped {
        decoder: Base64Decoder,
        encoder: Base64Encoder,
        decoded: Vec<u8>,
    },
}

/// Watches over a body that is taken for 7-bit text.
#[derive(Debug)]
pub(super) struct Check {
    lines: SevenBitCheck,
    refusal: Refusal,
}

/// What to say if it is not.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What was seen ahead was 7bit.
    Late {
        part: PartName,
        declared: Declared,
        /// In bytes.
        lookahead: usize,
    },
    /// It is declared to be encoded.
    Encoded { part: PartName, encoding: TransferEncoding },
}

impl Treatment {
    pub(super) fn lines() -> Self {
        Self::Lines {
            writer: CrlfWriter::new(),
            check: None,
        }
    }

    pub(super) fn checked_lines(refusal: Refusal) -> Self {
        Self::Lines {
            writer: CrlfWriter::new(),
            check: Some(Check {
                lines: SevenBitCheck::default(),
                refusal,
            }),
        }
    }

    pub(super) fn quoted_printable() -> Self {
        Self::QuotedPrintable(QuotedPrintableEncoder::default())
    }

    pub(super) fn base64() -> Self {
        Self::Base64 {
            encoder: Base64Encoder::new(),
            is_empty: true,
        }
    }

    pub(super) fn rewrapped() -> Self {
        Self::Rewrapped {
            decoder: Base64Decoder::new(),
            encoder: Base64Encoder::new(),
            decoded: Vec::new(),
        }
    }

    /// Takes bytes of the body as received.
    pub(super) fn push(&mut self, bytes: &[u8], entity: &mut Vec<u8>) -> Result<(), MimeError> {
        match self {
            Self::Unchanged => entity.extend_from_slice(bytes),
            Self::Lines { writer, check } => {
                let start = entity.len();
                writer.push(bytes, entity);
                if let Some(check) = check {
                    check.push(entity.get(start..).unwrap_or_default())?;
                }
            }
            Self::QuotedPrintable(encoder) => encoder.push(bytes, entity),
            Self::Base64 { encoder, is_empty } => {
                *is_empty &= bytes.is_empty();
                encoder.push(bytes, entity);
            }
            Self::Rewrapped {
                decoder,
                encoder,
                decoded,
            } => {
                decoded.clear();
                decoder.push(bytes, decoded)?;
                encoder.push(decoded, entity);
            }
        }
        Ok(())
    }

    /// Ends the body; returns whether it ended its last line itself.
    pub(super) fn end(&mut self, entity: &mut Vec<u8>) -> Result<bool, MimeError> {
        match self {
            Self::Unchanged | Self::Lines { check: None, .. } => Ok(false),
            Self::Lines { check: Some(check), .. } => check.end().map(|()| false),
            Self::QuotedPrintable(encoder) => {
                encoder.end(entity);
                Ok(false)
            }
            Self::Base64 { encoder, is_empty } => {
                encoder.end(entity);
                Ok(!*is_empty)
            }
            Self::Rewrapped {
                decoder,
                encoder,
                decoded,
            } => {
                decoded.clear();
                decoder.end(decoded)?;
                encoder.push(decoded, entity);
                encoder.end(entity);
                Ok(true)
            }
        }
    }
}

impl Check {
    fn push(&mut self, canonical: &[u8]) -> Result<(), MimeError> {
        self.lines
            .push(canonical)
            .map_or(Ok(()), |found| Err(self.refusal.error(found)))
    }

    fn end(&self) -> Result<(), MimeError> {
        self.lines.end().map_or(Ok(()), |found| Err(self.refusal.error(found)))
    }
}

impl Refusal {
    fn error(&self, found: NotSevenBit) -> MimeError {
        match self {
            Self::Late {
                part,
                declared,
                lookahead,
            } => MimeError::NotSevenBit {
                part: part.clone(),
                declared: *declared,
                found,
                lookahead: *lookahead,
            },
            Self::Encoded { part, encoding } => MimeError::BadlyEncoded {
                part: part.clone(),
                encoding: encoding.to_string(),
                found,
            },
        }
    }
}
