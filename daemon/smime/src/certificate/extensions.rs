//! The extensions that S/MIME asks about (RFC 8550, section 4.4): keyUsage, extendedKeyUsage, subjectAltName,
//! subjectKeyIdentifier, basicConstraints. A usage extension that cannot be read permits nothing; the others that cannot
//! be read count as absent. If the list itself cannot be read to its end, nothing is permitted.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280;
use der::asn1::{AnyRef, Ia5StringRef, OctetStringRef, Utf8StringRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages};

/// id-on-SmtpUTF8Mailbox (RFC 9598).
const SMTP_UTF8_MAILBOX: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.9");

/// What the extensions say.
#[derive(Default)]
pub(super) struct Extensions {
    key_usage: Option<Usage>,
    email_use: Option<bool>,
    pub(super) subject_key_id: Option<Vec<u8>>,
    pub(super) is_ca: bool,
    /// rfc822Name and SmtpUTF8Mailbox, as they stand.
    pub(super) mailboxes: Vec<String>,
}

#[derive(Clone, Copy, Default)]
struct Usage {
    sign: bool,
    encipher: bool,
    agree: bool,
}

impl Extensions {
    /// Reads the Extensions, DER, without the explicit tag around them.
    pub(super) fn read(der: &[u8]) -> Self {
        let mut found = Self::default();
        if found.read_all(der).is_err() {
            // What was read before the fault counts, but behind it a restriction may stand.
            found.key_usage = Some(Usage::default());
            found.email_use = Some(false);
        }
        found
    }

    pub(super) fn allows_signing(&self) -> bool {
        self.key_usage.is_none_or(|usage| usage.sign)
    }

    pub(super) fn allows_key_encipherment(&self) -> bool {
        self.key_usage.is_none_or(|usage| usage.encipher)
    }

    pub(super) fn allows_key_agreement(&self) -> bool {
        self.key_usage.is_none_or(|usage| usage.agree)
    }

    pub(super) fn allows_email(&self) -> bool {
        self.email_use.unwrap_or(true)
    }

    fn read_all(&mut self, der: &[u8]) -> der::Result<()> {
        SliceReader::new(der)?.sequence(|extensions| {
            while !extensions.is_finished() {
                let (oid, value) = extension(extensions)?;
                self.add(oid, value);
            }
            Ok(())
        })
    }

    fn add(&mut self, oid: ObjectIdentifier, value: &[u8]) {
        match oid {
            rfc5280::ID_CE_KEY_USAGE => self.key_usage = Some(usage(value)),
            rfc5280::ID_CE_EXT_KEY_USAGE => {
                let usages = ExtendedKeyUsage::from_der(value)
                    .map(|usages| usages.0)
                    .unwrap_or_default();
                self.email_use = Some(usages.iter().any(|usage| {
                    *usage == rfc5280::ID_KP_EMAIL_PROTECTION || *usage == rfc5280::ANY_EXTENDED_KEY_USAGE
                }));
            }
            rfc5280::ID_CE_SUBJECT_ALT_NAME => {
                let _ = self.add_alternative_names(value);
            }
            rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER => {
                self.subject_key_id = <&OctetStringRef>::from_der(value)
                    .ok()
                    .map(|identifier| identifier.as_bytes().to_vec());
            }
            rfc5280::ID_CE_BASIC_CONSTRAINTS => self.is_ca = is_ca(value).unwrap_or(false),
            _ => {}
        }
    }

    fn add_alternative_names(&mut self, value: &[u8]) -> der::Result<()> {
        SliceReader::new(value)?.sequence(|names| {
            while !names.is_finished() {
                let name: AnyRef<'_> = names.decode()?;
                if let Some(mailbox) = mailbox(name) {
                    self.mailboxes.push(mailbox);
                }
            }
            Ok(())
        })
    }
}

/// Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }; `critical` may have any
/// value, and may be written out when it is the default.
fn extension<'a>(extensions: &mut SliceReader<'a>) -> der::Result<(ObjectIdentifier, &'a [u8])> {
    extensions.sequence(|extension| {
        let oid = extension.decode()?;
        let mut value: AnyRef<'a> = extension.decode()?;
        if value.tag() == Tag::Boolean {
            value = extension.decode()?;
        }
        value.tag().assert_eq(Tag::OctetString)?;
        Ok((oid, value.value()))
    })
}

fn usage(value: &[u8]) -> Usage {
    let Ok(KeyUsage(bits)) = KeyUsage::from_der(value) else {
        return Usage::default();
    };
    Usage {
        sign: bits.contains(KeyUsages::DigitalSignature) || bits.contains(KeyUsages::NonRepudiation),
        encipher: bits.contains(KeyUsages::KeyEncipherment),
        agree: bits.contains(KeyUsages::KeyAgreement),
    }
}

fn is_ca(value: &[u8]) -> der::Result<bool> {
    let constraints = AnyRef::from_der(value)?;
    let mut fields = SliceReader::new(constraints.value())?;
    if fields.is_finished() {
        return Ok(false);
    }
    let first: AnyRef<'_> = fields.decode()?;
    Ok(first.tag() == Tag::Boolean && first.value().iter().any(|&octet| octet != 0))
}

/// The mailbox of a GeneralName, if it is one.
fn mailbox(name: AnyRef<'_>) -> Option<String> {
    match name.tag() {
        Tag::ContextSpecific {
            constructed: false,
            number: TagNumber(1),
        } => Some(Ia5StringRef::new(name.value()).ok()?.as_str().to_owned()),
        Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(0),
        } => {
            let mut other_name = SliceReader::new(name.value()).ok()?;
            if other_name.decode::<ObjectIdentifier>().ok()? != SMTP_UTF8_MAILBOX {
                return None;
            }
            let explicit: AnyRef<'_> = other_name.decode().ok()?;
            Some(Utf8StringRef::from_der(explicit.value()).ok()?.as_str().to_owned())
        }
        _ => None,
    }
}
