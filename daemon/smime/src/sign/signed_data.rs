//! The structures around the signed content, as DER: SignerInfos, certificates, and SignedData without content (RFC 5652,
//! section 5). Which attributes are signed is in `attributes`.

use std::time::SystemTime;

use der::Encode as _;

use super::attributes::{self, Facts};
use super::{Options, SignError, SignerOptions};
use crate::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use crate::attributes::ID_DATA;
use crate::ber::ID_SIGNED_DATA;
use crate::ber::encode::{CONTEXT_0, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, constructed, set_of, tlv};
use crate::certificate::Certificate;

/// The version of a SignedData whose content is id-data, whose certificates are X.509 version 3 and whose SignerInfos are
/// version 1 (RFC 5652, section 5.1).
pub(super) const VERSION: u8 = 1;
/// The version of a SignerInfo that names its certificate by issuer and serial number (RFC 5652, section 5.3).
const SIGNER_INFO_VERSION: u8 = 1;

/// One signer with its algorithm identifiers written out.
#[derive(Debug)]
pub(super) struct SignerPlan {
    options: SignerOptions,
    digest_algorithm: Vec<u8>,
    signature_algorithm: Vec<u8>,
}

impl SignerPlan {
    pub(super) fn new(options: SignerOptions) -> Result<Self, SignError> {
        let digest_algorithm = digest_algorithm(options.algorithm.digest())?;
        let signature_algorithm =
            options
                .algorithm
                .algorithm_identifier()
                .to_der()
                .map_err(|source| SignError::Encode {
                    element: "signatureAlgorithm",
                    source,
                })?;
        Ok(Self {
            options,
            digest_algorithm,
            signature_algorithm,
        })
    }

    pub(super) fn algorithm(&self) -> SignatureAlgorithm {
        self.options.algorithm
    }

    /// The signed attributes: the DER of a SET.
    pub(super) fn attributes(
        self,
        digests: &[(DigestAlgorithm, Vec<u8>)],
        signing_time: SystemTime,
    ) -> Result<(Self, Vec<u8>), SignError> {
        let wanted = self.options.algorithm.digest();
        let message_digest = digests
            .iter()
            .find(|(by, _)| *by == wanted)
            .map_or(&[][..], |(_, digest)| digest);
        let attributes = attributes::signed_attributes(&Facts {
            message_digest,
            signing_time,
            certificate: &self.options.certificate,
            encryption_certificate: self.options.encryption_certificate.as_ref(),
            digest_algorithm: &self.digest_algorithm,
            signature_algorithm: &self.signature_algorithm,
        })?;
        Ok((self, attributes))
    }

    /// The SignerInfo. `attributes` are what was signed.
    pub(super) fn signer_info(&self, attributes: &[u8], signature: &[u8]) -> Vec<u8> {
        // The same octets, under the tag of IMPLICIT [0] in place of that of the SET.
        let mut attributes = attributes.to_vec();
        if let Some(tag) = attributes.first_mut() {
            *tag = CONTEXT_0;
        }
        constructed(
            SEQUENCE,
            &[
                &tlv(INTEGER, &[SIGNER_INFO_VERSION]),
                &tlv(SEQUENCE, &issuer_and_serial(&self.options.certificate)),
                &self.digest_algorithm,
                &attributes,
                &self.signature_algorithm,
                &tlv(OCTET_STRING, signature),
            ],
        )
    }
}

/// The contents octets of IssuerAndSerialNumber.
pub(super) fn issuer_and_serial(certificate: &Certificate) -> Vec<u8> {
    [certificate.issuer_der(), &tlv(INTEGER, certificate.serial())].concat()
}

/// DigestAlgorithmIdentifiers.
pub(super) fn digest_algorithms(digests: &[DigestAlgorithm]) -> Result<Vec<u8>, SignError> {
    let identifiers = digests
        .iter()
        .map(|digest| digest_algorithm(*digest))
        .collect::<Result<_, _>>()?;
    Ok(set_of(SET, identifiers))
}

fn digest_algorithm(digest: DigestAlgorithm) -> Result<Vec<u8>, SignError> {
    digest
        .algorithm_identifier()
        .to_der()
        .map_err(|source| SignError::Encode {
            element: "digestAlgorithm",
            source,
        })
}

/// The certificates of the signers, those that answers should be encrypted to, and the chain, each once: `[0]` IMPLICIT
/// CertificateSet.
pub(super) fn certificates(options: &Options) -> Vec<u8> {
    let signers = options
        .signers
        .iter()
        .flat_map(|signer| [Some(&signer.certificate), signer.encryption_certificate.as_ref()]);
    let mut certificates: Vec<_> = signers
        .flatten()
        .chain(&options.certificates)
        .map(|certificate| certificate.der().to_vec())
        .collect();
    certificates.sort();
    certificates.dedup();
    set_of(CONTEXT_0, certificates)
}

/// What follows the content in SignedData.
pub(super) fn behind_content(certificates: &[u8], signer_infos: Vec<Vec<u8>>) -> Vec<u8> {
    [certificates, &set_of(SET, signer_infos)].concat()
}

/// A ContentInfo with SignedData and without content.
pub(super) fn detached(digests: &[DigestAlgorithm], behind_content: &[u8]) -> Result<Vec<u8>, SignError> {
    let content_info = constructed(SEQUENCE, &[&tlv(OID, ID_DATA.as_bytes())]);
    let version = tlv(INTEGER, &[VERSION]);
    let signed_data = constructed(
        SEQUENCE,
        &[&version, &digest_algorithms(digests)?, &content_info, behind_content],
    );
    Ok(constructed(
        SEQUENCE,
        &[&tlv(OID, ID_SIGNED_DATA.as_bytes()), &tlv(CONTEXT_0, &signed_data)],
    ))
}
