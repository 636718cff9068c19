//! What the daemon does, one operation a file. Every operation on a private key goes the same way, in
//! `private_key::run`: the caller's grant, the intent in the audit trail, the token, the outcome in the audit trail, the
//! answer.
//!
//! ```text
//!   grpc ──► ops ──┬──► directory   which key, which token
//!                  ├──► policy      may this caller?
//!                  ├──► audit       intent, outcome
//!                  ├──► smime       bytes in, bytes out, on a blocking thread when there are many
//!                  └──► token       the only place where a private key is used
//! ```
//!
//! gRPC is not known here. Nobody asks what time it is here either: that comes in with the [`Call`].

mod admission;
pub mod agents;
pub mod agree;
mod context;
pub mod decrypt;
mod error;
pub mod identities;
mod invalid;
mod kdf;
pub mod keys;
pub mod mail_decrypt;
pub mod mail_encrypt;
pub mod mail_sign;
pub mod mail_verify;
mod page;
mod pin;
mod pipeline;
mod point;
mod private_key;
mod random;
mod rejection;
mod sender;
pub mod sign;
mod smime_error;
pub mod tokens;
mod turn;

#[cfg(test)]
mod tests;

pub use admission::Place;
pub use context::{Call, Context, Settings};
pub use error::OpError;
pub use invalid::Invalid;
pub use page::{Page, PageRequest};
pub use pipeline::{CONTENT_LIMIT, Sink};
pub use turn::Turn;
