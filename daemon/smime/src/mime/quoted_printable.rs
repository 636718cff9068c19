//! Text to quoted-printable (RFC 2045, section 6.7), with what relays like to change put out of their reach: white space
//! at the end of a line, and `From ` or a dot at the beginning of one (RFC 2049, section 3).

use memchr::memchr;

/// Characters in a line of output, without the `=` of a soft line break.
const WIDTH: usize = 75;
/// What relays escape at the beginning of a line.
const FROM: &[u8] = b"From ";
/// Bytes at the end of an unfinished line that are kept until more comes, so that [`FROM`] can be seen anywhere.
const AHEAD: usize = FROM.len();

/// Encodes a stream of text lines, ended by LF or CRLF, as quoted-printable.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuotedPrintableEncoder {
    held: Vec<u8>,
    column: usize,
}

impl QuotedPrintableEncoder {
    /// Takes text, appends its encoding to `out`.
    pub(crate) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(input);
        let mut rest = bytes.as_slice();
        while let Some(lf) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(lf).unwrap_or_default();
            self.finish_line(line.strip_suffix(b"\r").unwrap_or(line), out);
            out.extend_from_slice(b"\r\n");
            self.column = 0;
            rest = after.get(1..).unwrap_or_default();
        }
        let known = rest.len().saturating_sub(AHEAD);
        self.encode(rest, known, out);
        let unknown = bytes.len() - (rest.len() - known);
        bytes.drain(..unknown);
        self.held = bytes;
    }

    /// Ends the text; no line end is added.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.held);
        self.finish_line(&line, out);
        self.column = 0;
    }

    /// Encodes the rest of a line, whose end is known.
    fn finish_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        match line {
            [text @ .., space @ (b' ' | b'\t')] => {
                self.encode(line, text.len(), out);
                self.escape(*space, out);
            }
            text => self.encode(text, text.len(), out),
        }
    }

    /// Encodes the first `known` bytes of `text`; those after it are only looked at.
    fn encode(&mut self, text: &[u8], known: usize, out: &mut Vec<u8>) {
        let mut position = 0;
        while let Some(text_left) = text.get(position..).filter(|_| position < known) {
            let room = WIDTH.saturating_sub(self.column).min(known - position);
            let candidates = text_left.get(..room).unwrap_or_default();
            let literal = candidates.iter().position(|byte| !is_literal(byte)).unwrap_or(room);
            let is_protected = self.column == 0 && (text_left.starts_with(b".") || text_left.starts_with(FROM));
            match (candidates.get(..literal), text_left.first()) {
                (Some(run @ [_, ..]), _) if !is_protected => {
                    out.extend_from_slice(run);
                    self.column += run.len();
                    position += run.len();
                }
                (_, Some(byte)) if room > 0 => {
                    self.escape(*byte, out);
                    position += 1;
                }
                _ => self.break_line(out),
            }
        }
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
        if self.column + 3 > WIDTH {
            self.break_line(out);
        }
        let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or_default();
        out.extend_from_slice(&[b'=', digit(byte >> 4), digit(byte)]);
        self.column += 3;
    }

    fn break_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"=\r\n");
        self.column = 0;
    }
}

/// Whether a byte may stand for itself within a line.
fn is_literal(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'<' | b'>'..=b'~')
}
