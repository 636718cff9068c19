//! The directory of certificates that are not on the tokens: read as bytes, understood elsewhere.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::permissions::{self, PermissionError};

/// A directory with more is not one of certificates.
const MAX_FILES: usize = 10_000;
/// A longer file is not one of certificates.
const MAX_BYTES: u64 = 4 << 20;
/// What certificates are kept in.
const EXTENSIONS: [&str; 4] = ["pem", "crt", "cer", "der"];

/// Why there are no certificates. Trying again helps once the directory has been put right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// The directory cannot be read.
    #[error("certificates directory {}: {source}", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can write to it, and a certificate says what a key may do.
    #[error("certificates directory: {0}")]
    Permissions(#[from] PermissionError),
    /// There are too many files.
    #[error("certificates directory {}: more than {MAX_FILES} files", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
}

/// The DER of every certificate in the directory, in the order of the files' names. A file that cannot be read, or that
/// others can write, is left out with a warning: one bad file must not take the others along.
///
/// # Errors
/// When the directory itself is not there or not to be trusted.
pub fn read_directory(directory: &Path) -> Result<Vec<Vec<u8>>, CertificatesError> {
    let fail = |source| CertificatesError::Read {
        path: directory.to_owned(),
        source,
    };
    permissions::trusted_directory(directory)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str())) {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(CertificatesError::TooMany {
                path: directory.to_owned(),
            });
        }
    }
    files.sort();
    let mut certificates = Vec::new();
    for file in files {
        let read = permissions::open_trusted(&file).map_err(|error| error.to_string());
        match read.and_then(|opened| read_file(opened).map_err(|error| error.to_string())) {
            Ok(found) if found.is_empty() => {
                tracing::warn!(file = %file.display(), "no certificate in this file; it is left out");
            }
            Ok(found) => certificates.extend(found),
            Err(error) => tracing::warn!(file = %file.display(), error, "this file is left out"),
        }
    }
    Ok(certificates)
}

/// Every certificate of a PEM file, or the one of a DER file.
fn read_file(file: File) -> io::Result<Vec<Vec<u8>>> {
    let mut bytes = Vec::new();
    if file.take(MAX_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "too long for a file of certificates",
        ));
    }
    // DER begins with a SEQUENCE.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes]);
    }
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let parsed = parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(parsed.into_iter().map(|certificate| certificate.to_vec()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    #[test]
    fn pem_and_der_are_read_in_the_order_of_their_names_and_bad_files_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            path
        };
        put("b.pem", format!("text before\n{PEM}{PEM}").as_bytes());
        put("a.DER", &[0x30, 1, 5]);
        put("c.pem", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
        put("d.txt", PEM.as_bytes());
        put("e.crt", b"nothing");
        fs::set_permissions(put("f.pem", PEM.as_bytes()), fs::Permissions::from_mode(0o666)).unwrap();
        let found = read_directory(directory.path()).unwrap();
        assert_eq!(found, [vec![0x30, 1, 5], vec![0x30, 0], vec![0x30, 0]]);
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            read_directory(directory.path()),
            Err(CertificatesError::Permissions(_))
        ));
    }
}
