//! What of an X.509 certificate decides whether mail to an address can be encrypted to it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use der::asn1::{Ia5StringRef, ObjectIdentifier, Utf8StringRef};
use der::{Decode, Tagged, pem};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use crate::name::normalized_address;

/// The largest file that is read for a certificate. A certificate has one or two KiB, with its chain in PEM about ten.
const MAX_FILE_LEN: u64 = 1 << 20;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSAES_OAEP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7");
const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");
const SMTP_UTF8_MAILBOX: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.9");
const EMAIL_PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4");
const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// A certificate that mail may be encrypted to.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    addresses: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
    encrypts_mail: bool,
    has_rsa_key: bool,
}

/// Why a certificate cannot be had from a file. Trying again does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file cannot be read.
    #[error("cannot read the certificate in {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is larger than any file of certificates.
    #[error("{} is too large for a certificate (more than {MAX_FILE_LEN} bytes)", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// It begins like PEM and is not, or is PEM of something else.
    #[error("{} is not a PEM certificate", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// It is not DER of a certificate.
    #[error("{} is not an X.509 certificate", path.display())]
    Der {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: der::Error,
    },
}

impl Certificate {
    /// Reads a file with a certificate in PEM or DER. Of several in one PEM file the first is taken: the others are its
    /// issuers.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or holds no certificate.
    pub fn from_file(path: &Path) -> Result<Self, CertificateError> {
        let read = |source| CertificateError::Read {
            path: path.to_owned(),
            source,
        };
        let file = fs::File::open(path).map_err(read)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE_LEN + 1), &mut bytes).map_err(read)?;
        if bytes.len() as u64 > MAX_FILE_LEN {
            return Err(CertificateError::TooLarge { path: path.to_owned() });
        }
        let der = match first_pem(&bytes) {
            Some(pem) => {
                let (label, der) = pem::decode_vec(pem).map_err(|source| CertificateError::Pem {
                    path: path.to_owned(),
                    source,
                })?;
                if !matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE") {
                    return Err(CertificateError::Pem {
                        path: path.to_owned(),
                        source: pem::Error::Label,
                    });
                }
                der
            }
            None => bytes,
        };
        Self::from_der(der).map_err(|source| CertificateError::Der {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads a certificate in DER.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn from_der(der: Vec<u8>) -> Result<Self, der::Error> {
        let certificate = x509_cert::Certificate::from_der(&der)?;
        let tbs = certificate.tbs_certificate();
        let addresses = addresses(tbs)?;
        let (not_before, not_after) = (
            tbs.validity().not_before.to_system_time(),
            tbs.validity().not_after.to_system_time(),
        );
        let encrypts_mail = encrypts_mail(tbs)?;
        let has_rsa_key = [RSA_ENCRYPTION, RSAES_OAEP].contains(&tbs.subject_public_key_info().algorithm.oid);
        Ok(Self {
            has_rsa_key,
            der,
            addresses,
            not_before,
            not_after,
            encrypts_mail,
        })
    }

    /// The certificate itself.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its mail addresses (rfc822Name, SmtpUTF8Mailbox, emailAddress in the subject), the domains in lower case.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Whether its key usages allow mail to be encrypted to it, and it is not an authority's.
    #[must_use]
    pub fn encrypts_mail(&self) -> bool {
        self.encrypts_mail
    }

    /// Whether its key is an RSA key (key transport) rather than one of an elliptic curve (key agreement).
    #[must_use]
    pub fn has_rsa_key(&self) -> bool {
        self.has_rsa_key
    }

    /// When its validity begins.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Whether it is valid at a time.
    #[must_use]
    pub fn is_valid_at(&self, time: SystemTime) -> bool {
        self.not_before <= time && time <= self.not_after
    }

    /// Whether it is for an address, compared as [`normalized_address`] says.
    #[must_use]
    pub fn is_for(&self, address: &str) -> bool {
        let address = normalized_address(address);
        self.addresses.contains(&address)
    }
}

/// The first PEM block of a text, without the explanations that tools write around it.
fn first_pem(bytes: &[u8]) -> Option<&[u8]> {
    let start = find(bytes, b"-----BEGIN ")?;
    let rest = bytes.get(start..)?;
    let end = find(rest, b"-----END ")?;
    let after_end = rest.get(end..)?;
    let line_end = after_end
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(after_end.len(), |at| at + 1);
    rest.get(..end + line_end)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn addresses(tbs: &x509_cert::TbsCertificate) -> Result<Vec<String>, der::Error> {
    let mut addresses = Vec::new();
    let mut add = |address: &str| {
        let address = normalized_address(address);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    };
    if let Some((_, SubjectAltName(names))) = tbs.get_extension::<SubjectAltName>()? {
        for name in &names {
            match name {
                GeneralName::Rfc822Name(address) => add(address.as_ref()),
                GeneralName::OtherName(other) if other.type_id == SMTP_UTF8_MAILBOX => {
                    add(other.value.decode_as::<Utf8StringRef<'_>>()?.as_str());
                }
                _ => {}
            }
        }
    }
    for attribute in tbs.subject().iter().filter(|attribute| attribute.oid == EMAIL_ADDRESS) {
        match attribute.value.tag() {
            der::Tag::Utf8String => add(attribute.value.decode_as::<Utf8StringRef<'_>>()?.as_str()),
            _ => add(attribute.value.decode_as::<Ia5StringRef<'_>>()?.as_str()),
        }
    }
    Ok(addresses)
}

fn encrypts_mail(tbs: &x509_cert::TbsCertificate) -> Result<bool, der::Error> {
    let usage = tbs
        .get_extension::<KeyUsage>()?
        .is_none_or(|(_, usage)| usage.key_encipherment() || usage.key_agreement());
    let extended_usage = tbs
        .get_extension::<ExtendedKeyUsage>()?
        .is_none_or(|(_, ExtendedKeyUsage(purposes))| {
            purposes
                .iter()
                .any(|purpose| [EMAIL_PROTECTION, ANY_EXTENDED_KEY_USAGE].contains(purpose))
        });
    let is_authority = tbs
        .get_extension::<BasicConstraints>()?
        .is_some_and(|(_, constraints)| constraints.ca);
    Ok(usage && extended_usage && !is_authority)
}
