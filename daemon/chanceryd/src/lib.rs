//! The Chancery daemon: who may do what with which key, in what order, and the record of it.
//!
//! What is not here: S/MIME itself (`chancery-smime`) and PKCS#11 (`chancery-token`).
//!
//! ```text
//!   listen ──► caller ──► grpc ──► ops ──┬─► policy   (pure: may this caller do that?)
//!                                        ├─► audit    (intent before, outcome after)
//!                                        └─► tokens
//!   app wires; config, credentials, hardening, logging, metrics, notify and reload serve it
//! ```
//!
//! Nothing in here blocks the runtime for longer than one write to the audit file; what a token does happens behind
//! `TokenHandle`, on threads of its own.
#![forbid(unsafe_code)]

pub mod app;
pub mod audit;
pub mod caller;
pub mod certificates;
pub mod cli;
pub mod commands;
pub mod config;
pub mod credentials;
pub mod directory;
pub mod grpc;
pub mod hardening;
pub mod health;
pub mod listen;
pub mod logging;
pub mod maintenance;
pub mod metrics;
pub mod notify;
pub mod ops;
pub mod permissions;
pub mod policy;
mod ration;
pub mod reload;
pub mod request_id;
pub mod server;
mod share;
pub mod spool;
pub mod state;
mod sync;
pub mod traces;
pub mod wire;
