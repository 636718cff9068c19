//! Pure S/MIME.
#![forbid(unsafe_code)]

pub mod algorithm;
mod attributes;
pub mod ber;
pub mod certificate;
mod cipher;
pub mod decrypt;
pub mod digest;
pub mod encrypt;
pub mod limits;
pub mod mime;
mod recipient;
pub mod report;
pub mod sign;
mod signature;
pub mod verify;

#[cfg(test)]
mod test_rng;
