//! What can be wrong with a message as MIME. Nothing here depends on a key, so all of it may be told to the caller.

use thiserror::Error;

/// A message that cannot be read, or cannot be made into an S/MIME message. Trying again with the same bytes does not
/// help.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MimeError {
    /// A header section is longer than [`Limits::header_len`](crate::limits::Limits::header_len).
    #[error("the header section of {part} is longer than {limit} bytes; shorten it or raise the limit")]
    HeaderTooLong {
        /// Which part.
        part: PartName,
        /// The limit in bytes.
        limit: usize,
    },
    /// A line in a header section is neither a field nor the continuation of one (RFC 5322, section 2.2).
    #[error("line {line} of the header section of {part} is no header field: it has no colon after a field name")]
    HeaderLine {
        /// Which part.
        part: PartName,
        /// Counted from 1.
        line: usize,
    },
    /// A field that says how to read the message stands there twice, and readers would disagree.
    #[error("{part} has more than one {field} field; leave one")]
    DuplicateField {
        /// Which part.
        part: PartName,
        /// Name of the field.
        field: &'static str,
    },
    /// A multipart without a usable boundary parameter (RFC 2046, section 5.1.1).
    #[error("{part} is a multipart, but its boundary parameter is missing, empty or longer than {limit} characters")]
    Boundary {
        /// Which part.
        part: PartName,
        /// Longest boundary that is accepted.
        limit: usize,
    },
    /// Parts within parts beyond [`Limits::nesting`](crate::limits::Limits::nesting).
    #[error("{part} lies deeper than {limit} levels of parts; flatten the message or raise the limit")]
    NestingTooDeep {
        /// Which part.
        part: PartName,
        /// The limit in levels.
        limit: usize,
    },
    /// A multipart whose closing delimiter is missing: most likely the message was cut off.
    #[error("the closing delimiter `--{boundary}--` of {part} is missing; the message seems to be cut off")]
    Unterminated {
        /// Which part.
        part: PartName,
        /// The boundary.
        boundary: String,
    },
    /// Only 7-bit text can be signed safely, and this part was found to be something else too late to encode it.
    #[error(
        "{part} {declared}, but has {found} after the first {lookahead} bytes, and relays may change that; encode it as \
         quoted-printable or base64, or declare `Content-Transfer-Encoding: 8bit`, and sign again"
    )]
    NotSevenBit {
        /// Which part.
        part: PartName,
        /// What its header section says.
        declared: Declared,
        /// What was found.
        found: NotSevenBit,
        /// How far the look-ahead reached, in bytes.
        lookahead: usize,
    },
    /// A part says that it is encoded, and holds bytes that no encoding to 7-bit text produces.
    #[error("{part} is declared {encoding}, but has {found}; encode it correctly and sign again")]
    BadlyEncoded {
        /// Which part.
        part: PartName,
        /// Its Content-Transfer-Encoding.
        encoding: String,
        /// What was found.
        found: NotSevenBit,
    },
    /// The message to open is no S/MIME message.
    #[error("the message is `{media_type}`, which is no S/MIME message")]
    NotSmime {
        /// Its media type.
        media_type: String,
    },
    /// multipart/signed with a protocol other than application/pkcs7-signature.
    #[error("the message is signed with `{protocol}`, not with S/MIME (application/pkcs7-signature)")]
    Protocol {
        /// Its protocol parameter.
        protocol: String,
    },
    /// multipart/signed must have exactly two parts (RFC 1847, section 2.1).
    #[error("a multipart/signed message has exactly two parts, the content and its signature; this one has {found}")]
    SignedParts {
        /// How many there are: `none`, `one`, `more`.
        found: &'static str,
    },
    /// The second part of a multipart/signed is no CMS signature.
    #[error("the second part of the multipart/signed message is `{media_type}`, not application/pkcs7-signature")]
    SignaturePart {
        /// Its media type.
        media_type: String,
    },
    /// A CMS object in a transfer encoding other than base64, 7bit, 8bit or binary.
    #[error("the CMS object is in the transfer encoding `{encoding}`; only base64 and binary can be read")]
    TransferEncoding {
        /// The encoding.
        encoding: String,
    },
    /// Where a CMS object should be, there is none: neither base64 nor BER nor PEM.
    #[error("the body holds no CMS object: it is neither base64 nor BER")]
    NotCms,
    /// Where a CMS object should be, there is nothing at all.
    #[error("the body is empty where a CMS object should be")]
    EmptyBody,
    /// PEM armour that is cut off or of another kind.
    #[error("the PEM armour is damaged: {detail}")]
    Pem {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// Base64 that cannot be decoded (RFC 2045, section 6.8).
    #[error("base64 is damaged: {detail}")]
    Base64 {
        /// What is wrong with it.
        detail: &'static str,
    },
}

/// Which part of a message an error is about: numbers as IMAP counts them (`2.1`), none for the message itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartName {
    /// Positions from the outside in, each counted from 1.
    pub path: Vec<u32>,
    /// Its media type, if that has been read.
    pub media_type: Option<String>,
}

impl std::fmt::Display for PartName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            f.write_str("the message")?;
        } else {
            f.write_str("part ")?;
            for (position, number) in self.path.iter().enumerate() {
                if position > 0 {
                    f.write_str(".")?;
                }
                write!(f, "{number}")?;
            }
        }
        match &self.media_type {
            Some(media_type) => write!(f, " ({media_type})"),
            None => Ok(()),
        }
    }
}

/// What a part says about its transfer encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// It has no Content-Transfer-Encoding.
    Nothing,
    /// It says 7bit.
    SevenBit,
}

impl std::fmt::Display for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "declares no transfer encoding",
            Self::SevenBit => "is declared 7bit",
        })
    }
}

/// Why bytes are not 7bit data (RFC 2045, section 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSevenBit {
    /// A byte above 127.
    EightBit,
    /// A NUL.
    Nul,
    /// A CR without LF.
    BareCr,
    /// A line of more than 998 bytes.
    LongLine,
}

impl std::fmt::Display for NotSevenBit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EightBit => "an 8-bit byte",
            Self::Nul => "a NUL byte",
            Self::BareCr => "a CR without LF",
            Self::LongLine => "a line of more than 998 bytes",
        })
    }
}
