//! Pure S/MIME: signed and encrypted messages made and opened as streams, in constant memory. Bytes and a time go in, bytes,
//! questions and a report come out; no file, socket, clock or private key is known here.
//!
//! What a private key has to do is said to the caller (`chanceryd`), who sees to it that it is done and brings back the
//! result. Who may use which key, and whether a certificate is to be trusted, is decided elsewhere.
//!
//! ```text
//!   sign, encrypt    message ──► mime::EntityMaker ──► cipher, digest ──► ber::CmsWriter ──► message
//!   verify, decrypt  message ──► mime::EntityReader ──► ber::CmsReader ──► cipher, digest ──► content, report
//!                                                        └► recipient, signature, certificate
//! ```
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
mod test_hex;
#[cfg(test)]
mod test_rng;
