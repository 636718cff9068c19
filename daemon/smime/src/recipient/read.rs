//! RecipientInfos read: candidates out of key transport and key agreement. What is meant for passwords or symmetric keys,
//! and what uses algorithms that are not supported, is counted and passed over; what is malformed is an error.

use std::sync::Arc;

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5912, rfc8410};
use der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use spki::AlgorithmIdentifierRef;

use super::agreement::{Kdf, KeyWrap};
use super::candidate::{Agreement, Candidate, RsaScheme, Wrapped};
use super::curve::Curve;
use super::identifier::RecipientIdentifier;
use super::oaep::{OAEP, OaepParameters};
use crate::limits::Limits;

/// The recipients of one layer.
#[derive(Debug)]
pub(crate) struct RecipientInfos {
    /// Those that a private key here could belong to.
    pub(crate) candidates: Vec<Candidate>,
    /// All of them.
    pub(crate) count: usize,
}

/// Why recipientInfos cannot be read. It depends on public octets alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedRecipient {
    /// An element is missing or of the wrong type.
    #[error("a RecipientInfo is malformed")]
    Der(#[from] der::Error),
    /// Neither issuer and serial number nor a key identifier.
    #[error("a recipient is identified in an unknown way")]
    Identifier,
    /// RFC 4055, section 4.1. They are not guessed, and the message is not taken for one with RSA v1.5.
    #[error("the RSA-OAEP parameters of a recipient are malformed")]
    OaepParameters,
    /// More recipients than [`Limits::recipients`].
    #[error("there are more than {limit} recipients")]
    TooMany {
        /// How many are allowed.
        limit: usize,
    },
}

const ORIGINATOR: TagNumber = TagNumber(0);
const ORIGINATOR_KEY: TagNumber = TagNumber(1);
const UKM: TagNumber = TagNumber(1);
const KEY_AGREEMENT: Tag = constructed(TagNumber(1));

const fn constructed(number: TagNumber) -> Tag {
    Tag::ContextSpecific {
        constructed: true,
        number,
    }
}

impl RecipientInfos {
    /// Reads the SET OF RecipientInfo, DER.
    pub(crate) fn read(der: &[u8], limits: &Limits) -> Result<Self, MalformedRecipient> {
        let set = AnyRef::from_der(der)?;
        set.tag().assert_eq(Tag::Set)?;
        let mut found = Self {
            candidates: Vec::new(),
            count: 0,
        };
        let mut recipients = SliceReader::new(set.value())?;
        while !recipients.is_finished() {
            let recipient: AnyRef<'_> = recipients.decode()?;
            match recipient.tag() {
                Tag::Sequence => {
                    found.count(1, limits)?;
                    found.candidates.extend(key_transport(recipient.value())?);
                }
                KEY_AGREEMENT => found.key_agreement(recipient.value(), limits)?,
                // KEKRecipientInfo, PasswordRecipientInfo, OtherRecipientInfo
                _ => found.count(1, limits)?,
            }
        }
        Ok(found)
    }

    fn count(&mut self, more: usize, limits: &Limits) -> Result<(), MalformedRecipient> {
        self.count = self.count.saturating_add(more);
        if self.count > limits.recipients {
            return Err(MalformedRecipient::TooMany {
                limit: limits.recipients,
            });
        }
        Ok(())
    }

    /// KeyAgreeRecipientInfo (RFC 5652, section 6.2.2), which may be for several recipients.
    fn key_agreement(&mut self, fields: &[u8], limits: &Limits) -> Result<(), MalformedRecipient> {
        let mut fields = SliceReader::new(fields)?;
        let _version: AnyRef<'_> = fields.decode()?;
        let originator: AnyRef<'_> = fields.decode()?;
        originator.tag().assert_eq(constructed(ORIGINATOR))?;
        let mut next: AnyRef<'_> = fields.decode()?;
        let mut ukm = None;
        if next.tag() == constructed(UKM) {
            ukm = Some(<&OctetStringRef>::from_der(next.value())?.as_bytes().to_vec());
            next = fields.decode()?;
        }
        let algorithm: AlgorithmIdentifierRef<'_> = next.decode_as()?;
        let agreement = agreement(originator.value(), ukm, &algorithm)?.map(Arc::new);

        let keys: AnyRef<'_> = fields.decode()?;
        keys.tag().assert_eq(Tag::Sequence)?;
        let mut keys = SliceReader::new(keys.value())?;
        while !keys.is_finished() {
            let (identifier, encrypted_key) = keys.sequence(|key| {
                let identifier = RecipientIdentifier::read(key.decode()?)?;
                Ok::<_, MalformedRecipient>((identifier, <&OctetStringRef>::decode(key)?.as_bytes().to_vec()))
            })?;
            self.count(1, limits)?;
            self.candidates.extend(agreement.clone().map(|agreement| Candidate {
                identifier,
                wrapped: Wrapped::Agreement {
                    agreement,
                    encrypted_key,
                },
            }));
        }
        Ok(())
    }
}

/// KeyTransRecipientInfo (RFC 5652, section 6.2.1); nothing if its algorithm is not supported.
fn key_transport(fields: &[u8]) -> Result<Option<Candidate>, MalformedRecipient> {
    let mut fields = SliceReader::new(fields)?;
    let _version: AnyRef<'_> = fields.decode()?;
    let identifier = RecipientIdentifier::read(fields.decode()?)?;
    let algorithm: AlgorithmIdentifierRef<'_> = fields.decode()?;
    let encrypted_key = <&OctetStringRef>::decode(&mut fields)?.as_bytes().to_vec();
    let scheme = match algorithm.oid {
        rfc5912::RSA_ENCRYPTION => Some(RsaScheme::Pkcs1),
        OAEP => OaepParameters::read(algorithm.parameters)?.map(
            |OaepParameters {
                 digest,
                 mgf1_digest,
                 label,
             }| {
                RsaScheme::Oaep {
                    digest,
                    mgf1_digest,
                    label,
                }
            },
        ),
        _ => None,
    };
    Ok(scheme.map(|scheme| Candidate {
        identifier,
        wrapped: Wrapped::Transport { scheme, encrypted_key },
    }))
}

/// The agreement that all recipients of one KeyAgreeRecipientInfo share; nothing if it is of a kind not supported
/// (static-static Diffie-Hellman, other curves, key derivations and key wraps, points that are not on their curve).
fn agreement(
    originator: &[u8],
    ukm: Option<Vec<u8>>,
    algorithm: &AlgorithmIdentifierRef<'_>,
) -> Result<Option<Agreement>, MalformedRecipient> {
    let originator = AnyRef::from_der(originator)?;
    if originator.tag() != constructed(ORIGINATOR_KEY) {
        return Ok(None);
    }
    let mut fields = SliceReader::new(originator.value())?;
    let key_algorithm: AlgorithmIdentifierRef<'_> = fields.decode()?;
    let public_key = BitStringRef::decode(&mut fields)?.raw_bytes();
    let Some(curve) = curve(&key_algorithm, public_key.len()) else {
        return Ok(None);
    };
    let Some(peer_public_key) = curve.point(public_key) else {
        return Ok(None);
    };

    let Some(kdf) = Kdf::from_oid(algorithm.oid) else {
        return Ok(None);
    };
    let Some(parameters) = algorithm.parameters else {
        return Ok(None);
    };
    let wrap: AlgorithmIdentifierRef<'_> = parameters.decode_as()?;
    let Some(wrap) = KeyWrap::from_oid(wrap.oid) else {
        return Ok(None);
    };
    Ok(Some(Agreement {
        curve,
        peer_public_key,
        kdf,
        wrap,
        ukm,
    }))
}

/// The curve of an originator's key: named, or told from the length of the point.
fn curve(algorithm: &AlgorithmIdentifierRef<'_>, point_len: usize) -> Option<Curve> {
    match algorithm.oid {
        rfc8410::ID_X_25519 => Some(Curve::X25519),
        rfc5912::ID_EC_PUBLIC_KEY => {
            match algorithm
                .parameters
                .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok())
            {
                Some(rfc5912::SECP_256_R_1) => Some(Curve::P256),
                Some(rfc5912::SECP_384_R_1) => Some(Curve::P384),
                Some(rfc5912::SECP_521_R_1) => Some(Curve::P521),
                Some(_) => None,
                None => Curve::of_point_len(point_len),
            }
        }
        _ => None,
    }
}
