//! Pure S/MIME.
#![forbid(unsafe_code)]

pub mod ber;
pub mod limits;
