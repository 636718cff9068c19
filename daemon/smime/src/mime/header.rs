//! One header section: the lines as they came, and the fields in them (RFC 5322, section 2.2).

use std::ops::Range;

use memchr::{memchr, memchr2};

use crate::mime::address::addresses;
use crate::mime::{ContentType, LineEnds, MimeError, PartName, TransferEncoding};

/// The header section of one entity, lines kept as received and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    raw: Vec<u8>,
    fields: Vec<Range<usize>>,
}

/// One field of a header section, with its continuation lines.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    raw: &'a [u8],
}

impl Header {
    /// Reads a header section, with or without the blank line that ends it; what follows a blank line is ignored. Lines end
    /// in LF or CRLF, the last one may lack its end. White space before the colon is tolerated (RFC 5322, section 4.5),
    /// and so is an mbox `From ` line at the top.
    ///
    /// # Errors
    /// [`MimeError::HeaderLine`] for a line that is neither a field nor the continuation of one.
    pub fn parse(raw: &[u8]) -> Result<Self, MimeError> {
        let mut fields: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for number in 1.. {
            let rest = raw.get(start..).unwrap_or_default();
            let end = start + memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
            let line = raw.get(start..end).unwrap_or_default();
            if without_line_end(line).is_empty() {
                break;
            }
            match (line.first(), fields.last_mut()) {
                (Some(b' ' | b'\t'), Some(field)) => field.end = end,
                _ if is_field(line) || (number == 1 && is_mbox_line(line)) => fields.push(start..end),
                _ => {
                    return Err(MimeError::HeaderLine {
                        part: PartName::default(),
                        line: number,
                    });
                }
            }
            start = end;
        }
        Ok(Self {
            raw: raw.get(..start).unwrap_or_default().to_vec(),
            fields,
        })
    }

    /// The lines as received, without the blank line.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The line ends of the section, judged by its first line; CRLF if there is none.
    #[must_use]
    pub fn line_ends(&self) -> LineEnds {
        match memchr(b'\n', &self.raw).map(|lf| self.raw.get(..lf).unwrap_or_default()) {
            Some(line) if !line.ends_with(b"\r") => LineEnds::Lf,
            _ => LineEnds::Crlf,
        }
    }

    /// Every field, in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().map(|range| Field {
            raw: self.raw.get(range.clone()).unwrap_or_default(),
        })
    }

    /// Value of the first field of this name, unfolded and without white space around it. Case does not matter.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        self.named(name).next().map(|field| field.value())
    }

    /// The addr-specs of all From fields: domains in lower case, local parts without needless quotes. Where an address
    /// should be and none can be read, the text is returned as it stands, so that a comparison with a certificate fails.
    #[must_use]
    pub fn from_addresses(&self) -> Vec<String> {
        self.named("From").flat_map(|field| addresses(&field.value())).collect()
    }

    /// The addr-specs of all Sender fields, in the form that [`Header::from_addresses`] has. RFC 5322 allows one field.
    pub(crate) fn sender_addresses(&self) -> Vec<String> {
        self.named("Sender")
            .flat_map(|field| addresses(&field.value()))
            .collect()
    }

    /// The addr-spec of the Sender field, in the form that [`Header::from_addresses`] has.
    #[must_use]
    pub fn sender_address(&self) -> Option<String> {
        self.sender_addresses().into_iter().next()
    }

    /// What the entity is. Without a readable Content-Type field: `text/plain` (RFC 2045, section 5.2).
    #[must_use]
    pub fn content_type(&self) -> ContentType {
        self.field("Content-Type")
            .and_then(|value| ContentType::parse(&value))
            .unwrap_or_default()
    }

    /// How the body is encoded. Without a Content-Transfer-Encoding field: 7bit (RFC 2045, section 6.1).
    #[must_use]
    pub fn transfer_encoding(&self) -> TransferEncoding {
        self.field("Content-Transfer-Encoding")
            .map_or(TransferEncoding::SevenBit, |value| TransferEncoding::parse(&value))
    }

    /// The fields that stay outside of an S/MIME layer: all but Content-* and MIME-Version. CRLF lines, no blank line.
    #[must_use]
    pub fn outer_fields(&self) -> Vec<u8> {
        self.lines_of(|field| !field.is_content() && !field.is_named("MIME-Version"))
    }

    /// The Content-* fields, which describe the body and move inside with it. CRLF lines, no blank line.
    #[must_use]
    pub fn content_fields(&self) -> Vec<u8> {
        self.lines_of(|field| field.is_content())
    }

    /// Every field for which `keep` says so, as CRLF lines.
    pub(crate) fn lines_of(&self, keep: impl Fn(&Field<'_>) -> bool) -> Vec<u8> {
        let mut lines = Vec::with_capacity(self.raw.len());
        for field in self.fields().filter(keep) {
            field.write(&mut lines);
        }
        lines
    }

    /// Whether a line has a CR that does not end it, or a NUL: some readers end a line there, and see other fields.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.raw
            .split_inclusive(|&byte| byte == b'\n')
            .any(|line| memchr2(b'\r', 0, without_line_end(line)).is_some())
    }

    /// Whether lines that need not be a header section have one that would be a From or Sender field.
    pub(crate) fn has_line_of_an_author(lines: &[u8]) -> bool {
        lines.split_inclusive(|&byte| byte == b'\n').any(|raw| {
            let field = Field { raw };
            is_field(raw) && (field.is_named("From") || field.is_named("Sender"))
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// Refuses a section in which one of the fields that decide how the body is read stands twice.
    pub(crate) fn refuse_duplicates(&self, part: &PartName) -> Result<(), MimeError> {
        for field in ["Content-Type", "Content-Transfer-Encoding"] {
            if self.named(field).nth(1).is_some() {
                return Err(MimeError::DuplicateField {
                    part: part.clone(),
                    field,
                });
            }
        }
        Ok(())
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Field<'a>> {
        self.fields().filter(move |field| field.is_named(name))
    }
}

impl<'a> Field<'a> {
    /// The name as received, empty for an mbox line.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        memchr(b':', self.raw)
            .and_then(|colon| self.raw.get(..colon))
            .map_or(b"", <[u8]>::trim_ascii_end)
    }

    /// The value, unfolded and without white space around it. Bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn value(&self) -> String {
        let value = memchr(b':', self.raw)
            .and_then(|colon| self.raw.get(colon + 1..))
            .unwrap_or_default();
        let mut unfolded = Vec::with_capacity(value.len());
        for line in value.split_inclusive(|&byte| byte == b'\n') {
            unfolded.extend_from_slice(without_line_end(line));
        }
        String::from_utf8_lossy(unfolded.trim_ascii()).into_owned()
    }

    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    pub(crate) fn is_content(&self) -> bool {
        self.name()
            .get(..8)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"Content-"))
    }

    /// Appends the lines of the field with CRLF line ends.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for line in self.raw.split_inclusive(|&byte| byte == b'\n') {
            out.extend_from_slice(without_line_end(line));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// A line without its LF or CRLF.
pub(crate) fn without_line_end(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => line,
    }
}

fn is_field(line: &[u8]) -> bool {
    let name = memchr(b':', line)
        .and_then(|colon| line.get(..colon))
        .map_or(&b""[..], <[u8]>::trim_ascii_end);
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

fn is_mbox_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}
