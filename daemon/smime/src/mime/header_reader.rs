//! Collects the header section at the front of a stream.

use memchr::memchr;

use crate::limits::Limits;
use crate::mime::{Header, MimeError, PartName};

/// Collects the header section of a message at the front of a stream, up to [`Limits::header_len`] bytes with the blank
/// line.
#[derive(Clone, Debug)]
pub struct HeaderReader {
    raw: Vec<u8>,
    line_start: usize,
    limit: usize,
    part: PartName,
}

/// How a header section came to its end.
#[derive(Debug)]
pub(crate) enum SectionEnd<'a> {
    /// At a blank line; what follows it is left.
    Blank(Header, &'a [u8]),
    /// At a line that the caller takes for a delimiter; the line with its end, and what follows it.
    Delimiter(Header, Vec<u8>, &'a [u8]),
}

impl HeaderReader {
    /// At the beginning of a message.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self::for_part(limits, PartName::default())
    }

    /// At the beginning of a part, which errors will name.
    pub(crate) fn for_part(limits: &Limits, part: PartName) -> Self {
        Self {
            raw: Vec::new(),
            line_start: 0,
            limit: limits.header_len,
            part,
        }
    }

    /// Takes bytes. Once the blank line has come: the section, and the bytes of `input` that follow the blank line. Nothing
    /// may be pushed after that.
    ///
    /// # Errors
    /// [`MimeError::HeaderTooLong`], and what [`Header::parse`] refuses.
    pub fn push<'a>(&mut self, input: &'a [u8]) -> Result<Option<(Header, &'a [u8])>, MimeError> {
        Ok(match self.push_until(input, |_| false)? {
            Some(SectionEnd::Blank(header, rest) | SectionEnd::Delimiter(header, _, rest)) => Some((header, rest)),
            None => None,
        })
    }

    /// Ends the stream: the lines so far are the section, and there is no body.
    ///
    /// # Errors
    /// What [`Header::parse`] refuses.
    pub fn end(mut self) -> Result<Header, MimeError> {
        self.take()
    }

    /// As [`HeaderReader::push`], but a line that `is_delimiter` takes for one ends the section as well.
    pub(crate) fn push_until<'a>(
        &mut self,
        mut input: &'a [u8],
        is_delimiter: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<SectionEnd<'a>>, MimeError> {
        while !input.is_empty() {
            let lf = memchr(b'\n', input);
            let (piece, rest) = input
                .split_at_checked(lf.map_or(input.len(), |lf| lf + 1))
                .unwrap_or((input, &[]));
            if self.raw.len() + piece.len() > self.limit {
                return Err(MimeError::HeaderTooLong {
                    part: self.part.clone(),
                    limit: self.limit,
                });
            }
            self.raw.extend_from_slice(piece);
            input = rest;
            if lf.is_none() {
                break;
            }
            let line = self.raw.get(self.line_start..).unwrap_or_default();
            if matches!(line, b"\n" | b"\r\n") {
                return Ok(Some(SectionEnd::Blank(self.take()?, input)));
            }
            if is_delimiter(line) {
                let line = self.raw.split_off(self.line_start);
                return Ok(Some(SectionEnd::Delimiter(self.take()?, line, input)));
            }
            self.line_start = self.raw.len();
        }
        Ok(None)
    }

    /// Ends the stream, with a delimiter for a last line perhaps.
    pub(crate) fn end_until(
        &mut self,
        is_delimiter: impl Fn(&[u8]) -> bool,
    ) -> Result<(Header, Option<Vec<u8>>), MimeError> {
        let last = self.raw.get(self.line_start..).unwrap_or_default();
        let delimiter = is_delimiter(last).then(|| self.raw.split_off(self.line_start));
        Ok((self.take()?, delimiter))
    }

    fn take(&mut self) -> Result<Header, MimeError> {
        self.line_start = 0;
        Header::parse(&std::mem::take(&mut self.raw)).map_err(|error| match error {
            MimeError::HeaderLine { line, .. } => MimeError::HeaderLine {
                part: self.part.clone(),
                line,
            },
            other => other,
        })
    }
}
