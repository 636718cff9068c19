//! The caller's side of chanceryd: sign, encrypt, decrypt and verify S/MIME with keys that stay on their token.
//!
//! A [`Client`] is one connection to the daemon, cheap to clone and fit for many calls at once. Whole messages pass
//! through it as streams in constant memory, whatever their size:
//!
//! ```no_run
//! use chancery::{Client, v1};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), chancery::Error> {
//!     let client = Client::connect("unix:/run/chancery/chanceryd.sock").await?;
//!
//!     let message: &[u8] = b"From: Alice <alice@example.org>\r\nSubject: Hello\r\n\r\nHello, Bob.\r\n";
//!     let mut signed = Vec::new();
//!     let options = v1::SignOptions { identity: chancery::name::identity("alice@example.org"), ..Default::default() };
//!     let report = client.sign(options, message, &mut signed).await?;
//!
//!     println!("signed by {} on {}", report.key, report.token);
//!     println!("{}", String::from_utf8_lossy(&signed));
//!     Ok(())
//! }
//! ```
//!
//! Anything that is `AsyncRead` is a [`Source`], anything that is `AsyncWrite` a [`Sink`]; a program that has its bytes in
//! [`bytes::Bytes`] already implements the two traits itself and saves a copy.
//!
//! **What comes out before the report is provisional.** A function that returns an error may have written a part of its
//! output: throw it away. Verify in particular gives its verdict last.
//!
//! Options and reports are the messages of the contract, [`v1`], as generated from `proto/chancery/v1/*.proto`; each is
//! documented there. [`Error`] carries the daemon's status, its reason, and whether and when trying again helps.
//!
//! What does not live here: private keys, PINs longer than one call, CMS and MIME. The daemon does all of that. The command
//! line `chancery` (feature `cli`, on by default) is built on this library and on nothing else.
#![forbid(unsafe_code)]

mod address;
mod agent;
mod client;
mod error;
mod health;
mod identities;
mod keys;
mod mail;
pub mod name;
mod pin;
pub mod recipient;
mod tls;
mod tokens;
mod transport;

pub use address::{Address, AddressError, DEFAULT_ADDRESS};
pub use agent::Agent;
pub use chancery_proto::{ERROR_DOMAIN, v1};
pub use client::{Client, ConnectOptions};
pub use error::{Breach, Error, ErrorKind, Failure};
pub use health::Health;
pub use mail::{CHUNK_LEN, Sink, Source};
pub use pin::{MAX_PIN_LEN, Pin, PinError};
pub use tls::{TlsError, TlsFiles};
pub use tokens::{ChangedPin, TokenWatch, UnlockTerms};
