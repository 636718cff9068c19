//! Where PINs come from: systemd credentials, files that nobody else can read, environment variables. They are read when a
//! token is started, and kept nowhere else.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::PinSource;
use crate::permissions::{self, PermissionError};

/// The contract allows no longer PIN.
const MAX_LEN: usize = 255;

/// The variable in which systemd names the directory of the credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Why there is no PIN. None of the messages shows one. Trying again helps once the source has been put right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The daemon was not started by systemd with credentials.
    #[error(
        "there is no PIN in the credential {name:?}: CREDENTIALS_DIRECTORY is not set; add LoadCredential={name}:FILE to the unit"
    )]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// The file cannot be read.
    #[error("there is no PIN in {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read or write the file.
    #[error("the PIN's file is not safe: {0}")]
    Permissions(#[from] PermissionError),
    /// The variable is not set.
    #[error("there is no PIN in the environment variable {name}: it is not set")]
    NoVariable {
        /// The variable.
        name: String,
    },
    /// What is there is no PIN.
    #[error("what is in {place} is no PIN: it has {length} bytes, and a PIN has 1 to 255")]
    Length {
        /// Where.
        place: String,
        /// How long it is.
        length: usize,
    },
}

/// Reads a PIN. One line end at its end is not part of it.
///
/// # Errors
/// When it is not there, is not safe there, or has no PIN's length.
pub fn pin(source: &PinSource) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    read(source, |name| std::env::var_os(name))
}

fn read<V: AsRef<OsStr>>(
    source: &PinSource,
    variable: impl Fn(&str) -> Option<V>,
) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    match source {
        PinSource::Credential(name) => {
            let directory = variable(CREDENTIALS_DIRECTORY);
            let directory = directory.ok_or_else(|| CredentialError::NoCredentials { name: name.clone() })?;
            // systemd sets owner, mode and ACL of what is in there; the mode's group bits may be the ACL's mask.
            let path = Path::new(&directory).join(name);
            let file = File::open(&path).map_err(|source| CredentialError::Read {
                path: path.clone(),
                source,
            })?;
            from_file(&path, file)
        }
        PinSource::File(path) => from_file(path, permissions::open_secret(path)?),
        PinSource::Environment(name) => {
            use std::os::unix::ffi::OsStrExt as _;
            let value = variable(name).ok_or_else(|| CredentialError::NoVariable { name: name.clone() })?;
            checked(Zeroizing::new(value.as_ref().as_bytes().to_vec()), || {
                format!("the environment variable {name}")
            })
        }
    }
}

fn from_file(path: &Path, file: File) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    // Room for everything from the start: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(4096 - 64)
        .read_to_end(&mut bytes)
        .map_err(|source| CredentialError::Read {
            path: path.to_owned(),
            source,
        })?;
    checked(bytes, || path.display().to_string())
}

fn checked(mut pin: Zeroizing<Vec<u8>>, place: impl Fn() -> String) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    if pin.last() == Some(&b'\n') {
        pin.pop();
        if pin.last() == Some(&b'\r') {
            pin.pop();
        }
    }
    match pin.len() {
        1..=MAX_LEN => Ok(pin),
        length => Err(CredentialError::Length { place: place(), length }),
    }
}

/// Where systemd puts the credentials of this service, if it has any.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn one_line_end_is_not_part_of_the_pin() {
        for (content, expected) in [
            ("1234", "1234"),
            ("1234\n", "1234"),
            ("1234\r\n", "1234"),
            ("12 34\n\n", "12 34\n"),
        ] {
            let (_directory, path) = file(content.as_bytes(), 0o600);
            assert_eq!(
                read(&PinSource::File(path), nothing).unwrap().as_slice(),
                expected.as_bytes()
            );
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_its_pin_is_not_shown() {
        for mode in [0o640, 0o604, 0o644, 0o620] {
            let (_directory, path) = file(b"secret-1234", mode);
            let error = read(&PinSource::File(path), nothing).unwrap_err();
            assert!(matches!(error, CredentialError::Permissions(_)), "{mode:o}");
            assert!(!format!("{error} {error:?}").contains("secret-1234"));
        }
    }

    #[test]
    fn a_pin_that_is_empty_or_too_long_is_refused() {
        for content in [Vec::new(), b"\n".to_vec(), vec![b'x'; 256], vec![b'x'; 100_000]] {
            let (_directory, path) = file(&content, 0o600);
            assert!(matches!(
                read(&PinSource::File(path), nothing),
                Err(CredentialError::Length { .. })
            ));
        }
    }

    #[test]
    fn a_credential_is_looked_for_in_the_directory_that_systemd_names() {
        let (directory, _path) = file(b"1234\n", 0o440);
        let environment = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| directory.path().to_owned());
        assert_eq!(
            read(&PinSource::Credential("pin".to_owned()), environment)
                .unwrap()
                .as_slice(),
            b"1234"
        );
        let error = read(&PinSource::Credential("other".to_owned()), environment).unwrap_err();
        assert!(matches!(error, CredentialError::Read { .. }), "{error}");
        let error = read(&PinSource::Credential("pin".to_owned()), nothing).unwrap_err();
        assert!(error.to_string().contains("LoadCredential=pin"), "{error}");
    }

    #[test]
    fn a_variable_is_read_or_named_as_missing() {
        let environment = |name: &str| (name == "ALICE_PIN").then_some("1234");
        assert_eq!(
            read(&PinSource::Environment("ALICE_PIN".to_owned()), environment)
                .unwrap()
                .as_slice(),
            b"1234"
        );
        let error = read(&PinSource::Environment("BOB_PIN".to_owned()), environment).unwrap_err();
        assert!(error.to_string().contains("BOB_PIN"), "{error}");
    }
}
