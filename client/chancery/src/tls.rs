//! Mutual TLS towards the daemon: three PEM files become a rustls configuration. There is no public trust store here: the
//! daemon's certificate comes from the operator's own authority.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// The files that mutual TLS needs, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The caller's certificate, then its issuers up to one that the daemon knows.
    pub certificate: PathBuf,
    /// The private key of that certificate.
    pub key: PathBuf,
    /// The authorities that may have issued the daemon's certificate.
    pub ca: PathBuf,
}

/// Why the TLS files cannot be used. Trying again does not help; each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// An https address without the files.
    #[error("an https address needs a client certificate, its key and the CA of the daemon (three PEM files)")]
    Missing,
    /// A file cannot be read, or what is in it is not PEM of the right kind.
    #[error("cannot read {what} from {}", path.display())]
    File {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// A file has no certificate in it.
    #[error("there is no certificate in {}", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// An authority's certificate cannot be used as a trust anchor.
    #[error("a certificate in {} cannot be used as an authority", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// Certificate and key do not belong together, or the key is of a kind that TLS cannot use.
    #[error("the certificate in {} cannot be used with the key in {}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The host in the address cannot be the name of a server.
    #[error("{host:?} is no host name or IP address")]
    Host {
        /// The host.
        host: String,
        /// Why not.
        source: InvalidDnsNameError,
    },
}

impl TlsFiles {
    /// Reads the files and checks what is in them.
    pub(crate) fn load(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates("the daemon's CA", &self.ca)? {
            roots.add(authority).map_err(|source| TlsError::Authority {
                path: self.ca.clone(),
                source,
            })?;
        }
        let chain = certificates("the client certificate", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| TlsError::File {
            what: "the client key",
            path: self.key.clone(),
            source,
        })?;
        let pair = |source| TlsError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(pair)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |source| TlsError::File {
        what,
        path: path.to_owned(),
        source,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(file)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(file)?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}
