//! The signed attributes of one SignerInfo: what octets were signed, what each attribute says, and whether those that must
//! agree with the rest of the message do.

use std::time::SystemTime;

use const_oid::ObjectIdentifier;
use der::Decode as _;
use der::asn1::{GeneralizedTime, UtcTime};
use spki::AlgorithmIdentifierOwned;

use super::signer_info::SignerInfo;
use crate::algorithm::DigestAlgorithm;
use crate::attributes::{
    ID_AA_CMS_ALGORITHM_PROTECTION, ID_AA_SIGNING_CERTIFICATE, ID_AA_SIGNING_CERTIFICATE_V_2, ID_CONTENT_TYPE,
    ID_MESSAGE_DIGEST, ID_SIGNING_TIME,
};
use crate::ber::element::{Elements, Malformed};
use crate::ber::encode::{OID, SEQUENCE, SET, constructed, set_of, tlv};
use crate::certificate::Certificate;
use crate::digest::digest;

/// Attributes of which there may be one, with one value (RFC 5652, section 11; RFC 5035, section 3; RFC 6211, section 2).
const SINGLE: [(ObjectIdentifier, &str); 6] = [
    (ID_CONTENT_TYPE, "contentType"),
    (ID_MESSAGE_DIGEST, "messageDigest"),
    (ID_SIGNING_TIME, "signingTime"),
    (ID_AA_SIGNING_CERTIFICATE, "signingCertificate"),
    (ID_AA_SIGNING_CERTIFICATE_V_2, "signingCertificateV2"),
    (ID_AA_CMS_ALGORITHM_PROTECTION, "CMSAlgorithmProtection"),
];

/// The attributes, each with the elements that are its values.
#[derive(Debug)]
pub(super) struct SignedAttributes<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Debug)]
struct Attribute<'a> {
    oid: ObjectIdentifier,
    values: Vec<&'a [u8]>,
}

impl<'a> SignedAttributes<'a> {
    /// Takes the contents octets of signedAttrs apart. An attribute that may stand there once and does not is refused: two
    /// readers could pick different ones.
    pub(super) fn read(contents: &'a [u8]) -> Result<Self, String> {
        let unreadable = |_| "the signed attributes cannot be read".to_owned();
        let mut attributes = Vec::new();
        for element in Elements::new(contents).all().map_err(unreadable)? {
            attributes.push(Attribute::read(element.whole).map_err(unreadable)?);
        }
        let attributes = Self { attributes };
        for (oid, name) in SINGLE {
            let mut found = attributes.attributes.iter().filter(|attribute| attribute.oid == oid);
            if let Some(first) = found.next()
                && (found.next().is_some() || first.values.len() != 1)
            {
                return Err(format!("the attribute {name} does not have exactly one value"));
            }
        }
        Ok(attributes)
    }

    fn value(&self, oid: ObjectIdentifier) -> Option<&'a [u8]> {
        self.attributes
            .iter()
            .find(|attribute| attribute.oid == oid)?
            .values
            .first()
            .copied()
    }

    /// The messageDigest attribute.
    pub(super) fn message_digest(&self) -> Option<&'a [u8]> {
        let mut elements = Elements::new(self.value(ID_MESSAGE_DIGEST)?);
        elements.octet_string().ok()
    }

    /// The signingTime attribute, if there is one that can be read.
    pub(super) fn signing_time(&self) -> Option<SystemTime> {
        let value = self.value(ID_SIGNING_TIME)?;
        UtcTime::from_der(value)
            .map(|time| time.to_system_time())
            .or_else(|_| GeneralizedTime::from_der(value).map(|time| time.to_system_time()))
            .ok()
    }

    /// Whether everything agrees that must; why not otherwise.
    pub(super) fn agree(
        &self,
        signer: &SignerInfo,
        content_type: ObjectIdentifier,
        certificate: Option<&Certificate>,
    ) -> Result<(), String> {
        self.agree_on_content_type(content_type)?;
        if self.value(ID_SIGNING_TIME).is_some() && self.signing_time().is_none() {
            return Err("the attribute signingTime cannot be read".to_owned());
        }
        if let Some(value) = self.value(ID_AA_CMS_ALGORITHM_PROTECTION) {
            agree_on_algorithms(value, signer)?;
        }
        let versions = [
            (ID_AA_SIGNING_CERTIFICATE, EssVersion::One),
            (ID_AA_SIGNING_CERTIFICATE_V_2, EssVersion::Two),
        ];
        for (oid, version) in versions {
            let (Some(value), Some(certificate)) = (self.value(oid), certificate) else {
                continue;
            };
            match ess_names(value, version, certificate) {
                Ok(true) => {}
                Ok(false) => return Err(format!("the attribute {} names another certificate", version.name())),
                Err(Malformed) => return Err(format!("the attribute {} cannot be read", version.name())),
            }
        }
        Ok(())
    }

    fn agree_on_content_type(&self, content_type: ObjectIdentifier) -> Result<(), String> {
        let value = self
            .value(ID_CONTENT_TYPE)
            .ok_or("the attribute contentType is missing")?;
        let named = ObjectIdentifier::from_der(value).map_err(|_| "the attribute contentType cannot be read")?;
        if named == content_type {
            Ok(())
        } else {
            Err(format!(
                "the attribute contentType is {named}, but the content is of type {content_type}"
            ))
        }
    }
}

impl<'a> Attribute<'a> {
    fn read(whole: &'a [u8]) -> Result<Self, Malformed> {
        let mut elements = Elements::inside(SEQUENCE, whole)?;
        let oid = ObjectIdentifier::from_der(elements.required(OID)?.whole).map_err(|_| Malformed)?;
        let values = Elements::new(elements.required(SET)?.contents).all()?;
        elements.end()?;
        Ok(Self {
            oid,
            values: values.iter().map(|value| value.whole).collect(),
        })
    }
}

/// What may have been signed: the attributes as received under the tag of a SET (RFC 5652, section 5.4), and the same in the
/// order of DER, because some signers write them in another order than they sign them.
pub(super) fn signed_octets(contents: &[u8]) -> Vec<Vec<u8>> {
    let received = tlv(SET, contents);
    let sorted = Elements::new(contents).all().ok().and_then(|attributes| {
        let sorted: Result<Vec<_>, _> = attributes
            .iter()
            .map(|attribute| with_sorted_values(attribute.whole))
            .collect();
        Some(set_of(SET, sorted.ok()?)).filter(|sorted| *sorted != received)
    });
    [Some(received), sorted].into_iter().flatten().collect()
}

fn with_sorted_values(attribute: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut elements = Elements::inside(SEQUENCE, attribute)?;
    let oid = elements.required(OID)?;
    let values = Elements::new(elements.required(SET)?.contents).all()?;
    elements.end()?;
    let values = values.iter().map(|value| value.whole.to_vec()).collect();
    Ok(constructed(SEQUENCE, &[oid.whole, &set_of(SET, values)]))
}

/// CMSAlgorithmProtection (RFC 6211, section 2) against the SignerInfo.
fn agree_on_algorithms(value: &[u8], signer: &SignerInfo) -> Result<(), String> {
    /// `[1]` IMPLICIT SignatureAlgorithmIdentifier.
    const SIGNATURE_ALGORITHM: u8 = 0xa1;
    let read = || -> Result<(AlgorithmIdentifierOwned, AlgorithmIdentifierOwned), Malformed> {
        let mut elements = Elements::inside(SEQUENCE, value)?;
        let digest = AlgorithmIdentifierOwned::from_der(elements.required(SEQUENCE)?.whole).map_err(|_| Malformed)?;
        let signature = tlv(SEQUENCE, elements.required(SIGNATURE_ALGORITHM)?.contents);
        let signature = AlgorithmIdentifierOwned::from_der(&signature).map_err(|_| Malformed)?;
        elements.end()?;
        Ok((digest, signature))
    };
    let (digest, signature) = read().map_err(|_| "the attribute CMSAlgorithmProtection cannot be read")?;
    if same_algorithm(&digest, &signer.digest_algorithm) && same_algorithm(&signature, &signer.signature_algorithm) {
        Ok(())
    } else {
        Err("the attribute CMSAlgorithmProtection names other algorithms than the signature".to_owned())
    }
}

/// Absent parameters and NULL are the same to every reader.
fn same_algorithm(one: &AlgorithmIdentifierOwned, other: &AlgorithmIdentifierOwned) -> bool {
    let parameters = |identifier: &AlgorithmIdentifierOwned| identifier.parameters.clone().filter(|any| !any.is_null());
    one.oid == other.oid && parameters(one) == parameters(other)
}

#[derive(Clone, Copy, Debug)]
enum EssVersion {
    One,
    Two,
}

impl EssVersion {
    fn name(self) -> &'static str {
        match self {
            Self::One => "signingCertificate",
            Self::Two => "signingCertificateV2",
        }
    }
}

/// Whether SigningCertificate (RFC 2634, section 5.4) or SigningCertificateV2 (RFC 5035, section 3) names `certificate`
/// first.
fn ess_names(value: &[u8], version: EssVersion, certificate: &Certificate) -> Result<bool, Malformed> {
    let mut signing_certificate = Elements::inside(SEQUENCE, value)?;
    let mut ids = Elements::new(signing_certificate.required(SEQUENCE)?.contents);
    let mut id = Elements::new(ids.required(SEQUENCE)?.contents);
    let hash = match version {
        EssVersion::One => DigestAlgorithm::Sha1,
        EssVersion::Two => match id.optional(SEQUENCE)? {
            None => DigestAlgorithm::Sha256,
            Some(identifier) => {
                let identifier = AlgorithmIdentifierOwned::from_der(identifier.whole).map_err(|_| Malformed)?;
                DigestAlgorithm::from_oid(identifier.oid).ok_or(Malformed)?
            }
        },
    };
    if id.octet_string()? != digest(hash, certificate.der()) {
        return Ok(false);
    }
    // The hash is over the whole certificate, issuer and serial number included; the issuerSerial, if it is there, must
    // still not say something else.
    let Some(issuer_serial) = id.optional(SEQUENCE)? else {
        return Ok(true);
    };
    let mut issuer_serial = Elements::new(issuer_serial.contents);
    let mut names = Elements::new(issuer_serial.required(SEQUENCE)?.contents);
    let serial = issuer_serial.integer()?;
    /// `[4]` EXPLICIT Name.
    const DIRECTORY_NAME: u8 = 0xa4;
    let issuer = names.required(DIRECTORY_NAME)?.contents;
    Ok(certificate.is_named_by(issuer, serial))
}
