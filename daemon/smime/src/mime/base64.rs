//! Base64 as mail uses it (RFC 2045, section 6.8), in streams. The arithmetic is base64-simd's; what lives here are lines,
//! chunks and everything that senders get wrong.

mod decoder;
mod encoder;

pub use decoder::Base64Decoder;
pub use encoder::Base64Encoder;
