//! Base64 to bytes, whatever the lines look like.

use base64_simd::STANDARD_NO_PAD;
use memchr::memchr;

use crate::mime::MimeError;

/// Input that is looked at in one go; bounds the scratch space.
const BLOCK: usize = 32 * 1024;

/// Decodes base64 in a stream.
///
/// Lines may have any length and any end; white space is passed over wherever it stands. Any other character that is not
/// base64 is an error, although RFC 2045 would have it ignored: in mail that carries a CMS object it means damage. What
/// follows the padding is ignored, since mailing lists append their footers there. Padding may be missing at the end;
/// a single left-over character is an error.
#[derive(Clone, Debug, Default)]
pub struct Base64Decoder {
    /// Characters that do not make three bytes yet, fewer than four; in the middle of a call, the text without line ends.
    text: Vec<u8>,
    padding: Padding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Padding {
    /// None yet.
    #[default]
    None,
    /// The first of two.
    Half,
    /// Complete: the data ends here.
    Complete,
}

impl Base64Decoder {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes base64, appends bytes to `out`.
    ///
    /// # Errors
    /// [`MimeError::Base64`] for a character that is not base64, or padding that does not fit.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), MimeError> {
        for block in input.chunks(BLOCK) {
            if self.padding == Padding::Complete {
                break;
            }
            self.push_block(block, out)?;
        }
        Ok(())
    }

    /// Ends the stream: appends what unpadded characters are left.
    ///
    /// # Errors
    /// [`MimeError::Base64`] if the text ends in the middle of a byte.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), MimeError> {
        if self.padding == Padding::Half {
            return Err(MimeError::Base64 {
                detail: "the second of two padding characters is missing",
            });
        }
        decode_rest(&self.text, out)?;
        self.text.clear();
        self.padding = Padding::Complete;
        Ok(())
    }

    fn push_block(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<(), MimeError> {
        if self.padding == Padding::None {
            let kept = self.text.len();
            strip_line_ends(block, &mut self.text);
            let whole = self.text.len() - self.text.len() % 4;
            let (decodable, rest) = self.text.split_at_checked(whole).unwrap_or_default();
            out.reserve(decodable.len());
            if rest.iter().all(is_base64) && STANDARD_NO_PAD.decode_append(decodable, out).is_ok() {
                self.text.drain(..whole);
                return Ok(());
            }
            self.text.truncate(kept);
        }
        self.push_slowly(block, out)
    }

    /// Character by character: for blocks that hold padding, white space within lines, or damage.
    fn push_slowly(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<(), MimeError> {
        for &character in block {
            match (character, self.padding) {
                (b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c, _) => {}
                (_, Padding::Complete) => break,
                (b'=', _) => self.pad(out)?,
                (_, Padding::Half) => {
                    return Err(MimeError::Base64 {
                        detail: "data after the first padding character",
                    });
                }
                _ if is_base64(&character) => self.text.push(character),
                _ => {
                    return Err(MimeError::Base64 {
                        detail: "a character that is not base64",
                    });
                }
            }
        }
        let whole = self.text.len() - self.text.len() % 4;
        decode_rest(self.text.get(..whole).unwrap_or_default(), out)?;
        self.text.drain(..whole);
        Ok(())
    }

    fn pad(&mut self, out: &mut Vec<u8>) -> Result<(), MimeError> {
        self.padding = match (self.text.len() % 4, self.padding) {
            (2, Padding::None) => Padding::Half,
            (2, Padding::Half) | (3, Padding::None) => Padding::Complete,
            _ => {
                return Err(MimeError::Base64 {
                    detail: "padding where none belongs",
                });
            }
        };
        if self.padding == Padding::Complete {
            decode_rest(&self.text, out)?;
            self.text.clear();
        }
        Ok(())
    }
}

fn is_base64(character: &u8) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, b'+' | b'/')
}

/// Appends the lines of `block` without their ends and without white space around them. White space in the middle of a line
/// stays, and goes the slow way.
fn strip_line_ends(mut block: &[u8], text: &mut Vec<u8>) {
    text.reserve(block.len());
    while let Some((line, rest)) = memchr(b'\n', block).and_then(|lf| block.split_at_checked(lf)) {
        text.extend_from_slice(line.trim_ascii());
        block = rest.get(1..).unwrap_or_default();
    }
    text.extend_from_slice(block.trim_ascii());
}

/// Decodes characters of the alphabet, without padding; bits beyond the last whole byte are dropped.
fn decode_rest(text: &[u8], out: &mut Vec<u8>) -> Result<(), MimeError> {
    let (whole, rest) = text
        .split_at_checked(text.len() - text.len() % 4)
        .unwrap_or((text, &[]));
    let damaged = |_| MimeError::Base64 {
        detail: "a character that is not base64",
    };
    out.reserve(text.len());
    STANDARD_NO_PAD.decode_append(whole, out).map_err(damaged)?;
    // `A` stands for six zero bits: it completes the group, and the bytes that it adds are taken away again.
    let (completed, surplus) = match *rest {
        [] => return Ok(()),
        [first, second] => ([first, second, b'A', b'A'], 2),
        [first, second, third] => ([first, second, third, b'A'], 1),
        _ => {
            return Err(MimeError::Base64 {
                detail: "it ends in the middle of a byte",
            });
        }
    };
    STANDARD_NO_PAD.decode_append(completed, out).map_err(damaged)?;
    out.truncate(out.len().saturating_sub(surplus));
    Ok(())
}
