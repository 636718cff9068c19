//! What the daemon does, one operation a file. Every operation on a private key goes the same way, in
//! [`private_key::run`]: the caller's grant, the intent in the audit trail, the token, the outcome in the audit trail, the
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
//! gRPC is not known here. A clock is not read here either: the time comes in with the [`Call`].

pub mod agree;
mod context;
pub mod decrypt;
mod error;
pub mod identities;
mod invalid;
mod kdf;
pub mod keys;
mod page;
#[allow(dead_code, reason = "the streams of MailService go through it")]
mod pipeline;
mod point;
mod private_key;
mod rejection;
pub mod sign;
pub mod tokens;

pub use context::{Call, Context, Settings};
pub use error::OpError;
pub use invalid::Invalid;
pub use page::{Page, PageRequest};
pub use pipeline::{CONTENT_LIMIT, Sink};
