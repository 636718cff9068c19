//! Line ends: the canonical form is CRLF (RFC 8551, section 3.1.1).

use memchr::memchr_iter;

/// Line ends of a message as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnds {
    /// CR LF, as on the wire.
    Crlf,
    /// LF alone, as in files on Unix.
    Lf,
}

/// Makes every LF without a CR before it into CRLF, in a stream. A CR that no LF follows is left alone.
#[derive(Clone, Debug, Default)]
pub struct CrlfWriter {
    after_cr: bool,
}

impl CrlfWriter {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `input` in canonical form to `out`. There is nothing to do at the end of the stream.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Some(&last) = input.last() else { return };
        out.reserve(input.len());
        let mut copied = 0;
        for lf in memchr_iter(b'\n', input) {
            let after_cr = match lf.checked_sub(1) {
                Some(before) => input.get(before) == Some(&b'\r'),
                None => self.after_cr,
            };
            if !after_cr {
                out.extend_from_slice(input.get(copied..lf).unwrap_or_default());
                out.push(b'\r');
                copied = lf;
            }
        }
        out.extend_from_slice(input.get(copied..).unwrap_or_default());
        self.after_cr = last == b'\r';
    }
}
