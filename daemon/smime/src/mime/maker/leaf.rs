//! The body of a part that has no parts of its own: how it is written is decided from what its header section says and,
//! where that is not enough, from its first bytes.

use crate::mime::error::Declared;
use crate::mime::maker::entity::{HeaderChange, Mode, Place};
use crate::mime::maker::treatment::{Refusal, Treatment};
use crate::mime::seven_bit::{SevenBitCheck, is_fragile};
use crate::mime::{CrlfWriter, Header, MimeError, NotSevenBit, PartName, TransferEncoding};

/// Bytes that are worked on at once, so that they stay in the cache.
const PIECE: usize = 64 * 1024;

/// One body.
#[derive(Debug)]
pub(super) enum Leaf {
    /// Nothing has been written yet, not even the header section.
    LookingAhead { part: LeafPart, body: Vec<u8> },
    /// The header section has been written.
    Writing(Treatment),
}

/// What is known of a part from its header section.
#[derive(Debug)]
pub(super) struct LeafPart {
    pub(super) header: Header,
    pub(super) name: PartName,
    pub(super) place: Place,
    pub(super) mode: Mode,
    pub(super) encoding: TransferEncoding,
    /// Its lines are lines. Everything else is bytes.
    pub(super) is_text: bool,
    /// A Content-Type has to be made up.
    pub(super) lacks_type: bool,
    /// Bytes to look at.
    pub(super) lookahead: usize,
}

/// What the first bytes of a body are.
struct Beginning<'a> {
    raw: &'a [u8],
    /// With CRLF line ends.
    canonical: Vec<u8>,
    /// It is all there is.
    complete: bool,
    found: Option<NotSevenBit>,
    has_nul: bool,
}

impl Leaf {
    /// Writes the header section, unless that has to wait. `blank`: a blank line ended it, so that there is a body.
    pub(super) fn begin(part: LeafPart, blank: bool, entity: &mut Vec<u8>) -> Self {
        use TransferEncoding::{Base64, Binary, EightBit, Other, QuotedPrintable, SevenBit};
        let (treatment, new_encoding) = match (&part.encoding, part.mode) {
            _ if !blank => (Treatment::lines(), None),
            (SevenBit | EightBit | Base64, Mode::Encode) => return Self::looking_ahead(part),
            (SevenBit | EightBit, Mode::Keep) if part.lacks_type || !part.is_text => return Self::looking_ahead(part),
            (Binary, Mode::Encode) => (Treatment::base64(), Some(Base64)),
            (Binary, Mode::Keep | Mode::Signed) => (Treatment::Unchanged, None),
            (QuotedPrintable | Other(_), Mode::Encode) => (Treatment::checked_lines(part.refusal()), None),
            (_, Mode::Keep | Mode::Signed) => (Treatment::lines(), None),
        };
        let change = HeaderChange {
            encoding: new_encoding,
            charset: part.lacks_type.then_some("us-ascii"),
        };
        change.write(&part.header, part.place, blank, entity);
        Self::Writing(treatment)
    }

    /// Takes bytes of the body as received.
    pub(super) fn push(&mut self, mut bytes: &[u8], entity: &mut Vec<u8>) -> Result<(), MimeError> {
        if let Self::LookingAhead { part, body } = self {
            let room = part.lookahead.saturating_sub(body.len());
            let Some((seen, rest)) = bytes.split_at_checked(room).filter(|(_, rest)| !rest.is_empty()) else {
                body.extend_from_slice(bytes);
                return Ok(());
            };
            body.extend_from_slice(seen);
            *self = Self::Writing(part.write_beginning(body, false, entity)?);
            bytes = rest;
        }
        match self {
            Self::Writing(treatment) => bytes.chunks(PIECE).try_for_each(|piece| treatment.push(piece, entity)),
            Self::LookingAhead { .. } => Ok(()),
        }
    }

    /// Ends the body; returns whether it ended its last line itself.
    pub(super) fn end(&mut self, entity: &mut Vec<u8>) -> Result<bool, MimeError> {
        if let Self::LookingAhead { part, body } = self {
            *self = Self::Writing(part.write_beginning(body, true, entity)?);
        }
        match self {
            Self::Writing(treatment) => treatment.end(entity),
            Self::LookingAhead { .. } => Ok(false),
        }
    }

    fn looking_ahead(part: LeafPart) -> Self {
        Self::LookingAhead { part, body: Vec::new() }
    }
}

impl LeafPart {
    /// Decides, writes the header section and the beginning of the body. `complete`: it is all there is.
    fn write_beginning(&self, raw: &[u8], complete: bool, entity: &mut Vec<u8>) -> Result<Treatment, MimeError> {
        let beginning = Beginning::of(raw, complete);
        let (mut treatment, encoding) = match (self.mode, &self.encoding) {
            (Mode::Encode, TransferEncoding::Base64) => (self.rewrap(&beginning), None),
            (Mode::Encode, _) => self.encode(&beginning),
            (Mode::Keep | Mode::Signed, _) => self.keep(&beginning),
        };
        let charset = self.lacks_type.then(|| self.charset(&beginning));
        HeaderChange { encoding, charset }.write(&self.header, self.place, true, entity);
        treatment.push(raw, entity)?;
        Ok(treatment)
    }

    /// 7bit or 8bit, to be signed.
    fn encode(&self, beginning: &Beginning<'_>) -> (Treatment, Option<TransferEncoding>) {
        let is_eight_bit = self.encoding == TransferEncoding::EightBit;
        let is_unsafe = beginning.found.is_some()
            || is_eight_bit && !beginning.complete
            || self.is_text && is_fragile(&beginning.canonical, beginning.complete);
        match (is_unsafe, self.is_text && !beginning.has_nul) {
            (true, true) => (Treatment::quoted_printable(), Some(TransferEncoding::QuotedPrintable)),
            (true, false) => (Treatment::base64(), Some(TransferEncoding::Base64)),
            (false, _) => {
                let treatment = Treatment::checked_lines(self.refusal());
                (treatment, is_eight_bit.then_some(TransferEncoding::SevenBit))
            }
        }
    }

    /// Base64, to be signed: it is 7bit, but many programs forget to break its lines.
    fn rewrap(&self, beginning: &Beginning<'_>) -> Treatment {
        match beginning.found {
            Some(NotSevenBit::LongLine) => Treatment::rewrapped(),
            _ => Treatment::checked_lines(self.refusal()),
        }
    }

    /// To be encrypted: 8-bit content stays, but is declared, and undeclared binary content keeps its line ends.
    fn keep(&self, beginning: &Beginning<'_>) -> (Treatment, Option<TransferEncoding>) {
        if beginning.has_nul && !self.is_text {
            return (Treatment::Unchanged, Some(TransferEncoding::Binary));
        }
        let is_declared = !self.lacks_type || self.header.has("Content-Transfer-Encoding");
        let is_eight_bit = beginning.found == Some(NotSevenBit::EightBit) && !is_declared;
        (Treatment::lines(), is_eight_bit.then_some(TransferEncoding::EightBit))
    }

    /// The character set of a text that does not say it.
    fn charset(&self, beginning: &Beginning<'_>) -> &'static str {
        let may_change = !beginning.complete && self.encoding == TransferEncoding::EightBit;
        match beginning.raw.is_ascii() && !may_change {
            true => "us-ascii",
            false if beginning.is_utf8() => "utf-8",
            false => "unknown-8bit",
        }
    }

    fn refusal(&self) -> Refusal {
        let part = self.name.clone();
        match &self.encoding {
            TransferEncoding::SevenBit | TransferEncoding::EightBit => Refusal::Late {
                part,
                declared: match self.header.has("Content-Transfer-Encoding") {
                    true => Declared::SevenBit,
                    false => Declared::Nothing,
                },
                lookahead: self.lookahead,
            },
            encoding => Refusal::Encoded {
                part,
                encoding: encoding.clone(),
            },
        }
    }
}

impl<'a> Beginning<'a> {
    fn of(raw: &'a [u8], complete: bool) -> Self {
        let mut canonical = Vec::with_capacity(raw.len() + raw.len() / 32);
        CrlfWriter::new().push(raw, &mut canonical);
        let mut lines = SevenBitCheck::default();
        let found = lines.push(&canonical).or_else(|| lines.end().filter(|_| complete));
        let has_nul = memchr::memchr(0, raw).is_some();
        Self {
            raw,
            canonical,
            complete,
            found,
            has_nul,
        }
    }

    /// Whether this is UTF-8; the last character may be cut off if more follows.
    fn is_utf8(&self) -> bool {
        match std::str::from_utf8(self.raw) {
            Ok(_) => true,
            Err(error) => !self.complete && error.error_len().is_none(),
        }
    }
}
