//! Opening: finds the CMS object in a message, and in a multipart/signed the signed entity beside it.

mod carrier;
mod cms_body;

pub use carrier::Carrier;

use crate::limits::Limits;
use crate::mime::delimiter::{Boundary, Delimiter, Scan, Scanner};
use crate::mime::header_reader::SectionEnd;
use crate::mime::{Header, HeaderReader, LineEnds, MimeError, PartName};
use cms_body::CmsBody;

/// Bytes that are decoded at once, so that they stay in the cache.
const PIECE: usize = 64 * 1024;

/// Takes what an [`EntityReader`] finds, in this order: `carrier`; for multipart/signed `content` and `content_end`; `cms`.
pub trait EntitySink {
    /// What the sink refuses with; the reader's own errors are turned into it.
    type Error: From<MimeError>;

    /// Once, first. `header` is the outer header section as received, empty for a bare CMS object.
    ///
    /// # Errors
    /// Whatever stops the reading.
    fn carrier(&mut self, header: &Header, carrier: Carrier) -> Result<(), Self::Error>;

    /// Bytes of the CMS object, decoded; for multipart/signed those of the signature part.
    ///
    /// # Errors
    /// Whatever stops the reading.
    fn cms(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// multipart/signed only: bytes of the signed entity exactly as received, without the line end before the delimiter.
    ///
    /// # Errors
    /// Whatever stops the reading.
    fn content(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// multipart/signed only: the signed entity is complete. With [`LineEnds::Lf`] the message was changed on the way or
    /// stored as a Unix file, and the content has to be digested in canonical form too.
    ///
    /// # Errors
    /// Whatever stops the reading.
    fn content_end(&mut self, line_ends: LineEnds) -> Result<(), Self::Error>;
}

/// Reads an S/MIME message in a stream: multipart/signed, application/pkcs7-mime in any transfer encoding that carries it,
/// an attachment named `*.p7m`, or a CMS object alone, as BER or PEM. Memory is bounded by the header section's limit.
///
/// After an error nothing more may be pushed.
#[derive(Debug)]
pub struct EntityReader {
    limits: Limits,
    state: State,
    /// Bytes that have to be seen together with those that come: less than a delimiter line.
    held: Vec<u8>,
    scanner: Scanner,
    boundary: Vec<Boundary>,
    line_ends: LineEnds,
}

#[derive(Debug)]
enum State {
    Start,
    Header(HeaderReader),
    Cms(CmsBody),
    Preamble,
    Content,
    SignatureHeader(HeaderReader),
    Signature(CmsBody),
    Epilogue,
}

impl EntityReader {
    /// At the beginning of a message.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            state: State::Start,
            held: Vec::new(),
            scanner: Scanner::new(),
            boundary: Vec::new(),
            line_ends: LineEnds::Crlf,
        }
    }

    /// Takes bytes of the message.
    ///
    /// # Errors
    /// Those of [`MimeError`] and of the sink.
    pub fn push<S: EntitySink>(&mut self, input: &[u8], sink: &mut S) -> Result<(), S::Error> {
        if self.held.is_empty() {
            let used = self.read(input, false, sink)?;
            self.held.extend_from_slice(input.get(used..).unwrap_or_default());
        } else {
            let mut bytes = std::mem::take(&mut self.held);
            bytes.extend_from_slice(input);
            let used = self.read(&bytes, false, sink)?;
            bytes.drain(..used);
            self.held = bytes;
        }
        Ok(())
    }

    /// Ends the message.
    ///
    /// # Errors
    /// Those of [`MimeError`], if it is not complete, and of the sink.
    pub fn end<S: EntitySink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let held = std::mem::take(&mut self.held);
        self.read(&held, true, sink)?;
        if let State::Header(reader) = &mut self.state {
            let reader = std::mem::replace(reader, HeaderReader::new(&self.limits));
            self.start_body(&reader.end()?, sink)?;
        }
        match &mut self.state {
            State::Start => Err(MimeError::EmptyBody.into()),
            State::Cms(body) => Ok(sink.cms(body.end()?)?),
            State::Epilogue => Ok(()),
            State::Header(_) | State::Preamble | State::Content | State::SignatureHeader(_) | State::Signature(_) => {
                Err(self.unterminated().into())
            }
        }
    }

    /// Reads as far as it can; returns how many bytes are done with.
    fn read<S: EntitySink>(&mut self, bytes: &[u8], end: bool, sink: &mut S) -> Result<usize, S::Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = self.step(rest, end, sink)?;
            if used == 0 {
                break;
            }
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(bytes.len() - rest.len())
    }

    /// Does one thing with the front of `bytes`; returns how many are done with, 0 if more are needed.
    fn step<S: EntitySink>(&mut self, bytes: &[u8], end: bool, sink: &mut S) -> Result<usize, S::Error> {
        match &mut self.state {
            State::Start => {
                if matches!(bytes.first(), Some(b'0' | b'-')) {
                    sink.carrier(&Header::default(), Carrier::bare())?;
                    self.state = State::Cms(CmsBody::bare());
                } else {
                    self.state = State::Header(HeaderReader::new(&self.limits));
                }
                self.step(bytes, end, sink)
            }
            State::Header(reader) => match reader.push(bytes)? {
                Some((header, rest)) => {
                    self.start_body(&header, sink)?;
                    Ok(bytes.len() - rest.len())
                }
                None => Ok(bytes.len()),
            },
            State::Cms(body) => {
                push_cms(body, bytes, sink)?;
                Ok(bytes.len())
            }
            State::SignatureHeader(reader) => {
                let boundary = &self.boundary;
                let is_delimiter = |line: &[u8]| boundary.iter().any(|boundary| boundary.delimiter(line).is_some());
                match reader.push_until(bytes, is_delimiter)? {
                    Some(SectionEnd::Blank(header, rest)) => {
                        self.state = State::Signature(carrier::signature_body(&header)?);
                        self.scanner.start_line();
                        Ok(bytes.len() - rest.len())
                    }
                    Some(SectionEnd::Delimiter(..)) => Err(MimeError::EmptyBody.into()),
                    None => Ok(bytes.len()),
                }
            }
            State::Preamble | State::Content | State::Signature(_) => self.step_multipart(bytes, end, sink),
            State::Epilogue => Ok(bytes.len()),
        }
    }

    fn step_multipart<S: EntitySink>(&mut self, bytes: &[u8], end: bool, sink: &mut S) -> Result<usize, S::Error> {
        let scan = self.scanner.scan(bytes, &self.boundary, end);
        let (Scan::Found { data, .. } | Scan::Open { data }) = scan;
        let body = bytes.get(..data).unwrap_or_default();
        match &mut self.state {
            State::Content if !body.is_empty() => sink.content(body)?,
            State::Signature(signature) => push_cms(signature, body, sink)?,
            _ => {}
        }
        let Scan::Found { end, delimiter, .. } = scan else {
            return Ok(data);
        };
        self.state = match (&mut self.state, delimiter) {
            (State::Preamble, Delimiter::Part) => State::Content,
            (State::Content, Delimiter::Part) => {
                sink.content_end(self.line_ends)?;
                State::SignatureHeader(HeaderReader::for_part(&self.limits, signature_part()))
            }
            (State::Signature(signature), Delimiter::Close) => {
                sink.cms(signature.end()?)?;
                State::Epilogue
            }
            (State::Signature(_), Delimiter::Part) => return Err(MimeError::SignedParts { found: "more" }.into()),
            (State::Content, Delimiter::Close) => return Err(MimeError::SignedParts { found: "one" }.into()),
            _ => return Err(MimeError::SignedParts { found: "none" }.into()),
        };
        Ok(end)
    }

    fn start_body<S: EntitySink>(&mut self, header: &Header, sink: &mut S) -> Result<(), S::Error> {
        let carrier = Carrier::of(header)?;
        self.line_ends = header.line_ends();
        self.state = match carrier {
            Carrier::Cms { .. } => State::Cms(CmsBody::new(&header.transfer_encoding())?),
            Carrier::MultipartSigned { .. } => {
                self.boundary = vec![Boundary::of(&header.content_type(), &PartName::default())?];
                State::Preamble
            }
        };
        sink.carrier(header, carrier)
    }

    fn unterminated(&self) -> MimeError {
        MimeError::Unterminated {
            part: PartName::default(),
            boundary: self.boundary.iter().map(Boundary::text).collect(),
        }
    }
}

fn push_cms<S: EntitySink>(body: &mut CmsBody, bytes: &[u8], sink: &mut S) -> Result<(), S::Error> {
    for piece in bytes.chunks(PIECE) {
        let decoded = body.push(piece)?;
        if !decoded.is_empty() {
            sink.cms(decoded)?;
        }
    }
    Ok(())
}

fn signature_part() -> PartName {
    PartName {
        path: vec![2],
        media_type: None,
    }
}
