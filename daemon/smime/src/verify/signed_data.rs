//! The elements of SignedData (RFC 5652, section 5.1) as they were collected, and what they hold. Certificates are parsed
//! each on its own: one that cannot be read is passed over and counted.

use const_oid::ObjectIdentifier;
use der::Decode as _;
use spki::AlgorithmIdentifierOwned;

use super::VerifyError;
use super::signer_info::SignerInfo;
use crate::algorithm::DigestAlgorithm;
use crate::ber::Field;
use crate::ber::element::{Element, Elements};
use crate::ber::encode::{CONTEXT_0, SEQUENCE, SET};
use crate::certificate::Certificate;
use crate::limits::Limits;

/// What stands in a SignedData beside the content.
#[derive(Debug, Default)]
pub(super) struct SignedData {
    digest_algorithms: Vec<u8>,
    content_type: Vec<u8>,
    certificates: Option<Vec<u8>>,
    signer_infos: Vec<u8>,
}

impl SignedData {
    /// Keeps an element that the reader delivers. Versions differ between writers for no reason and decide nothing;
    /// revocation lists are of no use without paths.
    pub(super) fn keep(&mut self, field: Field, der: &[u8]) {
        match field {
            Field::DigestAlgorithms => self.digest_algorithms = der.to_vec(),
            Field::ContentType => self.content_type = der.to_vec(),
            Field::Certificates => self.certificates = Some(der.to_vec()),
            Field::SignerInfos => self.signer_infos = der.to_vec(),
            _ => {}
        }
    }

    /// The digest algorithms that are announced and known.
    pub(super) fn digest_algorithms(&self) -> Result<Vec<DigestAlgorithm>, VerifyError> {
        let malformed = VerifyError::Malformed {
            element: "digestAlgorithms",
        };
        let Ok(elements) = Elements::inside(SET, &self.digest_algorithms).and_then(Elements::all) else {
            return Err(malformed);
        };
        let mut algorithms = Vec::new();
        for element in elements {
            let Ok(identifier) = AlgorithmIdentifierOwned::from_der(element.whole) else {
                return Err(malformed);
            };
            algorithms.extend(DigestAlgorithm::from_oid(identifier.oid));
        }
        Ok(algorithms)
    }

    /// eContentType.
    pub(super) fn content_type(&self) -> Result<ObjectIdentifier, VerifyError> {
        ObjectIdentifier::from_der(&self.content_type).map_err(|_| VerifyError::Malformed {
            element: "eContentType",
        })
    }

    /// The certificates that can be read, each once, and how many cannot.
    pub(super) fn certificates(&self, limits: &Limits) -> Result<(Vec<Certificate>, u32), VerifyError> {
        let Some(der) = &self.certificates else {
            return Ok((Vec::new(), 0));
        };
        let mut elements = Elements::inside(CONTEXT_0, der).map_err(|_| VerifyError::Malformed {
            element: "certificates",
        })?;
        let (mut certificates, mut unreadable) = (Vec::new(), 0);
        for count in 0.. {
            // What follows an element whose end cannot be found is lost with it.
            let element = match elements.any() {
                Ok(Some(element)) => Some(element),
                Ok(None) => break,
                Err(_) => None,
            };
            if count >= limits.certificates {
                return Err(VerifyError::TooMany {
                    what: "certificates",
                    limit: limits.certificates,
                });
            }
            match element.and_then(certificate) {
                Some(certificate) if certificates.contains(&certificate) => {}
                Some(certificate) => certificates.push(certificate),
                None => unreadable += 1,
            }
            if element.is_none() {
                break;
            }
        }
        Ok((certificates, unreadable))
    }

    /// The signers, in the order of the message.
    pub(super) fn signer_infos(&self, limits: &Limits) -> Result<Vec<SignerInfo>, VerifyError> {
        let malformed = || VerifyError::Malformed { element: "signerInfos" };
        let elements = Elements::inside(SET, &self.signer_infos)
            .and_then(Elements::all)
            .map_err(|_| malformed())?;
        if elements.len() > limits.signers {
            return Err(VerifyError::TooMany {
                what: "signers",
                limit: limits.signers,
            });
        }
        elements
            .iter()
            .map(|element| SignerInfo::from_der(element.whole).map_err(|_| malformed()))
            .collect()
    }
}

/// CertificateChoices: a certificate, or something older or other that is not read.
fn certificate(element: Element<'_>) -> Option<Certificate> {
    if element.tag == SEQUENCE {
        Certificate::from_der(element.whole).ok()
    } else {
        None
    }
}
