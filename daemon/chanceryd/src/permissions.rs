//! Files and directories that steer the daemon or hold a secret: nobody but root and the daemon's own user may change
//! them, and a secret nobody else may read. Checked on what was opened, not on a name that can point elsewhere later.

mod way;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

pub use way::trusted_library;

/// Why a file or directory is not trusted. Trying again helps once its owner or mode has been put right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionError {
    /// It cannot be opened or looked at.
    #[error("{}: {source}", path.display())]
    Unreachable {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a device, a pipe or something else that it should not be.
    #[error("{} is not a {expected}", path.display())]
    Kind {
        /// What.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// It belongs to a third party.
    #[error("{} belongs to uid {uid} (mode {mode:04o}), who could change it; make it root's or uid {own}'s", path.display())]
    Owner {
        /// What.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Whose it is.
        uid: u32,
        /// Whose it may be, beside root.
        own: u32,
    },
    /// Others can write to it.
    #[error(
        "{} belongs to uid {uid} and can be written by its group or by others (mode {mode:04o}); run `chmod go-w` on it",
        path.display()
    )]
    Writable {
        /// What.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Its mode.
        mode: u32,
    },
    /// Its way leads through more symbolic links than anybody lays on purpose.
    #[error("{} leads through more than {limit} symbolic links; name the file that is meant", path.display())]
    Links {
        /// What.
        path: PathBuf,
        /// The most.
        limit: usize,
    },
    /// Others can read a secret.
    #[error("{} can be read by its group or by others (mode {mode:04o}); run `chmod 600` on it", path.display())]
    Readable {
        /// What.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Opens a regular file that only root and the own user can change, in a directory that only they can change.
///
/// # Errors
/// When it cannot be opened or others could have put it there.
pub fn open_trusted(path: &Path) -> Result<File, PermissionError> {
    let real = fs::canonicalize(path).map_err(|source| PermissionError::Unreachable {
        path: path.to_owned(),
        source,
    })?;
    // Of a symbolic link, both where it stands and where it leads.
    for place in [path, real.as_path()] {
        let directory = match place.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => Path::new("/"),
        };
        trusted_directory(directory)?;
    }
    let unreachable = |source| PermissionError::Unreachable {
        path: real.clone(),
        source,
    };
    // Without waiting for whoever might write to a pipe.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(&real)
        .map_err(unreachable)?;
    let metadata = file.metadata().map_err(unreachable)?;
    if !metadata.is_file() {
        return Err(PermissionError::Kind {
            path: real,
            expected: "regular file",
        });
    }
    unchanged_by_others(&real, &metadata)?;
    Ok(file)
}

/// Opens a file as [`open_trusted`] does that, beside that, nobody else can read.
///
/// # Errors
/// When it cannot be opened, others could have put it there, or others can read it.
pub fn open_secret(path: &Path) -> Result<File, PermissionError> {
    let file = open_trusted(path)?;
    let metadata = file.metadata().map_err(|source| PermissionError::Unreachable {
        path: path.to_owned(),
        source,
    })?;
    let mode = mode(&metadata);
    if mode & 0o077 != 0 {
        return Err(PermissionError::Readable {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(file)
}

/// Checks a directory in which names must keep their meaning.
///
/// # Errors
/// When it is not there, or others can write to it.
pub fn trusted_directory(path: &Path) -> Result<(), PermissionError> {
    let metadata = fs::metadata(path).map_err(|source| PermissionError::Unreachable {
        path: path.to_owned(),
        source,
    })?;
    if !metadata.is_dir() {
        return Err(PermissionError::Kind {
            path: path.to_owned(),
            expected: "directory",
        });
    }
    unchanged_by_others(path, &metadata)
}

fn unchanged_by_others(path: &Path, metadata: &Metadata) -> Result<(), PermissionError> {
    not_of_others(path, metadata)?;
    let (uid, mode) = (metadata.uid(), mode(metadata));
    if mode & 0o022 != 0 {
        return Err(PermissionError::Writable {
            path: path.to_owned(),
            uid,
            mode,
        });
    }
    Ok(())
}

fn not_of_others(path: &Path, metadata: &Metadata) -> Result<(), PermissionError> {
    let own = rustix::process::geteuid().as_raw();
    let uid = metadata.uid();
    if uid != 0 && uid != own {
        return Err(PermissionError::Owner {
            path: path.to_owned(),
            mode: mode(metadata),
            uid,
            own,
        });
    }
    Ok(())
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn scene() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        chmod(&file, 0o600);
        (directory, file)
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let (_directory, file) = scene();
        for (mode, trusted) in [
            (0o600, true),
            (0o644, true),
            (0o640, true),
            (0o620, false),
            (0o602, false),
        ] {
            chmod(&file, mode);
            assert_eq!(open_trusted(&file).is_ok(), trusted, "{mode:o}");
        }
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_sticky_or_not() {
        let (directory, file) = scene();
        for (mode, trusted) in [
            (0o700, true),
            (0o755, true),
            (0o775, false),
            (0o777, false),
            (0o1777, false),
        ] {
            chmod(directory.path(), mode);
            assert_eq!(open_trusted(&file).is_ok(), trusted, "{mode:o}");
        }
    }

    #[test]
    fn a_link_is_followed_and_both_its_ends_are_checked() {
        let (directory, file) = scene();
        let elsewhere = tempfile::tempdir().unwrap();
        let link = elsewhere.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(open_trusted(&link).is_ok());
        chmod(elsewhere.path(), 0o777);
        assert!(matches!(open_trusted(&link), Err(PermissionError::Writable { .. })));
        chmod(elsewhere.path(), 0o700);
        chmod(directory.path(), 0o777);
        assert!(matches!(open_trusted(&link), Err(PermissionError::Writable { .. })));
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let (_directory, file) = scene();
        for (mode, trusted) in [
            (0o600, true),
            (0o400, true),
            (0o640, false),
            (0o604, false),
            (0o610, false),
        ] {
            chmod(&file, mode);
            assert_eq!(open_secret(&file).is_ok(), trusted, "{mode:o}");
        }
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for() {
        let (directory, _file) = scene();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(matches!(open_secret(&pipe), Err(PermissionError::Kind { .. })));
    }

    #[test]
    fn a_device_is_no_configuration() {
        assert!(matches!(
            open_trusted(Path::new("/dev/null")),
            Err(PermissionError::Kind { .. })
        ));
    }
}
