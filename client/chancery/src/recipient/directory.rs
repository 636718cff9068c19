//! A directory of certificate files, read once and searched by address.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use super::{Certificate, CertificateError};

/// The names of files that are read.
const EXTENSIONS: [&str; 4] = ["pem", "crt", "cer", "der"];

/// The most files that are read. Who has more recipients keeps them in a directory service.
const MAX_FILES: usize = 20_000;

/// The certificates of a directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    certificates: Vec<Certificate>,
    skipped: Vec<Skipped>,
}

/// A file that was passed over, because one bad file must not keep the others from being found.
#[derive(Debug)]
pub struct Skipped {
    /// Which file, and why.
    pub error: CertificateError,
}

/// Why a directory cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The operating system says so.
    #[error("cannot read the directory of certificates {}", path.display())]
    Read {
        /// Which directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There are more files in it than are read.
    #[error("there are more than {MAX_FILES} certificates in {}", path.display())]
    TooMany {
        /// Which directory.
        path: PathBuf,
    },
}

impl Directory {
    /// Reads every `*.pem`, `*.crt`, `*.cer` and `*.der` in a directory, and nothing below it.
    ///
    /// # Errors
    ///
    /// If the directory itself cannot be read. Files that hold no certificate are kept in [`Directory::skipped`].
    pub fn read(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |source| DirectoryError::Read {
            path: path.to_owned(),
            source,
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            let extension = file
                .extension()
                .and_then(|extension| extension.to_str())
                .unwrap_or_default();
            if EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)) && file.is_file() {
                files.push(file);
            }
            if files.len() > MAX_FILES {
                return Err(DirectoryError::TooMany { path: path.to_owned() });
            }
        }
        files.sort();
        let (mut certificates, mut skipped) = (Vec::new(), Vec::new());
        for file in files {
            match Certificate::from_file(&file) {
                Ok(certificate) => certificates.push(certificate),
                Err(error) => skipped.push(Skipped { error }),
            }
        }
        Ok(Self {
            path: path.to_owned(),
            certificates,
            skipped,
        })
    }

    /// The certificate to encrypt to for an address: of those that are for it, can encrypt mail and are valid at `time`,
    /// the one whose validity began last.
    #[must_use]
    pub fn find(&self, address: &str, time: SystemTime) -> Option<&Certificate> {
        self.certificates
            .iter()
            .filter(|certificate| certificate.is_for(address) && certificate.encrypts_mail())
            .filter(|certificate| certificate.is_valid_at(time))
            .max_by_key(|certificate| certificate.not_before())
    }

    /// How many certificates are for an address at all, usable or not.
    #[must_use]
    pub fn count_for(&self, address: &str) -> usize {
        self.certificates
            .iter()
            .filter(|certificate| certificate.is_for(address))
            .count()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that were passed over.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}
