//! The signed attributes of one SignerInfo, as DER.

use std::time::SystemTime;

use const_oid::ObjectIdentifier;
use der::asn1::{GeneralizedTime, UtcTime};
use der::{DateTime, Encode as _};

use super::SignError;
use super::capabilities::capabilities;
use super::signed_data::issuer_and_serial;
use crate::algorithm::DigestAlgorithm;
use crate::attributes::{
    ID_AA_CMS_ALGORITHM_PROTECTION, ID_AA_ENCRYP_KEY_PREF, ID_AA_SIGNING_CERTIFICATE_V_2, ID_CONTENT_TYPE, ID_DATA,
    ID_MESSAGE_DIGEST, ID_SIGNING_TIME, SMIME_CAPABILITIES,
};
use crate::ber::element::Elements;
use crate::ber::encode::{CONTEXT_0, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, constructed, set_of, tlv};
use crate::certificate::Certificate;
use crate::digest::digest;

/// What the attributes are made of.
pub(super) struct Facts<'a> {
    pub(super) message_digest: &'a [u8],
    pub(super) signing_time: SystemTime,
    pub(super) certificate: &'a Certificate,
    pub(super) encryption_certificate: Option<&'a Certificate>,
    /// DER of the digestAlgorithm and signatureAlgorithm of the SignerInfo.
    pub(super) digest_algorithm: &'a [u8],
    pub(super) signature_algorithm: &'a [u8],
}

/// The signed attributes: the DER of a SET, which is what is signed (RFC 5652, section 5.4).
pub(super) fn signed_attributes(facts: &Facts<'_>) -> Result<Vec<u8>, SignError> {
    let mut attributes = vec![
        attribute(ID_CONTENT_TYPE, &tlv(OID, ID_DATA.as_bytes())),
        attribute(ID_MESSAGE_DIGEST, &tlv(OCTET_STRING, facts.message_digest)),
        attribute(ID_SIGNING_TIME, &signing_time(facts.signing_time)?),
        attribute(
            ID_AA_SIGNING_CERTIFICATE_V_2,
            &signing_certificate_v2(facts.certificate),
        ),
        attribute(ID_AA_CMS_ALGORITHM_PROTECTION, &algorithm_protection(facts)),
        attribute(SMIME_CAPABILITIES, &capabilities(facts.encryption_certificate)),
    ];
    // SMIMEEncryptionKeyPreference, the choice [0] IMPLICIT IssuerAndSerialNumber (RFC 8551, section 2.5.3).
    attributes.extend(
        facts
            .encryption_certificate
            .map(|certificate| attribute(ID_AA_ENCRYP_KEY_PREF, &tlv(CONTEXT_0, &issuer_and_serial(certificate)))),
    );
    Ok(set_of(SET, attributes))
}

fn attribute(oid: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    constructed(SEQUENCE, &[&tlv(OID, oid.as_bytes()), &tlv(SET, value)])
}

/// UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5652, section 11.3).
fn signing_time(time: SystemTime) -> Result<Vec<u8>, SignError> {
    let encode = |source| SignError::Encode {
        element: "signingTime",
        source,
    };
    let time = DateTime::from_system_time(time).map_err(encode)?;
    if time.year() < 2050 {
        UtcTime::from_date_time(time)
            .and_then(|time| time.to_der())
            .map_err(encode)
    } else {
        GeneralizedTime::from_date_time(time).to_der().map_err(encode)
    }
}

/// SigningCertificateV2 (RFC 5035, section 3) with the hash algorithm that it takes by default, SHA-256, which DER
/// therefore leaves out.
fn signing_certificate_v2(certificate: &Certificate) -> Vec<u8> {
    /// `[4]` EXPLICIT Name.
    const DIRECTORY_NAME: u8 = 0xa4;
    let issuer = tlv(SEQUENCE, &tlv(DIRECTORY_NAME, certificate.issuer_der()));
    let issuer_serial = constructed(SEQUENCE, &[&issuer, &tlv(INTEGER, certificate.serial())]);
    let hash = tlv(OCTET_STRING, &digest(DigestAlgorithm::Sha256, certificate.der()));
    let id = constructed(SEQUENCE, &[&hash, &issuer_serial]);
    tlv(SEQUENCE, &tlv(SEQUENCE, &id))
}

/// CMSAlgorithmProtection (RFC 6211, section 2).
fn algorithm_protection(facts: &Facts<'_>) -> Vec<u8> {
    /// `[1]` IMPLICIT SignatureAlgorithmIdentifier.
    const SIGNATURE_ALGORITHM: u8 = 0xa1;
    let signature_algorithm = Elements::new(facts.signature_algorithm)
        .required(SEQUENCE)
        .map_or(&[][..], |identifier| identifier.contents);
    constructed(
        SEQUENCE,
        &[facts.digest_algorithm, &tlv(SIGNATURE_ALGORITHM, signature_algorithm)],
    )
}
