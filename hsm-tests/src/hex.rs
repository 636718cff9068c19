//! Octets in hexadecimal, as tokens' tools take and give them.

use anyhow::{Result, ensure};

/// In lower case.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The octets again.
pub fn decode(text: &str) -> Result<Vec<u8>> {
    ensure!(text.is_ascii() && text.len().is_multiple_of(2), "not hex: {text}");
    (0..text.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(text.get(at..at + 2).unwrap_or_default(), 16)?))
        .collect()
}
