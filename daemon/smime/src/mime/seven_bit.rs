//! Whether text passes every relay as it is (RFC 2045, section 2.7).

use memchr::memmem::find;
use memchr::{memchr, memchr_iter, memrchr};

use crate::mime::NotSevenBit;

/// Longest line with its CR.
const LINE_LIMIT: usize = 999;

/// Checks a stream in canonical form (every LF has a CR before it) for anything that is not 7bit data.
#[derive(Clone, Debug, Default)]
pub(crate) struct SevenBitCheck {
    /// Bytes of the line so far.
    line: usize,
    after_cr: bool,
}

impl SevenBitCheck {
    /// Takes bytes; something that is not 7bit, if there is.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<NotSevenBit> {
        if !bytes.is_ascii() {
            return Some(NotSevenBit::EightBit);
        }
        if memchr(0, bytes).is_some() {
            return Some(NotSevenBit::Nul);
        }
        // Since every LF has its CR, a CR too many is one that stands alone.
        let crs = memchr_iter(b'\r', bytes).count() + usize::from(self.after_cr);
        self.after_cr = bytes.last().map_or(self.after_cr, |&last| last == b'\r');
        if crs != memchr_iter(b'\n', bytes).count() + usize::from(self.after_cr) {
            return Some(NotSevenBit::BareCr);
        }
        self.measure_lines(bytes)
    }

    /// Something that is not 7bit at the end of the stream.
    pub(crate) fn end(&self) -> Option<NotSevenBit> {
        match self.after_cr {
            true => Some(NotSevenBit::BareCr),
            false => (self.line >= LINE_LIMIT).then_some(NotSevenBit::LongLine),
        }
    }

    /// Goes on by the last line end that the longest line would reach, so that few bytes are looked at.
    fn measure_lines(&mut self, mut rest: &[u8]) -> Option<NotSevenBit> {
        while !rest.is_empty() {
            let reach = (LINE_LIMIT + 1).saturating_sub(self.line);
            let window = rest.get(..reach).unwrap_or(rest);
            match memrchr(b'\n', window) {
                Some(lf) => {
                    self.line = 0;
                    rest = rest.get(lf + 1..).unwrap_or_default();
                }
                None => {
                    self.line += window.len();
                    if self.line > LINE_LIMIT {
                        return Some(NotSevenBit::LongLine);
                    }
                    rest = rest.get(window.len()..).unwrap_or_default();
                }
            }
        }
        None
    }
}

/// Whether canonical text has what some relay may change although it is 7bit: white space at the end of a line, or `From `
/// at the beginning of one. `complete`: the text does not go on.
pub(crate) fn is_fragile(text: &[u8], complete: bool) -> bool {
    text.starts_with(b"From ")
        || complete && text.ends_with(b" ")
        || complete && text.ends_with(b"\t")
        || [b"\r\nFrom ".as_slice(), b" \r\n", b"\t\r\n"]
            .iter()
            .any(|needle| find(text, needle).is_some())
}
