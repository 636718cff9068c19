//! Elements of definite length, one after the other: how the small structures that [`super::CmsReader`] hands on are taken
//! apart. Indefinite lengths have been made definite before; what a value means is not known here.

use super::encode::{INTEGER, OCTET_STRING};
use super::head::{HeadReader, Length};

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// Its identifier octet.
    pub(crate) tag: u8,
    /// Its contents octets.
    pub(crate) contents: &'a [u8],
    /// All of it.
    pub(crate) whole: &'a [u8],
}

/// Something is not a sequence of well-formed elements of definite length, or not the elements that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Elements that stand one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// The elements inside the one element with `tag` that `octets` are.
    pub(crate) fn inside(tag: u8, octets: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Self::new(octets);
        let element = outer.required(tag)?;
        outer.end()?;
        Ok(Self::new(element.contents))
    }

    /// The next element, whatever it is.
    pub(crate) fn any(&mut self) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut reader = HeadReader::default();
        for (index, octet) in self.rest.iter().enumerate() {
            let Some(head) = reader.push(*octet, index as u64).map_err(|_| Malformed)? else {
                continue;
            };
            let Length::Definite(length) = head.length else {
                return Err(Malformed);
            };
            let body = index + 1;
            let end = usize::try_from(length)
                .ok()
                .and_then(|length| body.checked_add(length))
                .ok_or(Malformed)?;
            let (whole, rest) = self.rest.split_at_checked(end).ok_or(Malformed)?;
            self.rest = rest;
            return Ok(Some(Element {
                tag: head.tag,
                contents: whole.get(body..).unwrap_or_default(),
                whole,
            }));
        }
        Err(Malformed)
    }

    /// The next element, which must be there and have `tag`.
    pub(crate) fn required(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        self.optional(tag)?.ok_or(Malformed)
    }

    /// The next element if it has `tag`.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.first() == Some(&tag) {
            self.any()
        } else {
            Ok(None)
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    /// All that is left, if it is well-formed.
    pub(crate) fn all(mut self) -> Result<Vec<Element<'a>>, Malformed> {
        let mut all = Vec::new();
        while let Some(element) = self.any()? {
            all.push(element);
        }
        Ok(all)
    }

    /// The octets of the OCTET STRING that comes next.
    pub(crate) fn octet_string(&mut self) -> Result<&'a [u8], Malformed> {
        Ok(self.required(OCTET_STRING)?.contents)
    }

    /// The content octets of the INTEGER that comes next.
    pub(crate) fn integer(&mut self) -> Result<&'a [u8], Malformed> {
        Ok(self.required(INTEGER)?.contents)
    }
}
