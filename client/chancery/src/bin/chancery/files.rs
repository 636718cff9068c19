//! Where a message comes from and goes to: a file or a pipe, each with a thread of its own, so that reading, the daemon and
//! writing overlap. The bytes go from the kernel into the library and back without a copy in between.

mod input;
mod output;
mod replay;

use std::path::PathBuf;

pub(crate) use input::Input;
pub(crate) use output::{Output, Secrecy};
pub(crate) use replay::Replay;

use crate::error::CommandError;

/// Chunks between a thread and the library.
const QUEUE_LEN: usize = 4;

fn failed(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> CommandError {
    let path = path.into();
    move |source| CommandError::File { what, path, source }
}
