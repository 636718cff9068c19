//! The only places where this program writes to the terminal or to a pipe in lines. stdout carries what was asked for,
//! stderr everything else.

use std::io::{self, Write};

use crate::error::CommandError;

/// Writes a complete text to stdout.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(CommandError::Stdio)
}

/// Writes one line to stderr, with the program's name before it. If even that fails there is nobody to tell.
pub(crate) fn complain(text: &str) {
    let _nobody_to_tell = writeln!(io::stderr().lock(), "chancery: {text}");
}
