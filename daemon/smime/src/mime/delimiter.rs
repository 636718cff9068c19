//! Delimiter lines of multiparts (RFC 2046, section 5.1.1), found in a stream.
//!
//! A line is a delimiter if it is `--boundary` or `--boundary--` with nothing but white space after it. Whole lines are
//! compared, so that a boundary which begins with another one does not end it. The line end before a delimiter belongs to
//! the delimiter.

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use crate::mime::header::without_line_end;
use crate::mime::{ContentType, MimeError, PartName};

/// Longest boundary that is accepted; RFC 2046 allows 70 characters.
const BOUNDARY_LIMIT: usize = 200;
/// White space after a delimiter that is accepted; a longer line is no delimiter.
const PADDING_LIMIT: usize = 256;
/// `--` before the boundary and after it, padding, CR LF.
const LINE_LIMIT: usize = BOUNDARY_LIMIT + PADDING_LIMIT + 6;

/// The boundary of one multipart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boundary(Vec<u8>);

/// What a delimiter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delimiter {
    /// Begins a part.
    Part,
    /// Ends the multipart.
    Close,
}

/// What a scan came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// A delimiter. The body goes up to `data`, the line end before the delimiter up to `line`, its own line up to `end`.
    Found {
        data: usize,
        line: usize,
        end: usize,
        /// Position of the boundary among those that were given.
        level: usize,
        delimiter: Delimiter,
    },
    /// No delimiter. The body goes up to `data`; what follows has to be scanned again together with what comes.
    Open { data: usize },
}

impl Boundary {
    /// The boundary parameter of a multipart.
    pub(crate) fn of(content_type: &ContentType, part: &PartName) -> Result<Self, MimeError> {
        let text = content_type.param("boundary").unwrap_or_default().trim_end();
        if text.is_empty() || text.len() > BOUNDARY_LIMIT || text.contains(['\r', '\n']) {
            return Err(MimeError::Boundary {
                part: part.clone(),
                limit: BOUNDARY_LIMIT,
            });
        }
        Ok(Self(text.as_bytes().to_vec()))
    }

    /// For error messages.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// What a whole line, with or without its end, is to the multipart.
    pub(crate) fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        let rest = line.strip_prefix(b"--")?.strip_prefix(self.0.as_slice())?;
        let rest = without_line_end(rest);
        let (delimiter, padding) = match rest.strip_prefix(b"--") {
            Some(padding) => (Delimiter::Close, padding),
            None => (Delimiter::Part, rest),
        };
        let is_padding =
            padding.len() <= PADDING_LIMIT && padding.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        is_padding.then_some(delimiter)
    }

    /// Whether a line that is not complete may become a delimiter.
    fn may_begin(&self, line: &[u8]) -> bool {
        let after_dashes = match line {
            [] | [b'-'] => return true,
            [b'-', b'-', rest @ ..] => rest,
            _ => return false,
        };
        match after_dashes.strip_prefix(self.0.as_slice()) {
            Some(b"-") => true,
            Some(_) => self.delimiter(line.strip_suffix(b"\r").unwrap_or(line)).is_some(),
            None => self.0.starts_with(after_dashes),
        }
    }
}

/// Finds delimiter lines in a stream of body bytes.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    dashes: Finder<'static>,
    at_line_start: bool,
}

impl Scanner {
    /// At the beginning of a body.
    pub(crate) fn new() -> Self {
        Self {
            dashes: Finder::new(b"\n--"),
            at_line_start: true,
        }
    }

    /// To be called when a new body begins, or after a line was taken out of the stream.
    pub(crate) fn start_line(&mut self) {
        self.at_line_start = true;
    }

    /// Looks for the first delimiter of any of `boundaries` in `bytes`, which begin where the body of the last scan ended.
    /// At the `end` of the stream nothing is left open.
    pub(crate) fn scan(&mut self, bytes: &[u8], boundaries: &[Boundary], end: bool) -> Scan {
        let scan = self.find(bytes, boundaries, end);
        match scan {
            Scan::Found { .. } => self.at_line_start = true,
            Scan::Open { data } if data > 0 => self.at_line_start = false,
            Scan::Open { .. } => {}
        }
        scan
    }

    fn find(&self, bytes: &[u8], boundaries: &[Boundary], end: bool) -> Scan {
        if boundaries.is_empty() {
            return Scan::Open { data: bytes.len() };
        }
        let first = self.at_line_start.then_some(0);
        let candidates = self.dashes.find_iter(bytes).map(|lf| lf + 1);
        for line in first.into_iter().chain(candidates) {
            let rest = bytes.get(line..).unwrap_or_default();
            let searched = rest.get(..LINE_LIMIT).unwrap_or(rest);
            let lf = memchr(b'\n', searched);
            let complete = lf.is_some() || end && searched.len() == rest.len();
            let text = lf.and_then(|lf| rest.get(..=lf)).unwrap_or(searched);
            let data = line_end_before(bytes, line);
            if complete {
                let found = boundaries
                    .iter()
                    .enumerate()
                    .rev()
                    .find_map(|(level, boundary)| Some((level, boundary.delimiter(text)?)));
                if let Some((level, delimiter)) = found {
                    let end = line + text.len();
                    return Scan::Found {
                        data,
                        line,
                        end,
                        level,
                        delimiter,
                    };
                }
            } else if searched.len() == rest.len() && boundaries.iter().any(|boundary| boundary.may_begin(text)) {
                return Scan::Open { data };
            }
        }
        if end {
            return Scan::Open { data: bytes.len() };
        }
        // A line end at the very end, with a dash after it perhaps, may be that of a delimiter; so may a CR.
        let data = match memrchr(b'\n', bytes) {
            Some(lf) if matches!(bytes.get(lf + 1..), Some([] | [b'-'])) => line_end_before(bytes, lf + 1),
            _ if bytes.ends_with(b"\r") => bytes.len() - 1,
            _ => bytes.len(),
        };
        Scan::Open { data }
    }
}

/// Where the line end before the line at `line` begins.
fn line_end_before(bytes: &[u8], line: usize) -> usize {
    match bytes.get(..line) {
        Some([.., b'\r', b'\n']) => line - 2,
        Some([.., b'\n']) => line - 1,
        _ => line,
    }
}
