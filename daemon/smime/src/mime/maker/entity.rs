//! What becomes of one entity, decided from its header section and from what is around it.

use crate::limits::Limits;
use crate::mime::delimiter::Boundary;
use crate::mime::maker::EightBit;
use crate::mime::maker::leaf::{Leaf, LeafPart};
use crate::mime::{ContentType, Header, MimeError, PartName, TransferEncoding};

/// What an entity is born into.
#[derive(Clone, Debug)]
pub(super) struct Context {
    path: Vec<u32>,
    depth: usize,
    mode: Mode,
    place: Place,
    /// Without a Content-Type it is message/rfc822 (RFC 2046, section 5.1.5).
    in_digest: bool,
}

/// What may be done to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Make it 7-bit.
    Encode,
    /// Leave 8-bit content.
    Keep,
    /// Leave everything but line ends: a signature is over it.
    Signed,
}

/// Where an entity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the message: only its Content-* fields belong to the entity.
    Outermost,
    /// In a multipart.
    Part,
    /// In a message/rfc822.
    Embedded,
}

/// What follows a header section.
#[derive(Debug)]
pub(super) enum Body {
    Leaf(Leaf),
    Multipart {
        name: PartName,
        boundary: Boundary,
        /// Of its parts.
        context: Context,
    },
    /// A message inside a message, whose header section follows.
    Message(Context),
}

impl Context {
    /// Of the message itself.
    pub(super) fn message(eight_bit: EightBit) -> Self {
        Self {
            path: Vec::new(),
            depth: 0,
            mode: match eight_bit {
                EightBit::Encode => Mode::Encode,
                EightBit::Keep => Mode::Keep,
            },
            place: Place::Outermost,
            in_digest: false,
        }
    }

    /// Of part `number` in a multipart whose parts have this context.
    pub(super) fn part(&self, number: u32) -> Self {
        let mut context = self.clone();
        context.path.push(number);
        context
    }

    pub(super) fn is_outermost(&self) -> bool {
        self.place == Place::Outermost
    }

    /// For error messages.
    pub(super) fn name(&self, content_type: Option<&ContentType>) -> PartName {
        PartName {
            path: self.path.clone(),
            media_type: content_type.map(|content_type| content_type.media_type.clone()),
        }
    }

    /// Reads the header section, writes it to `entity` unless that has to wait for the body, and says what follows.
    /// `blank`: a blank line ended it.
    pub(super) fn begin(
        &self,
        header: &Header,
        blank: bool,
        limits: &Limits,
        entity: &mut Vec<u8>,
    ) -> Result<Body, MimeError> {
        let content_type = match (header.has("Content-Type"), self.in_digest) {
            (false, true) => ContentType::message(),
            _ => header.content_type(),
        };
        let name = self.name(Some(&content_type));
        header.refuse_duplicates(&name)?;
        let encoding = header.transfer_encoding();
        let blank = blank || self.is_outermost();
        let is_identity = matches!(
            encoding,
            TransferEncoding::SevenBit | TransferEncoding::EightBit | TransferEncoding::Binary
        );
        let is_multipart = content_type.kind() == "multipart";
        if !is_identity || !(is_multipart || content_type.media_type == "message/rfc822") {
            let part = LeafPart {
                header: header.clone(),
                name,
                place: self.place,
                mode: self.mode,
                encoding,
                is_text: matches!(content_type.kind(), "text" | "message"),
                lacks_type: self.is_outermost() && !header.has("Content-Type"),
                lookahead: limits.lookahead_len,
            };
            return Ok(Body::Leaf(Leaf::begin(part, blank, entity)));
        }
        if self.depth >= limits.nesting {
            return Err(MimeError::NestingTooDeep {
                part: name,
                limit: limits.nesting,
            });
        }
        // What is inside will be 7-bit, and so will this be.
        let is_signed = content_type.media_type == "multipart/signed";
        let becomes_seven_bit = self.mode == Mode::Encode && !is_signed && encoding != TransferEncoding::SevenBit;
        let encoding = becomes_seven_bit.then_some(TransferEncoding::SevenBit);
        HeaderChange {
            encoding,
            charset: None,
        }
        .write(header, self.place, blank, entity);
        let inside = Self {
            path: self.path.clone(),
            depth: self.depth + 1,
            mode: if is_signed { Mode::Signed } else { self.mode },
            place: if is_multipart { Place::Part } else { Place::Embedded },
            in_digest: content_type.media_type == "multipart/digest",
        };
        Ok(match is_multipart {
            true => Body::Multipart {
                boundary: Boundary::of(&content_type, &name)?,
                name,
                context: inside,
            },
            false => Body::Message(inside),
        })
    }
}

/// What is different in the header section that is written.
#[derive(Debug, Default)]
pub(super) struct HeaderChange {
    /// A new Content-Transfer-Encoding.
    pub(super) encoding: Option<TransferEncoding>,
    /// Content-Type is missing, and is to be text/plain in this character set.
    pub(super) charset: Option<&'static str>,
}

impl HeaderChange {
    /// Writes the section as CRLF lines, with a blank line if `blank`.
    pub(super) fn write(&self, header: &Header, place: Place, blank: bool, entity: &mut Vec<u8>) {
        const ENCODING: &str = "Content-Transfer-Encoding";
        if let Some(charset) = self.charset {
            entity.extend_from_slice(format!("Content-Type: text/plain; charset={charset}\r\n").as_bytes());
        }
        let new_encoding = self
            .encoding
            .as_ref()
            .map(|encoding| format!("{ENCODING}: {encoding}\r\n"));
        for field in header
            .fields()
            .filter(|field| place != Place::Outermost || field.is_content())
        {
            match &new_encoding {
                Some(line) if field.is_named(ENCODING) => entity.extend_from_slice(line.as_bytes()),
                _ => field.write(entity),
            }
        }
        if let Some(line) = new_encoding.filter(|_| !header.has(ENCODING)) {
            if place == Place::Embedded && !header.has("MIME-Version") {
                entity.extend_from_slice(b"MIME-Version: 1.0\r\n");
            }
            entity.extend_from_slice(line.as_bytes());
        }
        if blank {
            entity.extend_from_slice(b"\r\n");
        }
    }
}
