//! Pure S/MIME.
#![forbid(unsafe_code)]

pub mod algorithm;
pub mod ber;
pub mod certificate;
pub mod digest;
pub mod limits;
pub mod mime;
