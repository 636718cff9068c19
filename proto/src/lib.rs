//! The Chancery contract.
//!
//! `chancery/v1/*.proto` beside this file is the contract; a client in any language needs nothing else. This crate is
//! what tonic makes of it for Rust. It depends on no other crate of the workspace.
#![forbid(unsafe_code)]

mod redacted;

/// `package chancery.v1`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated; documented in the .proto files"
)]
#[allow(unused_qualifications, unreachable_pub, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("chancery.v1");
}

/// The serialized `google.protobuf.FileDescriptorSet` of the contract, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/chancery.bin"));

/// `google.rpc.ErrorInfo.domain` of every error that the daemon answers.
pub const ERROR_DOMAIN: &str = "chancery";
