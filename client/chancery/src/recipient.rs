//! Finding the certificates to encrypt to. Files are read here; nothing is asked of the daemon, and nothing is said about
//! trust: whoever fills the directory vouches for what is in it.

mod certificate;
mod directory;

pub use certificate::{Certificate, CertificateError};
pub use directory::{Directory, DirectoryError, Skipped};
