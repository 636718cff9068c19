//! The little that the catalogue has to know of a certificate: its public key, its notBefore.

use std::time::Duration;

use der::{Decode, Encode};
use x509_cert::Certificate;

use crate::{catalogue::spki, key::KeyId};

/// A certificate that could be read.
#[derive(Debug, Clone)]
pub(crate) struct CertificateEntry {
    pub(crate) der: Vec<u8>,
    /// The certified key, by the SubjectPublicKeyInfo in the form this crate writes it.
    pub(crate) key: KeyId,
    /// That form.
    pub(crate) spki_der: Vec<u8>,
    /// Since the Unix epoch.
    pub(crate) not_before: Duration,
}

/// Reads a certificate; `None` if it is malformed or its key is of no algorithm that is listed here.
pub(crate) fn read(der: Vec<u8>) -> Option<CertificateEntry> {
    let certificate = Certificate::from_der(&der).ok()?;
    let tbs = certificate.tbs_certificate();
    let spki_der = spki::canonical(&tbs.subject_public_key_info().to_der().ok()?)?;
    Some(CertificateEntry {
        key: KeyId::of_spki(&spki_der),
        spki_der,
        not_before: tbs.validity().not_before.to_unix_duration(),
        der,
    })
}
