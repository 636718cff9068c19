//! Compiles the contract with protox, so that no protoc is needed.

use std::path::Path;

const FILES: [&str; 7] = [
    "chancery/v1/agent_service.proto",
    "chancery/v1/algorithm.proto",
    "chancery/v1/identity_service.proto",
    "chancery/v1/key_service.proto",
    "chancery/v1/mail_service.proto",
    "chancery/v1/report.proto",
    "chancery/v1/token_service.proto",
];

/// Messages that carry a secret. Their `Debug` is written by hand in `src/redacted.rs`.
const SECRETS: [&str; 11] = [
    ".chancery.v1.AgreeRequest",
    ".chancery.v1.AgreeResponse",
    ".chancery.v1.AttendRequest",
    ".chancery.v1.ChangePinRequest",
    ".chancery.v1.DecryptOptions",
    ".chancery.v1.KeyServiceDecryptRequest",
    ".chancery.v1.KeyServiceDecryptResponse",
    ".chancery.v1.KeyServiceSignRequest",
    ".chancery.v1.MailServiceDecryptResponse",
    ".chancery.v1.SignOptions",
    ".chancery.v1.UnlockTokenRequest",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=chancery");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(
        Path::new(&out).join("chancery.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(SECRETS)
        .compile_fds(descriptors)?;
    Ok(())
}
