//! Pure S/MIME.
#![forbid(unsafe_code)]

pub mod algorithm;
pub mod ber;
pub mod certificate;
mod cipher;
pub mod decrypt;
pub mod digest;
pub mod encrypt;
pub mod limits;
pub mod mime;
mod recipient;

#[cfg(test)]
mod test_rng;
