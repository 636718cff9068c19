//! X.509 certificates, as far as S/MIME needs them: names, addresses, key, usages, validity. Parsing is tolerant, because
//! one odd certificate must not sink a message: octets are kept as received, and an extension that cannot be read counts
//! as one that permits nothing. Certification paths are not built here; signatures are checked in `signature`.

mod addresses;
mod extensions;
mod name;
mod parse;
mod public_key;
mod time;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use self::extensions::Extensions;
use crate::algorithm::PublicKeyAlgorithm;

/// A certificate, parsed once and shared cheaply.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
}

/// Why octets are not a certificate. Trying again does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The octets are not the DER of a certificate.
    #[error("not an X.509 certificate: {field} cannot be read")]
    Malformed {
        /// The field of RFC 5280, section 4.1 that could not be read.
        field: &'static str,
        /// What the DER reader found.
        #[source]
        source: der::Error,
    },
    /// notBefore or notAfter is not a time.
    #[error("not an X.509 certificate: {field} is not a time")]
    MalformedTime {
        /// The field of RFC 5280, section 4.1 that could not be read.
        field: &'static str,
    },
    /// Longer than any certificate in use.
    #[error("a certificate of {len} octets is longer than the {limit} octets allowed")]
    TooLong {
        /// The length given, in octets.
        len: usize,
        /// The most that is read, in octets.
        limit: usize,
    },
}

impl Certificate {
    /// The longest certificate that is read, in octets.
    pub const MAX_LEN: usize = 256 * 1024;

    /// Parses the DER of one certificate.
    ///
    /// # Errors
    /// [`CertificateError`] if the outer structure, a name, the key or the validity cannot be read, or something follows
    /// the certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > Self::MAX_LEN {
            return Err(CertificateError::TooLong {
                len: der.len(),
                limit: Self::MAX_LEN,
            });
        }
        parse::certificate(der).map(|inner| Self { inner: Arc::new(inner) })
    }

    /// The certificate's octets, as given.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.inner.der
    }

    /// The subject's name in the form of RFC 4514.
    #[must_use]
    pub fn subject(&self) -> String {
        name::to_text(self.subject_der())
    }

    /// The issuer's name in the form of RFC 4514.
    #[must_use]
    pub fn issuer(&self) -> String {
        name::to_text(self.issuer_der())
    }

    /// The DER of the issuer's Name, as it stands in the certificate.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        self.inner.slice(&self.inner.issuer)
    }

    /// The DER of the subject's Name, as it stands in the certificate.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        self.inner.slice(&self.inner.subject)
    }

    /// The content octets of the serial number, an INTEGER: big-endian, two's complement.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        self.inner.slice(&self.inner.serial)
    }

    /// Whether an issuer's Name and a serial number, as they stand in a message, name this certificate. Names that differ
    /// in the type of a string, in case or in spaces alone are the same name (RFC 5280, section 7.1).
    #[must_use]
    pub fn is_named_by(&self, issuer_der: &[u8], serial: &[u8]) -> bool {
        strip_padding(serial) == strip_padding(self.serial())
            && (issuer_der == self.issuer_der() || name::same(issuer_der, self.issuer_der()))
    }

    /// The mailboxes the certificate is for: rfc822Name and SmtpUTF8Mailbox of subjectAltName, and emailAddress of the
    /// subject; each once, the domain in lower case.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.inner.addresses
    }

    /// The DER of the SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.inner.slice(&self.inner.spki)
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the name of the key.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.spki_der()).into()
    }

    /// The octets of subjectPublicKey: an RSAPublicKey, a point, or the raw key of RFC 8410.
    #[must_use]
    pub fn public_key_bits(&self) -> &[u8] {
        self.inner.slice(&self.inner.key_bits)
    }

    /// SHA-1 of subjectPublicKey: the key identifier that RFC 5280, section 4.2.1.2 suggests. Computed when it is first asked
    /// for, and once.
    pub(crate) fn public_key_sha1(&self) -> &[u8; 20] {
        self.inner
            .key_sha1
            .get_or_init(|| Sha1::digest(self.public_key_bits()).into())
    }

    /// The kind of key, if it is one this crate can use.
    #[must_use]
    pub fn public_key_algorithm(&self) -> Option<PublicKeyAlgorithm> {
        self.inner.key_algorithm
    }

    /// Whether the key must not be used for anything but PSS signatures: its identifier is id-RSASSA-PSS (RFC 4055, section
    /// 1.2).
    #[must_use]
    pub fn is_pss_only(&self) -> bool {
        self.inner.pss_only
    }

    /// The value of the subjectKeyIdentifier extension.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.inner.extensions.subject_key_id.as_deref()
    }

    /// Valid from this moment on.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.inner.not_before
    }

    /// Valid up to and including this moment.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.inner.not_after
    }

    /// Whether the key may sign mail: keyUsage is absent or has digitalSignature or nonRepudiation (RFC 8550, section
    /// 4.4.2), and the key is of a kind that can sign.
    #[must_use]
    pub fn allows_signing(&self) -> bool {
        self.public_key_algorithm() != Some(PublicKeyAlgorithm::X25519) && self.inner.extensions.allows_signing()
    }

    /// Whether mail may be encrypted to the key: keyUsage is absent or has keyEncipherment (RSA) or keyAgreement (ECDH),
    /// and the key is of a kind that can do that.
    #[must_use]
    pub fn allows_encryption(&self) -> bool {
        match self.public_key_algorithm() {
            Some(PublicKeyAlgorithm::Rsa { .. }) => {
                !self.inner.pss_only && self.inner.extensions.allows_key_encipherment()
            }
            Some(
                PublicKeyAlgorithm::P256
                | PublicKeyAlgorithm::P384
                | PublicKeyAlgorithm::P521
                | PublicKeyAlgorithm::X25519,
            ) => self.inner.extensions.allows_key_agreement(),
            Some(PublicKeyAlgorithm::Ed25519) | None => false,
        }
    }

    /// Whether the certificate is for mail: extendedKeyUsage is absent or has emailProtection or anyExtendedKeyUsage.
    #[must_use]
    pub fn allows_email(&self) -> bool {
        self.inner.extensions.allows_email()
    }

    /// Whether basicConstraints says that this is a certification authority.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.inner.extensions.is_ca
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.der().hash(state);
    }
}

/// Subject and serial number, the way log lines and errors name a certificate.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (serial ", self.subject())?;
        for octet in self.serial() {
            write!(f, "{octet:02x}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}

/// Everything read from the certificate; the ranges lie within `der`.
struct Inner {
    der: Box<[u8]>,
    serial: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    spki: Range<usize>,
    key_bits: Range<usize>,
    key_sha1: OnceLock<[u8; 20]>,
    key_algorithm: Option<PublicKeyAlgorithm>,
    /// An RSA key that must not be used for anything but PSS signatures.
    pss_only: bool,
    not_before: SystemTime,
    not_after: SystemTime,
    extensions: Extensions,
    addresses: Vec<String>,
}

impl Inner {
    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
}

/// An INTEGER without the leading zero octets that some encoders add or leave out.
fn strip_padding(integer: &[u8]) -> &[u8] {
    let start = integer.iter().position(|&octet| octet != 0).unwrap_or(integer.len());
    integer.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
