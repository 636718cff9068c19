//! RSAES-OAEP-params (RFC 4055, section 4.1), read and written. What is malformed is an error: nothing is guessed, and
//! nothing is taken for v1.5.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_MGF_1, ID_P_SPECIFIED};
use der::asn1::{AnyRef, OctetStringRef};
use der::{Decode, Encode};
use rsa::pkcs1::{RsaOaepParams, RsaOaepParamsOwned};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};

use super::read::MalformedRecipient;
use crate::algorithm::DigestAlgorithm;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OaepParameters {
    pub(super) digest: DigestAlgorithm,
    pub(super) mgf1_digest: DigestAlgorithm,
    pub(super) label: Vec<u8>,
}

impl OaepParameters {
    /// Reads the parameters; nothing if they are in order, but use a digest or a function that is not supported.
    pub(super) fn read(parameters: Option<AnyRef<'_>>) -> Result<Option<Self>, MalformedRecipient> {
        let malformed = || MalformedRecipient::OaepParameters;
        // RFC 4055, section 4.1: in an AlgorithmIdentifier of a message the parameters must be present.
        let der = parameters.ok_or_else(malformed)?.to_der().map_err(|_| malformed())?;
        let RsaOaepParams {
            hash,
            mask_gen,
            p_source,
        } = RsaOaepParamsOwned::from_der(&der).map_err(|_| malformed())?;
        let mgf1_hash = mask_gen.parameters.ok_or_else(malformed)?;
        let label = p_source.parameters.ok_or_else(malformed)?;
        if p_source.oid != ID_P_SPECIFIED || !plain(&hash) || !plain(&mgf1_hash) {
            return Err(malformed());
        }
        let label = label
            .decode_as::<&OctetStringRef>()
            .map_err(|_| malformed())?
            .as_bytes()
            .to_vec();
        Ok(
            match (
                DigestAlgorithm::from_oid(hash.oid),
                DigestAlgorithm::from_oid(mgf1_hash.oid),
            ) {
                (Some(digest), Some(mgf1_digest)) if mask_gen.oid == ID_MGF_1 => Some(Self {
                    digest,
                    mgf1_digest,
                    label,
                }),
                _ => None,
            },
        )
    }
}

/// Whether a digest's parameters are absent or NULL: it has no others.
fn plain(digest: &AlgorithmIdentifierOwned) -> bool {
    digest.parameters.as_ref().is_none_or(der::Any::is_null)
}

/// The identifier of OAEP with SHA-256 for both digests and no label, everything written out.
pub(super) fn sha256_identifier() -> der::Result<Vec<u8>> {
    let parameters = RsaOaepParams::new::<sha2::Sha256>().to_der()?;
    AlgorithmIdentifierRef {
        oid: OAEP,
        parameters: Some(AnyRef::from_der(&parameters)?),
    }
    .to_der()
}

/// id-RSAES-OAEP.
pub(super) const OAEP: ObjectIdentifier = const_oid::db::rfc5912::ID_RSAES_OAEP;
