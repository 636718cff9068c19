//! Elements as DER frames them: indefinite lengths made definite, lengths in the fewest octets, constructed OCTET STRINGs
//! joined. Values are left as they are: nothing is sorted, and nothing inside primitive elements is looked at.

use super::BerError;
use super::encode::{OCTET_STRING, push_length, push_tlv};
use super::head::{Head, HeadReader, Length};
use crate::limits::Limits;

const CONSTRUCTED_OCTET_STRING: u8 = OCTET_STRING | 0x20;

/// One element, complete, with definite lengths at every level.
///
/// Constructed OCTET STRINGs (universal tag) come out primitive; those under an IMPLICIT tag cannot be told from other
/// constructed elements and stay as they are.
///
/// # Errors
/// [`BerError`] if `ber` is not exactly one well-formed element, or is nested deeper than `limits.nesting`.
pub fn to_definite(ber: &[u8], limits: &Limits) -> Result<Vec<u8>, BerError> {
    let walk = Walk {
        ber,
        max_depth: limits.nesting,
    };
    let mut out = Vec::with_capacity(ber.len());
    let end = walk.element(0, ber.len(), 0, &mut out)?;
    if end != ber.len() {
        return Err(BerError::TrailingData { offset: end as u64 });
    }
    Ok(out)
}

struct Walk<'a> {
    ber: &'a [u8],
    max_depth: usize,
}

impl Walk<'_> {
    /// Appends the element at `start`, which ends at `limit` at the latest; says where it ends.
    fn element(&self, start: usize, limit: usize, depth: usize, out: &mut Vec<u8>) -> Result<usize, BerError> {
        let (head, body) = self.head(start, limit)?;
        if head.tag == 0 {
            return Err(BerError::Unexpected {
                tag: 0,
                offset: start as u64,
                within: "an element of definite length",
            });
        }
        if !head.is_constructed() {
            let end = self.end_of(head, body, limit)?.unwrap_or(limit);
            push_tlv(head.tag, self.slice(body, end), out);
            return Ok(end);
        }
        let mut contents = Vec::new();
        let (tag, end) = if head.tag == CONSTRUCTED_OCTET_STRING {
            (OCTET_STRING, self.pieces(head, body, limit, depth, &mut contents)?)
        } else {
            let end = self.children(head, body, limit, depth, |at, limit| {
                self.element(at, limit, depth + 1, &mut contents)
            })?;
            (head.tag, end)
        };
        out.push(tag);
        push_length(contents.len(), out);
        out.extend_from_slice(&contents);
        Ok(end)
    }

    /// Appends the octets of all pieces of a constructed OCTET STRING.
    fn pieces(
        &self,
        head: Head,
        body: usize,
        limit: usize,
        depth: usize,
        contents: &mut Vec<u8>,
    ) -> Result<usize, BerError> {
        self.children(head, body, limit, depth, |at, limit| {
            let (piece, body) = self.head(at, limit)?;
            match piece.tag {
                OCTET_STRING => {
                    let end = self.end_of(piece, body, limit)?.unwrap_or(limit);
                    contents.extend_from_slice(self.slice(body, end));
                    Ok(end)
                }
                CONSTRUCTED_OCTET_STRING => self.pieces(piece, body, limit, depth + 1, contents),
                tag => Err(BerError::Unexpected {
                    tag,
                    offset: at as u64,
                    within: "a constructed OCTET STRING",
                }),
            }
        })
    }

    /// Calls `child` for the beginning of each child; it says where that child ends. Returns where the parent ends.
    fn children(
        &self,
        head: Head,
        body: usize,
        limit: usize,
        depth: usize,
        mut child: impl FnMut(usize, usize) -> Result<usize, BerError>,
    ) -> Result<usize, BerError> {
        if depth >= self.max_depth {
            return Err(BerError::TooDeep { limit: self.max_depth });
        }
        let mut at = body;
        match self.end_of(head, body, limit)? {
            Some(end) => {
                while at < end {
                    at = child(at, end)?;
                }
                Ok(end)
            }
            None => loop {
                let (next, behind) = self.head(at, limit)?;
                if next.is_end_of_contents() {
                    return Ok(behind);
                }
                at = child(at, limit)?;
            },
        }
    }

    /// The head at `start` and where the contents begin.
    fn head(&self, start: usize, limit: usize) -> Result<(Head, usize), BerError> {
        let mut reader = HeadReader::default();
        for (offset, octet) in self.ber.iter().enumerate().take(limit).skip(start) {
            if let Some(head) = reader.push(*octet, offset as u64)? {
                return Ok((head, offset + 1));
            }
        }
        Err(BerError::Truncated { offset: limit as u64 })
    }

    /// Where contents of definite length end.
    fn end_of(&self, head: Head, body: usize, limit: usize) -> Result<Option<usize>, BerError> {
        let Length::Definite(length) = head.length else {
            return Ok(None);
        };
        usize::try_from(length)
            .ok()
            .and_then(|length| body.checked_add(length))
            .filter(|end| *end <= limit)
            .map(Some)
            .ok_or(BerError::Overrun { offset: body as u64 })
    }

    fn slice(&self, start: usize, end: usize) -> &[u8] {
        self.ber.get(start..end).unwrap_or_default()
    }
}
