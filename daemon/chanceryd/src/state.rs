//! The directory in which the daemon keeps what it has to know after a restart: for now, which PINs have failed.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use chancery_token::{MemoryError, PinMemory};
use rustix::fs::{Access, access};

use crate::permissions::{self, PermissionError};

/// Why the directory cannot be used. Trying again helps once it can be written, and nobody else can write to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// It is not there and cannot be made.
    #[error("state.directory {} cannot be made: {source}", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could change what is in it.
    #[error("state.directory: {0}")]
    Permissions(#[from] PermissionError),
    /// It cannot be written, so no PIN could be tried.
    #[error("state.directory: {} cannot be written: {source}; no PIN could be tried", path.display())]
    ReadOnly {
        /// What cannot be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The memory of failed PINs cannot be used.
    #[error("the memory of failed PINs: {0}")]
    Memory(#[from] MemoryError),
}

/// Opens the memory of failed PINs in this directory, which is made, readable by nobody else, if it is not there.
///
/// # Errors
/// When it cannot be made, others could change it, or the memory in it cannot be read.
pub fn pin_memory(directory: &Path) -> Result<PinMemory, StateError> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => {
            let path = directory.to_owned();
            return Err(StateError::Make { path, source });
        }
        _ => {}
    }
    permissions::trusted_directory(directory)?;
    check_writable(directory)?;
    Ok(PinMemory::open(&pins(directory))?)
}

/// Checks that the directory, if it is there, can be written by whoever runs this. Whose it may be is the daemon's to say, which
/// has a user of its own.
///
/// # Errors
/// When it cannot be written.
pub fn check_writable(directory: &Path) -> Result<(), StateError> {
    let pins = pins(directory);
    for path in [directory, pins.as_path()].into_iter().filter(|path| path.exists()) {
        access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| StateError::ReadOnly {
            path: path.to_owned(),
            source: error.into(),
        })?;
    }
    Ok(())
}

/// Where the memory of failed PINs is in this directory.
#[must_use]
pub fn pins(directory: &Path) -> PathBuf {
    directory.join("pins")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_directory_is_made_for_the_daemon_alone() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("state");
        drop(pin_memory(&directory).unwrap());
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o7777, 0o700);
        drop(pin_memory(&directory).unwrap());
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            pin_memory(directory.path()),
            Err(StateError::Permissions(PermissionError::Writable { .. }))
        ));
    }

    #[test]
    fn a_directory_whose_parent_is_missing_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let error = pin_memory(&parent.path().join("missing/state")).unwrap_err();
        assert!(error.to_string().contains("missing/state"), "{error}");
    }
}
