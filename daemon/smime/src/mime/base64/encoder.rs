//! Bytes to base64 in lines of 64 characters.

use base64_simd::{AsOut, STANDARD};

/// Characters in a line of output, as OpenSSL and RFC 7468 have it; RFC 2045 allows 76.
const LINE: usize = 64;
/// Bytes that make a line.
const LINE_BYTES: usize = LINE / 4 * 3;
/// A line with its CRLF.
const LINE_WITH_END: usize = LINE + 2;
/// Lines that are encoded at once.
const BATCH: usize = 64;

/// Encodes a stream as base64 in lines of 64 characters, each ended by CRLF.
#[derive(Clone, Debug, Default)]
pub struct Base64Encoder {
    /// Bytes that do not make a line yet: fewer than [`LINE_BYTES`].
    rest: Vec<u8>,
}

impl Base64Encoder {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes, appends whole lines to `out`.
    pub fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            let missing = LINE_BYTES.saturating_sub(self.rest.len());
            let Some((first, others)) = input.split_at_checked(missing) else {
                self.rest.extend_from_slice(input);
                return;
            };
            self.rest.extend_from_slice(first);
            encode_lines(&self.rest, out);
            self.rest.clear();
            input = others;
        }
        let whole = input.len() - input.len() % LINE_BYTES;
        if let Some((lines, rest)) = input.split_at_checked(whole) {
            encode_lines(lines, out);
            self.rest.extend_from_slice(rest);
        }
    }

    /// Appends the last, shorter line, with padding and CRLF. Nothing if there is nothing left.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            STANDARD.encode_append(&self.rest, out);
            out.extend_from_slice(b"\r\n");
            self.rest.clear();
        }
    }
}

/// `input` is a whole number of lines.
fn encode_lines(input: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + input.len() / LINE_BYTES * LINE_WITH_END, 0);
    let Some(lines) = out.get_mut(start..) else { return };
    let mut text = [0; LINE * BATCH];
    let batches = lines.chunks_mut(LINE_WITH_END * BATCH);
    for (bytes, lines) in input.chunks(LINE_BYTES * BATCH).zip(batches) {
        let text = STANDARD.encode(bytes, text.as_mut_slice().as_out());
        let (text, _) = text.as_chunks::<LINE>();
        let (lines, _) = lines.as_chunks_mut::<LINE_WITH_END>();
        for (text, [line @ .., cr, lf]) in text.iter().zip(lines) {
            *line = *text;
            *cr = b'\r';
            *lf = b'\n';
        }
    }
}
