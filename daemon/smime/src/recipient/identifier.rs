//! Which certificate a RecipientInfo means (RFC 5652, sections 6.2.1 and 6.2.2): issuer and serial number, or the key
//! identifier.

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};

use super::read::MalformedRecipient;
use crate::ber::encode::{INTEGER, SEQUENCE, push_tlv, tlv};
use crate::certificate::Certificate;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecipientIdentifier {
    IssuerAndSerial { issuer: Vec<u8>, serial: Vec<u8> },
    KeyId(Vec<u8>),
}

impl RecipientIdentifier {
    /// Reads RecipientIdentifier (key transport) or KeyAgreeRecipientIdentifier.
    pub(super) fn read(identifier: AnyRef<'_>) -> Result<Self, MalformedRecipient> {
        const KEY_ID: TagNumber = TagNumber(0);
        match identifier.tag() {
            Tag::Sequence => {
                let mut fields = SliceReader::new(identifier.value())?;
                let issuer = fields.tlv_bytes()?.to_vec();
                let serial: AnyRef<'_> = fields.decode()?;
                serial.tag().assert_eq(Tag::Integer)?;
                fields.finish()?;
                Ok(Self::IssuerAndSerial {
                    issuer,
                    serial: serial.value().to_vec(),
                })
            }
            Tag::ContextSpecific {
                constructed: false,
                number: KEY_ID,
            } => Ok(Self::KeyId(identifier.value().to_vec())),
            // RecipientKeyIdentifier, whose date and other attributes are of no use here.
            Tag::ContextSpecific {
                constructed: true,
                number: KEY_ID,
            } => {
                let mut fields = SliceReader::new(identifier.value())?;
                let key_id = AnyRef::decode(&mut fields)?;
                key_id.tag().assert_eq(Tag::OctetString)?;
                Ok(Self::KeyId(key_id.value().to_vec()))
            }
            _ => Err(MalformedRecipient::Identifier),
        }
    }

    /// Whether this certificate is meant. A key identifier is compared with the extension and, for certificates that do
    /// not have it, with the SHA-1 digest that RFC 5280, section 4.2.1.2 makes it from.
    pub(super) fn matches(&self, certificate: &Certificate) -> bool {
        match self {
            Self::IssuerAndSerial { issuer, serial } => certificate.is_named_by(issuer, serial),
            Self::KeyId(key_id) => {
                certificate.subject_key_id() == Some(key_id) || certificate.public_key_sha1() == key_id.as_slice()
            }
        }
    }
}

/// The DER of IssuerAndSerialNumber.
pub(super) fn issuer_and_serial(certificate: &Certificate) -> Vec<u8> {
    let mut fields = certificate.issuer_der().to_vec();
    push_tlv(INTEGER, certificate.serial(), &mut fields);
    tlv(SEQUENCE, &fields)
}
