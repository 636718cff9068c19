//! Making: takes a message apart into the fields that stay outside and the entity that goes into the CMS object, and
//! brings that entity into canonical form, part by part.

mod entity;
mod leaf;
mod treatment;

use crate::limits::Limits;
use crate::mime::crlf::CrlfWriter;
use crate::mime::delimiter::{Boundary, Delimiter, Scan, Scanner};
use crate::mime::header::without_line_end;
use crate::mime::header_reader::SectionEnd;
use crate::mime::{Header, HeaderReader, MimeError, PartName};
use entity::{Body, Context};
use leaf::Leaf;

/// What happens to content that is not 7-bit text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EightBit {
    /// For signing: text becomes quoted-printable, everything else base64, so that no relay has a reason to change it.
    /// What is 7-bit but might be changed (long lines, white space at the end of a line, `From `) is encoded as well, as far
    /// as the look-ahead shows it.
    Encode,
    /// For encrypting: it stays.
    Keep,
}

/// Takes a message or a bare MIME entity in a stream; gives the outer header fields and the entity to sign or to encrypt.
///
/// The entity has CRLF line ends; parts in the transfer encoding `binary` and non-text parts that become base64 keep their
/// bytes. Multiparts are walked, and message/rfc822. Inside a multipart/signed nothing but line ends is touched. Header
/// fields of parts, preambles and epilogues stay as they are. A message without Content-Type is given one.
///
/// Memory is bounded by the limits on a header section and on the look-ahead. After an error nothing more may be pushed.
#[derive(Debug)]
pub struct EntityMaker {
    limits: Limits,
    outer: Option<Vec<u8>>,
    state: State,
    /// Bytes that have to be seen together with those that come: less than a delimiter line.
    held: Vec<u8>,
    scanner: Scanner,
    /// The multiparts that are open, the outermost first, and the boundary of each.
    levels: Vec<Level>,
    boundaries: Vec<Boundary>,
}

#[derive(Debug)]
enum State {
    Header(HeaderReader, Context),
    Leaf(Box<Leaf>),
    /// Preamble or epilogue.
    Between(CrlfWriter),
}

/// One multipart.
#[derive(Debug)]
struct Level {
    name: PartName,
    /// What its parts are born into, apart from their number.
    context: Context,
    /// Parts so far.
    parts: u32,
}

impl EntityMaker {
    /// At the beginning of a message.
    #[must_use]
    pub fn new(eight_bit: EightBit, limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            outer: None,
            state: State::Header(HeaderReader::new(limits), Context::message(eight_bit)),
            held: Vec::new(),
            scanner: Scanner::new(),
            levels: Vec::new(),
            boundaries: Vec::new(),
        }
    }

    /// Takes bytes of the message, appends bytes of the entity to `entity`.
    ///
    /// # Errors
    /// Those of [`MimeError`]; most name the part.
    pub fn push(&mut self, input: &[u8], entity: &mut Vec<u8>) -> Result<(), MimeError> {
        if self.held.is_empty() {
            let used = self.make(input, false, entity)?;
            self.held.extend_from_slice(input.get(used..).unwrap_or_default());
        } else {
            let mut bytes = std::mem::take(&mut self.held);
            bytes.extend_from_slice(input);
            let used = self.make(&bytes, false, entity)?;
            bytes.drain(..used);
            self.held = bytes;
        }
        Ok(())
    }

    /// Ends the message.
    ///
    /// # Errors
    /// Those of [`MimeError`]; among them that a multipart is not complete.
    pub fn end(&mut self, entity: &mut Vec<u8>) -> Result<(), MimeError> {
        let held = std::mem::take(&mut self.held);
        self.make(&held, true, entity)?;
        while let State::Header(reader, _) = &mut self.state {
            let (header, delimiter) = reader.end_until(|line| find_delimiter(&self.boundaries, line).is_some())?;
            match delimiter {
                Some(line) => self.end_header_at_delimiter(&header, &line, entity)?,
                None => self.start_body(&header, false, entity)?,
            }
        }
        self.end_body(entity)?;
        self.close_above(0)
    }

    /// The outer header fields as CRLF lines, without a blank line: all but Content-* and MIME-Version. They are there before
    /// the first byte of the entity is.
    #[must_use]
    pub fn outer_header(&self) -> Option<&[u8]> {
        self.outer.as_deref()
    }

    /// Works as far as it can; returns how many bytes are done with.
    fn make(&mut self, bytes: &[u8], end: bool, entity: &mut Vec<u8>) -> Result<usize, MimeError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = match &mut self.state {
                State::Header(..) => self.step_header(rest, entity)?,
                State::Leaf(_) | State::Between(_) => self.step_body(rest, end, entity)?,
            };
            if used == 0 {
                break;
            }
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(bytes.len() - rest.len())
    }

    fn step_header(&mut self, bytes: &[u8], entity: &mut Vec<u8>) -> Result<usize, MimeError> {
        let State::Header(reader, _) = &mut self.state else {
            return Ok(0);
        };
        let is_delimiter = |line: &[u8]| find_delimiter(&self.boundaries, line).is_some();
        match reader.push_until(bytes, is_delimiter)? {
            Some(SectionEnd::Blank(header, rest)) => {
                self.start_body(&header, true, entity)?;
                Ok(bytes.len() - rest.len())
            }
            Some(SectionEnd::Delimiter(header, line, rest)) => {
                self.end_header_at_delimiter(&header, &line, entity)?;
                Ok(bytes.len() - rest.len())
            }
            None => Ok(bytes.len()),
        }
    }

    /// A header section is complete. `blank`: a blank line ended it, so that there is a body, if an empty one.
    fn start_body(&mut self, header: &Header, blank: bool, entity: &mut Vec<u8>) -> Result<(), MimeError> {
        let State::Header(_, context) = &self.state else {
            return Ok(());
        };
        if context.is_outermost() {
            self.outer = Some(header.outer_fields());
        }
        self.scanner.start_line();
        self.state = match context.begin(header, blank, &self.limits, entity)? {
            Body::Leaf(leaf) => State::Leaf(Box::new(leaf)),
            Body::Message(context) => State::Header(HeaderReader::for_part(&self.limits, context.name(None)), context),
            Body::Multipart {
                name,
                boundary,
                context,
            } => {
                self.levels.push(Level {
                    name,
                    context,
                    parts: 0,
                });
                self.boundaries.push(boundary);
                State::Between(CrlfWriter::new())
            }
        };
        Ok(())
    }

    /// A part whose header section ends where a delimiter begins: it has no blank line and no body.
    fn end_header_at_delimiter(&mut self, header: &Header, line: &[u8], entity: &mut Vec<u8>) -> Result<(), MimeError> {
        let found = find_delimiter(&self.boundaries, line);
        self.start_body(header, false, entity)?;
        if let State::Header(_, context) = &self.state {
            // An embedded message without a header section: nothing at all.
            debug_assert!(!context.is_outermost());
            self.state = State::Between(CrlfWriter::new());
        }
        self.end_body(entity)?;
        match found {
            Some((level, delimiter)) => self.pass_delimiter(level, delimiter, line, entity),
            None => Ok(()),
        }
    }

    fn step_body(&mut self, bytes: &[u8], end: bool, entity: &mut Vec<u8>) -> Result<usize, MimeError> {
        let scan = self.scanner.scan(bytes, &self.boundaries, end);
        let (Scan::Found { data, .. } | Scan::Open { data }) = scan;
        let body = bytes.get(..data).unwrap_or_default();
        match &mut self.state {
            State::Leaf(leaf) => leaf.push(body, entity)?,
            State::Between(writer) => writer.push(body, entity),
            State::Header(..) => {}
        }
        let Scan::Found {
            line,
            end,
            level,
            delimiter,
            ..
        } = scan
        else {
            return Ok(data);
        };
        let has_line_end = self.end_body(entity)?;
        if line > data && !has_line_end {
            entity.extend_from_slice(b"\r\n");
        }
        self.pass_delimiter(level, delimiter, bytes.get(line..end).unwrap_or_default(), entity)?;
        Ok(end)
    }

    /// Ends what is being written; returns whether it ended its last line itself.
    fn end_body(&mut self, entity: &mut Vec<u8>) -> Result<bool, MimeError> {
        match &mut self.state {
            State::Leaf(leaf) => leaf.end(entity),
            State::Header(..) | State::Between(_) => Ok(false),
        }
    }

    fn pass_delimiter(
        &mut self,
        level: usize,
        delimiter: Delimiter,
        line: &[u8],
        entity: &mut Vec<u8>,
    ) -> Result<(), MimeError> {
        let text = without_line_end(line);
        entity.extend_from_slice(text);
        if text.len() < line.len() {
            entity.extend_from_slice(b"\r\n");
        }
        self.close_above(level + 1)?;
        self.state = match delimiter {
            Delimiter::Close => {
                self.levels.truncate(level);
                self.boundaries.truncate(level);
                State::Between(CrlfWriter::new())
            }
            Delimiter::Part => match self.levels.get_mut(level) {
                Some(level) => {
                    level.parts = level.parts.saturating_add(1);
                    let context = level.context.part(level.parts);
                    State::Header(HeaderReader::for_part(&self.limits, context.name(None)), context)
                }
                None => State::Between(CrlfWriter::new()),
            },
        };
        Ok(())
    }

    /// No multipart deeper than this many levels may be open.
    fn close_above(&self, level: usize) -> Result<(), MimeError> {
        match self.levels.get(level).zip(self.boundaries.get(level)) {
            Some((level, boundary)) => Err(MimeError::Unterminated {
                part: level.name.clone(),
                boundary: boundary.text(),
            }),
            None => Ok(()),
        }
    }
}

/// What a whole line is to the multiparts around it; the innermost counts.
fn find_delimiter(boundaries: &[Boundary], line: &[u8]) -> Option<(usize, Delimiter)> {
    let levels = boundaries.iter().enumerate().rev();
    levels
        .into_iter()
        .find_map(|(level, boundary)| Some((level, boundary.delimiter(line)?)))
}
