//! What was found out about a signed message, signer by signer. It mirrors `report.proto`. Trust in a certificate (path,
//! revocation) is not evaluated here and never reported as good.

use std::time::SystemTime;

use const_oid::ObjectIdentifier;

use crate::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It was made and went well.
    Passed,
    /// It was made and went wrong; the text says how.
    Failed(String),
    /// There was nothing to check, or something needed for it is missing; the text says what.
    NotMade(String),
    /// This crate does not evaluate it. It is no verdict, least of all a good one.
    NotEvaluated(String),
}

impl Check {
    /// Whether it was made and went well.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        *self == Self::Passed
    }

    /// Whether it was made and went wrong.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// A signed layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReport {
    /// `multipart/signed` or `application/pkcs7-mime`.
    pub media_type: &'static str,
    /// The signers, in the order of the message.
    pub signers: Vec<SignerReport>,
    /// Certificates in the message that could not be read; they are passed over.
    pub unreadable_certificates: u32,
}

impl SignedReport {
    /// Whether there is a signer and every signer is [valid](SignerReport::valid).
    #[must_use]
    pub fn valid(&self) -> bool {
        !self.signers.is_empty() && self.signers.iter().all(SignerReport::valid)
    }
}

/// One SignerInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerReport {
    /// The digest of the content equals the messageDigest attribute, or there are no signed attributes.
    pub digest: Check,
    /// The signature verifies under the key of the signer's certificate.
    pub signature: Check,
    /// The certificate allows digital signatures.
    pub key_usage: Check,
    /// The certificate allows mail.
    pub extended_key_usage: Check,
    /// Every address in From and Sender is among the certificate's. Addresses are compared without regard to case. Not
    /// made if the message has neither field.
    pub address: Check,
    /// The signed attributes agree with the rest of the message. Not made if there are none.
    pub signed_attributes: Check,
    /// The signing time lies within the certificate's validity. Not made if there is no signing time.
    pub validity: Check,
    /// Path and revocation: never evaluated here.
    pub trust: Check,
    /// The digest algorithm, if it is one this crate knows.
    pub digest_algorithm: Option<DigestAlgorithm>,
    /// The digest algorithm.
    pub digest_algorithm_oid: ObjectIdentifier,
    /// The signature algorithm, if it is one this crate knows.
    pub signature_algorithm: Option<SignatureAlgorithm>,
    /// The signature algorithm.
    pub signature_algorithm_oid: ObjectIdentifier,
    /// When the signer says that it signed. Nobody else has confirmed it.
    pub signing_time: Option<SystemTime>,
    /// The signer's certificate, if the message carries it.
    pub certificate: Option<Certificate>,
}

impl SignerReport {
    /// Whether digest, signature and both key usages passed, and no other check failed. Address, signed attributes and
    /// validity do not count when there was nothing to check.
    #[must_use]
    pub fn valid(&self) -> bool {
        [&self.digest, &self.signature, &self.key_usage, &self.extended_key_usage]
            .into_iter()
            .all(Check::is_passed)
            && ![&self.address, &self.signed_attributes, &self.validity, &self.trust]
                .into_iter()
                .any(Check::is_failed)
    }
}
