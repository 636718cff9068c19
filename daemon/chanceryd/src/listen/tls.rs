//! TCP with TLS on both sides: nobody gets further without a certificate from the configured authority.

use std::io::{self, Read as _};
use std::net;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::ListenError;
use crate::config::Tls;
use crate::permissions::{self, PermissionError};
use crate::sync;

/// No file of certificates or keys is longer.
const MAX_BYTES: u64 = 4 << 20;

/// Why the TLS configuration cannot be used. Trying again helps once the file has been put right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Others can change a file, or read the key.
    #[error("TLS: {0}")]
    Permissions(#[from] PermissionError),
    /// A file cannot be read.
    #[error("TLS: {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("TLS: {} holds no {expected} in PEM", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What the parser said, if it said anything.
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// The authorities cannot be used to check clients.
    #[error("TLS: {} cannot be used to check clients: {source}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
    /// Certificate and key cannot be used.
    #[error("TLS: {} and its key cannot be used: {source}", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// The certificates in use, replaceable while connections are being accepted. Connections that are open stay open.
#[derive(Clone)]
pub struct LiveTls(Arc<RwLock<TlsAcceptor>>);

impl LiveTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn load(tls: &Tls) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(acceptor(tls)?))))
    }

    /// Reads the files again. Nothing changes if one of them cannot be used.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn reload(&self, tls: &Tls) -> Result<(), TlsError> {
        let acceptor = acceptor(tls)?;
        *sync::write(&self.0) = acceptor;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        sync::read(&self.0).clone()
    }
}

impl std::fmt::Debug for LiveTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiveTls")
    }
}

pub(super) fn bind(tls: &Tls) -> Result<TcpListener, ListenError> {
    let fail = |source| ListenError::Io {
        place: tls.address.to_string(),
        action: "listen on it",
        source,
    };
    let listener = net::TcpListener::bind(tls.address).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    TcpListener::from_std(listener).map_err(fail)
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client_ca = |source| TlsError::ClientCa {
        path: tls.client_ca.clone(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.client_ca)? {
        let added = roots.add(certificate);
        added.map_err(|source| TlsError::Certificate {
            path: tls.client_ca.clone(),
            source,
        })?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(client_ca)?;
    let unusable = |source| TlsError::Certificate {
        path: tls.certificate.clone(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&tls.certificate)?, private_key(&tls.key)?)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let expected = "certificate";
    let bytes = read(path, permissions::open_trusted(path)?)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::Content {
            path: path.to_owned(),
            expected,
            source: None,
        }),
        Ok(certificates) => Ok(certificates),
        Err(source) => Err(TlsError::Content {
            path: path.to_owned(),
            expected,
            source: Some(source),
        }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(path, permissions::open_secret(path)?)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|source| TlsError::Content {
        path: path.to_owned(),
        expected: "private key",
        source: Some(source),
    })
}

fn read(path: &Path, file: std::fs::File) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    // Room for everything from the start: a vector that grows leaves copies of the key behind.
    let len = file.metadata().map_or(0, |metadata| metadata.len()).min(MAX_BYTES);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(len).unwrap_or(0) + 64));
    let result = file.take(MAX_BYTES).read_to_end(&mut bytes);
    result.map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}
