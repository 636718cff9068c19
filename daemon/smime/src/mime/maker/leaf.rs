//! The body of a part that has no parts of its own: looked at as far as needed, and written.

use crate::mime::base64::Base64Encoder;
use crate::mime::crlf::CrlfWriter;
use crate::mime::error::Declared;
use crate::mime::maker::entity::{HeaderChange, Place};
use crate::mime::quoted_printable::QuotedPrintableEncoder;
use crate::mime::seven_bit::{SevenBitCheck, is_fragile};
use crate::mime::{Header, MimeError, NotSevenBit, PartName, TransferEncoding};

/// Bytes that are worked on at once, so that they stay in the cache.
const PIECE: usize = 64 * 1024;

/// One body.
#[derive(Debug)]
pub(super) enum Leaf {
    /// Nothing has been written yet, not even the header section.
    LookingAhead {
        lookahead: Lookahead,
        body: Vec<u8>,
    },
    Writing(Treatment),
}

/// What is known of a body whose beginning has to be seen.
#[derive(Debug)]
pub(super) struct Lookahead {
    pub(super) header: Header,
    pub(super) name: PartName,
    pub(super) place: Place,
    /// It has to become 7-bit.
    pub(super) encodes: bool,
    /// 7bit or 8bit.
    pub(super) encoding: TransferEncoding,
    pub(super) is_text: bool,
    /// A Content-Type has to be made up.
    pub(super) lacks_type: bool,
    /// Bytes to look at.
    pub(super) limit: usize,
}

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
}

/// Watches over a body that is taken for 7-bit text.
#[derive(Debug)]
pub(super) struct Check {
    lines: SevenBitCheck,
    /// What to say if it is not. Boxed, since it is large and never needed.
    refusal: Box<Refusal>,
}

#[derive(Debug)]
enum Refusal {
    /// What was seen ahead was 7bit.
    Late {
        part: PartName,
        declared: Declared,
        lookahead: usize,
    },
    /// It is declared to be encoded; only bytes that no line of text has are refused.
    Encoded { part: PartName, encoding: String },
}

impl Leaf {
    pub(super) fn new(treatment: Treatment) -> Self {
        Self::Writing(treatment)
    }

    pub(super) fn looking_ahead(lookahead: Lookahead) -> Self {
        Self::LookingAhead {
            lookahead,
            body: Vec::new(),
        }
    }

    /// Takes bytes of the body as received.
    pub(super) fn push(&mut self, mut bytes: &[u8], entity: &mut Vec<u8>) -> Result<(), MimeError> {
        if let Self::LookingAhead { lookahead, body } = self {
            let room = lookahead.limit.saturating_sub(body.len());
            let Some((seen, rest)) = bytes.split_at_checked(room).filter(|(_, rest)| !rest.is_empty()) else {
                body.extend_from_slice(bytes);
                return Ok(());
            };
            body.extend_from_slice(seen);
            let treatment = lookahead.decide(body, false, entity)?;
            *self = Self::Writing(treatment);
            bytes = rest;
        }
        match self {
            Self::Writing(treatment) => bytes.chunks(PIECE).try_for_each(|piece| treatment.push(piece, entity)),
            Self::LookingAhead { .. } => Ok(()),
        }
    }

    /// Ends the body; returns whether it ended its last line itself.
    pub(super) fn end(&mut self, entity: &mut Vec<u8>) -> Result<bool, MimeError> {
        if let Self::LookingAhead { lookahead, body } = self {
            let treatment = lookahead.decide(body, true, entity)?;
            *self = Self::Writing(treatment);
        }
        match self {
            Self::Writing(treatment) => treatment.end(entity),
            Self::LookingAhead { .. } => Ok(false),
        }
    }
}

impl Lookahead {
    /// Decides from the beginning of the body, writes the header section and that beginning. `complete`: it is all.
    fn decide(&self, body: &[u8], complete: bool, entity: &mut Vec<u8>) -> Result<Treatment, MimeError> {
        let mut canonical = Vec::with_capacity(body.len() + body.len() / 32);
        let mut writer = CrlfWriter::new();
        writer.push(body, &mut canonical);
        let mut lines = SevenBitCheck::default();
        let found = lines.push(&canonical).or_else(|| lines.end().filter(|_| complete));
        let has_nul = memchr::memchr(0, body).is_some();
        let is_eight_bit = self.encoding == TransferEncoding::EightBit;

        let (mut treatment, encoding) = if !self.encodes {
            self.keep(has_nul, found)
        } else if has_nul || !self.is_text && (found.is_some() || is_eight_bit && !complete) {
            (Treatment::base64(), Some(TransferEncoding::Base64))
        } else if found.is_some() || is_eight_bit && !complete || self.is_text && is_fragile(&canonical, complete) {
            (Treatment::quoted_printable(), Some(TransferEncoding::QuotedPrintable))
        } else {
            entity_header(
                self,
                is_eight_bit.then_some(TransferEncoding::SevenBit),
                body,
                complete,
                entity,
            );
            entity.extend_from_slice(&canonical);
            let check = Some(Check {
                lines,
                refusal: Box::new(self.refusal()),
            });
            return Ok(Treatment::Lines { writer, check });
        };
        entity_header(self, encoding, body, complete, entity);
        treatment.push(body, entity)?;
        Ok(treatment)
    }

    /// Where 8-bit content may stay: binary content that is not declared must not have its line ends changed.
    fn keep(&self, has_nul: bool, found: Option<NotSevenBit>) -> (Treatment, Option<TransferEncoding>) {
        if has_nul && !self.is_text {
            return (Treatment::Unchanged, Some(TransferEncoding::Binary));
        }
        let is_undeclared = !self.header.has("Content-Transfer-Encoding");
        let is_eight_bit = found == Some(NotSevenBit::EightBit) && is_undeclared && self.lacks_type;
        (Treatment::lines(), is_eight_bit.then_some(TransferEncoding::EightBit))
    }

    fn refusal(&self) -> Refusal {
        Refusal::Late {
            part: self.name.clone(),
            declared: match self.header.has("Content-Transfer-Encoding") {
                true => Declared::SevenBit,
                false => Declared::Nothing,
            },
            lookahead: self.limit,
        }
    }
}

fn entity_header(
    lookahead: &Lookahead,
    encoding: Option<TransferEncoding>,
    body: &[u8],
    complete: bool,
    entity: &mut Vec<u8>,
) {
    let is_eight_bit = lookahead.encoding == TransferEncoding::EightBit;
    let charset = match (body.is_ascii(), is_utf8(body, complete)) {
        (true, _) if complete || !is_eight_bit => "us-ascii",
        (_, true) => "utf-8",
        (_, false) => "unknown-8bit",
    };
    let charset = lookahead.lacks_type.then_some(charset);
    HeaderChange { encoding, charset }.write(&lookahead.header, lookahead.place, true, entity);
}

/// Whether this is UTF-8; the last character may be cut off if more follows.
fn is_utf8(bytes: &[u8], complete: bool) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => !complete && error.error_len().is_none(),
    }
}

impl Treatment {
    pub(super) fn lines() -> Self {
        Self::Lines {
            writer: CrlfWriter::new(),
            check: None,
        }
    }

    /// For a body that says that it is encoded.
    pub(super) fn encoded_lines(part: PartName, encoding: &TransferEncoding) -> Self {
        let refusal = Refusal::Encoded {
            part,
            encoding: encoding.to_string(),
        };
        let check = Some(Check {
            lines: SevenBitCheck::default(),
            refusal: Box::new(refusal),
        });
        Self::Lines {
            writer: CrlfWriter::new(),
            check,
        }
    }

    pub(super) fn base64() -> Self {
        Self::Base64 {
            encoder: Base64Encoder::new(),
            is_empty: true,
        }
    }

    fn quoted_printable() -> Self {
        Self::QuotedPrintable(QuotedPrintableEncoder::default())
    }

    fn push(&mut self, bytes: &[u8], entity: &mut Vec<u8>) -> Result<(), MimeError> {
        match self {
            Self::Unchanged => entity.extend_from_slice(bytes),
            Self::Lines { writer, check } => {
                let start = entity.len();
                writer.push(bytes, entity);
                if let Some(check) = check {
                    let found = check.lines.push(entity.get(start..).unwrap_or_default());
                    check.refuse(found)?;
                }
            }
            Self::QuotedPrintable(encoder) => encoder.push(bytes, entity),
            Self::Base64 { encoder, is_empty } => {
                *is_empty &= bytes.is_empty();
                encoder.push(bytes, entity);
            }
        }
        Ok(())
    }

    fn end(&mut self, entity: &mut Vec<u8>) -> Result<bool, MimeError> {
        match self {
            Self::Unchanged | Self::Lines { check: None, .. } => Ok(false),
            Self::Lines { check: Some(check), .. } => check.refuse(check.lines.end()).map(|()| false),
            Self::QuotedPrintable(encoder) => {
                encoder.end(entity);
                Ok(false)
            }
            Self::Base64 { encoder, is_empty } => {
                encoder.end(entity);
                Ok(!*is_empty)
            }
        }
    }
}

impl Check {
    fn refuse(&self, found: Option<NotSevenBit>) -> Result<(), MimeError> {
        match (found, self.refusal.as_ref()) {
            (None, _) => Ok(()),
            (
                Some(found),
                Refusal::Late {
                    part,
                    declared,
                    lookahead,
                },
            ) => Err(MimeError::NotSevenBit {
                part: part.clone(),
                declared: *declared,
                found,
                lookahead: *lookahead,
            }),
            (Some(found), Refusal::Encoded { part, encoding }) => Err(MimeError::BadlyEncoded {
                part: part.clone(),
                encoding: encoding.clone(),
                found,
            }),
        }
    }
}
