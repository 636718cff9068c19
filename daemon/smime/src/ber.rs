//! BER of the outermost layers: a streaming reader and a streaming writer for the CMS objects whose content must not be
//! held in memory (SignedData, EnvelopedData, AuthEnvelopedData of RFC 5652 and RFC 5083).
//!
//! Here live the framing rules of X.690: tags, lengths, end-of-contents, constructed strings. What stands inside the small
//! elements (recipient infos, signer infos, certificates) is handed on whole, with definite lengths, and is parsed by
//! others.
//!
//! ```text
//!   bytes, cut anywhere ──► CmsReader ──► CmsVisitor: content_type, element…, content…, content_end, element…
//!                              │
//!                              ├ head       one tag and length, octet by octet
//!                              ├ grammar    which element may come next, and what is done with it
//!                              └ definite   indefinite lengths and constructed strings made definite
//! ```

mod definite;
pub(crate) mod element;
pub(crate) mod encode;
mod grammar;
mod head;
mod reader;
mod writer;

pub use definite::to_definite;
pub use grammar::Field;
pub(crate) use grammar::ID_SIGNED_DATA;
pub use reader::{CmsReader, CmsVisitor};
pub use writer::CmsWriter;

use const_oid::ObjectIdentifier;

/// Why a CMS object cannot be read. None of it depends on secrets; none of it goes away by trying again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BerError {
    /// A tag number above 30, which no CMS structure uses.
    #[error(
        "the CMS object is malformed: at offset {offset} there is a tag of more than one octet, which CMS does not use"
    )]
    MultiByteTag {
        /// Octets from the beginning of the object.
        offset: u64,
    },
    /// A reserved or oversized length, or an indefinite length on a primitive element.
    #[error("the CMS object is malformed: the length at offset {offset} is not valid BER")]
    InvalidLength {
        /// Octets from the beginning of the object.
        offset: u64,
    },
    /// An element is longer than the one around it.
    #[error("the CMS object is malformed: the element at offset {offset} does not fit into the one around it")]
    Overrun {
        /// Octets from the beginning of the object.
        offset: u64,
    },
    /// More elements inside one another than the limit allows.
    #[error("the CMS object is nested more than {limit} levels deep")]
    TooDeep {
        /// The limit on nesting.
        limit: usize,
    },
    /// An element that has to be held in memory is longer than the limit allows.
    #[error("the {element} of the CMS object is longer than {limit} bytes")]
    ElementTooLong {
        /// Its name in the standard.
        element: &'static str,
        /// The limit on one element, in bytes.
        limit: usize,
    },
    /// Something stands where it must not.
    #[error("the CMS object is malformed: tag {tag:#04x} at offset {offset} does not belong into {within}")]
    Unexpected {
        /// The identifier octet.
        tag: u8,
        /// Octets from the beginning of the object.
        offset: u64,
        /// Where it stands, by its name in the standard.
        within: &'static str,
    },
    /// A mandatory element is missing.
    #[error("the CMS object is malformed: {within} ends at offset {offset} before it is complete")]
    Incomplete {
        /// Octets from the beginning of the object.
        offset: u64,
        /// What is not complete, by its name in the standard.
        within: &'static str,
    },
    /// The input ends before the object does.
    #[error("the CMS object is truncated: the input ends at offset {offset}")]
    Truncated {
        /// Octets from the beginning of the object.
        offset: u64,
    },
    /// Something other than zero octets and white space follows the object.
    #[error("there is something behind the end of the CMS object, at offset {offset}")]
    TrailingData {
        /// Octets from the beginning of the object.
        offset: u64,
    },
    /// The object identifier of the content type cannot be read.
    #[error("the content type of the CMS object is not a valid object identifier")]
    InvalidContentType,
    /// The reader knows SignedData, EnvelopedData and AuthEnvelopedData alone.
    #[error("CMS objects of type {0} are not supported")]
    UnsupportedContentType(ObjectIdentifier),
}

#[cfg(test)]
mod tests;
