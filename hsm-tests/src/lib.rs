//! End-to-end tests and benchmarks of Chancery: the harness is here, the tests are in `tests/`.
//!
//! What lives here prepares the world around the daemon and looks at it from outside; nothing of it is shipped.
#![forbid(unsafe_code)]

pub mod command;
pub mod contract;
pub mod daemon;
pub mod gnupg;
pub mod hex;
pub mod kryoptic;
pub mod messages;
pub mod nspawn;
pub mod nss;
pub mod openssl;
pub mod people;
pub mod piv;
pub mod python;
pub mod softhsm;
pub mod tpm;
pub mod vpcd;
