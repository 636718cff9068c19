//! One SignerInfo (RFC 5652, section 5.3), read with every octet of the signed attributes kept. What follows from it is
//! decided in `checks`.

use std::fmt;

use der::Decode as _;
use spki::AlgorithmIdentifierOwned;

use crate::algorithm::DigestAlgorithm;
use crate::ber::element::{Elements, Malformed};
use crate::ber::encode::{CONTEXT_0, SEQUENCE};
use crate::certificate::Certificate;
use crate::digest::digest;

/// `[0]` IMPLICIT SubjectKeyIdentifier.
const SUBJECT_KEY_ID: u8 = 0x80;
/// `[1]` IMPLICIT Attributes.
const UNSIGNED_ATTRIBUTES: u8 = 0xa1;

#[derive(Debug)]
pub(super) struct SignerInfo {
    pub(super) identifier: SignerIdentifier,
    pub(super) digest_algorithm: AlgorithmIdentifierOwned,
    /// The contents octets of signedAttrs.
    pub(super) signed_attributes: Option<Vec<u8>>,
    pub(super) signature_algorithm: AlgorithmIdentifierOwned,
    pub(super) signature: Vec<u8>,
}

/// How the signer's certificate is named.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignerIdentifier {
    /// The DER of the issuer's Name and the content octets of the serial number.
    IssuerAndSerial {
        issuer: Vec<u8>,
        serial: Vec<u8>,
    },
    SubjectKeyId(Vec<u8>),
}

impl SignerInfo {
    pub(super) fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        let mut elements = Elements::inside(SEQUENCE, der)?;
        elements.integer()?;
        let identifier = SignerIdentifier::read(&mut elements)?;
        let digest_algorithm = algorithm_identifier(&mut elements)?;
        let signed_attributes = elements.optional(CONTEXT_0)?.map(|element| element.contents.to_vec());
        let signature_algorithm = algorithm_identifier(&mut elements)?;
        let signature = elements.octet_string()?.to_vec();
        elements.optional(UNSIGNED_ATTRIBUTES)?;
        elements.end()?;
        Ok(Self {
            identifier,
            digest_algorithm,
            signed_attributes,
            signature_algorithm,
            signature,
        })
    }
}

impl SignerIdentifier {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Malformed> {
        if let Some(key_id) = elements.optional(SUBJECT_KEY_ID)? {
            return Ok(Self::SubjectKeyId(key_id.contents.to_vec()));
        }
        let mut inside = Elements::new(elements.required(SEQUENCE)?.contents);
        let issuer = inside.required(SEQUENCE)?.whole.to_vec();
        let serial = inside.integer()?.to_vec();
        inside.end()?;
        Ok(Self::IssuerAndSerial { issuer, serial })
    }

    /// Whether it names `certificate`. A certificate without the extension is named by the SHA-1 of its key (RFC 5280,
    /// section 4.2.1.2).
    pub(super) fn names(&self, certificate: &Certificate) -> bool {
        match self {
            Self::IssuerAndSerial { issuer, serial } => certificate.is_named_by(issuer, serial),
            Self::SubjectKeyId(key_id) => match certificate.subject_key_id() {
                Some(extension) => extension == key_id,
                None => digest(DigestAlgorithm::Sha1, certificate.public_key_bits()) == *key_id,
            },
        }
    }
}

impl fmt::Display for SignerIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = match self {
            Self::IssuerAndSerial { serial, .. } => {
                f.write_str("serial number ")?;
                serial
            }
            Self::SubjectKeyId(key_id) => {
                f.write_str("subject key identifier ")?;
                key_id
            }
        };
        octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

fn algorithm_identifier(elements: &mut Elements<'_>) -> Result<AlgorithmIdentifierOwned, Malformed> {
    AlgorithmIdentifierOwned::from_der(elements.required(SEQUENCE)?.whole).map_err(|_| Malformed)
}
