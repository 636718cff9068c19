//! Messages as MIME: header sections, parts, transfer encodings, and the multipart and pkcs7-mime forms of S/MIME
//! (RFC 8551, section 3), all as streams in bounded memory.
//!
//! What the CMS objects inside mean is not known here. Who signs, verifies, encrypts or decrypts drives [`EntityMaker`]
//! towards a CMS object, and [`EntityReader`] from one.

mod address;
mod base64;
mod content_type;
mod crlf;
mod delimiter;
mod error;
mod fields;
mod header;
mod header_reader;
mod maker;
mod parameter;
mod quoted_printable;
mod reader;
mod seven_bit;
mod transfer_encoding;

pub use base64::{Base64Decoder, Base64Encoder};
pub use content_type::ContentType;
pub use crlf::{CrlfWriter, LineEnds};
pub use error::{Declared, MimeError, NotSevenBit, PartName};
pub use fields::{SmimeType, clear_signed_header, opaque_header, signature_part_header};
pub use header::{Field, Header};
pub use header_reader::HeaderReader;
pub use maker::{EightBit, EntityMaker};
pub use reader::{Carrier, EntityReader, EntitySink};
pub use transfer_encoding::TransferEncoding;
