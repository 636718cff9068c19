//! Callers from the client certificate of a TLS connection, which rustls has already verified.

use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::{Caller, San, fold_domain};

/// Why a client certificate yields no caller. Trying again with the same certificate does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificate, or its subjectAltName, is not what RFC 5280 describes.
    #[error("the client certificate cannot be read; issue it anew")]
    Malformed(#[from] x509_cert::der::Error),
}

impl Caller {
    /// The caller that holds this certificate. The path has been verified by the TLS handshake, not here.
    pub fn from_certificate(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = Certificate::from_der(der)?;
        let body = certificate.tbs_certificate();
        let spki_sha256 = Sha256::digest(body.subject_public_key_info().to_der()?).into();
        let sans = match body.get_extension::<SubjectAltName>()? {
            Some((_critical, names)) => names.0.iter().filter_map(san).collect(),
            None => Vec::new(),
        };
        Ok(Self::Tls {
            spki_sha256,
            sans,
            subject: body.subject().to_string(),
        })
    }
}

fn san(name: &GeneralName) -> Option<San> {
    match name {
        GeneralName::DnsName(name) => Some(San::Dns(name.as_str().to_ascii_lowercase())),
        GeneralName::UniformResourceIdentifier(uri) => Some(San::Uri(uri.as_str().to_owned())),
        GeneralName::Rfc822Name(address) => Some(San::Email(fold_domain(address.as_str()))),
        _ => None,
    }
}
