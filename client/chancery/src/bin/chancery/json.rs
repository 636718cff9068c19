//! The JSON that `--json` and `--report` give. It is a promise of its own, documented in `docs/cli.md`: fields are added,
//! never renamed or removed. What is absent is null; bytes are hexadecimal, certificates and public keys PEM.

mod activity;
mod lists;
mod report;

use std::path::Path;

use serde::Serialize;

pub(crate) use lists::{IdentitiesJson, KeysJson, StatusJson, TokensJson, health_word};
pub(crate) use report::{EncryptReportJson, ReportJson, SignReportJson};

use crate::error::CommandError;
use crate::stdio;

/// Prints a value on stdout.
pub(crate) fn print(value: &impl Serialize) -> Result<(), CommandError> {
    stdio::print(&render(value)?)
}

/// A value on one line.
pub(crate) fn line(value: &impl Serialize) -> Result<String, CommandError> {
    let mut text = serde_json::to_string(value).map_err(CommandError::Json)?;
    text.push('\n');
    Ok(text)
}

/// Writes a value into the file of `--report`, if one is given.
pub(crate) fn write(value: &impl Serialize, path: Option<&Path>) -> Result<(), CommandError> {
    let Some(path) = path else {
        return Ok(());
    };
    std::fs::write(path, render(value)?).map_err(|source| CommandError::File {
        what: "write",
        path: path.to_owned(),
        source,
    })
}

fn render(value: &impl Serialize) -> Result<String, CommandError> {
    let mut text = serde_json::to_string_pretty(value).map_err(CommandError::Json)?;
    text.push('\n');
    Ok(text)
}

/// A text that the contract leaves empty if there is none.
fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
