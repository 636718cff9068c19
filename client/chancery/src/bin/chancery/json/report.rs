//! Reports about messages.

use chancery::v1::{self, layer::Kind};
use serde::Serialize;

use super::filled;
use crate::text::{certificate_pem, rfc3339};
use crate::words::Word;

/// What Sign says.
#[derive(Serialize)]
pub(crate) struct SignReportJson<'a> {
    identity: &'a str,
    key: &'a str,
    token: &'a str,
    signature_algorithm: Option<&'static str>,
    digest_algorithm: Option<&'static str>,
    content_length: u64,
}

impl<'a> From<&'a v1::SignReport> for SignReportJson<'a> {
    fn from(report: &'a v1::SignReport) -> Self {
        Self {
            identity: &report.identity,
            key: &report.key,
            token: &report.token,
            signature_algorithm: report.signature_algorithm().word(),
            digest_algorithm: report.digest_algorithm().word(),
            content_length: report.content_length,
        }
    }
}

/// What Encrypt says.
#[derive(Serialize)]
pub(crate) struct EncryptReportJson {
    content_encryption: Option<&'static str>,
    recipients: Vec<RecipientJson>,
    content_length: u64,
}

#[derive(Serialize)]
struct RecipientJson {
    certificate: Option<String>,
    key_management: Option<&'static str>,
}

impl From<&v1::EncryptReport> for EncryptReportJson {
    fn from(report: &v1::EncryptReport) -> Self {
        let recipient = |recipient: &v1::EncryptedRecipient| RecipientJson {
            certificate: certificate_pem(&recipient.certificate),
            key_management: recipient.key_management().word(),
        };
        Self {
            content_encryption: report.content_encryption().word(),
            recipients: report.recipients.iter().map(recipient).collect(),
            content_length: report.content_length,
        }
    }
}

/// What Decrypt and Verify say.
#[derive(Serialize)]
pub(crate) struct ReportJson<'a> {
    /// Verify alone has a verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<bool>,
    layers: Vec<LayerJson<'a>>,
}

impl<'a> ReportJson<'a> {
    pub(crate) fn new(report: &'a v1::Report, valid: Option<bool>) -> Self {
        Self {
            valid,
            layers: report.layers.iter().map(LayerJson::new).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum LayerJson<'a> {
    Signed {
        media_type: &'a str,
        valid: bool,
        unreadable_certificates: u32,
        signers: Vec<SignerJson<'a>>,
    },
    Encrypted {
        content_encryption: Option<&'static str>,
        authenticated: bool,
        key: Option<&'a str>,
        token: Option<&'a str>,
        key_management: Option<&'static str>,
        recipient_count: u32,
    },
    Unknown,
}

impl<'a> LayerJson<'a> {
    fn new(layer: &'a v1::Layer) -> Self {
        match &layer.kind {
            Some(Kind::Signed(layer)) => Self::Signed {
                media_type: &layer.media_type,
                valid: layer.valid,
                unreadable_certificates: layer.unreadable_certificates,
                signers: layer.signers.iter().map(SignerJson::new).collect(),
            },
            Some(Kind::Encrypted(layer)) => Self::Encrypted {
                content_encryption: layer.content_encryption().word(),
                authenticated: layer.authenticated,
                key: filled(&layer.key),
                token: filled(&layer.token),
                key_management: layer.key_management().word(),
                recipient_count: layer.recipient_count,
            },
            None => Self::Unknown,
        }
    }
}

#[derive(Serialize)]
struct SignerJson<'a> {
    subject: Option<&'a str>,
    issuer: Option<&'a str>,
    serial_number: Option<&'a str>,
    addresses: &'a [String],
    signing_time: Option<String>,
    digest_algorithm: Option<&'static str>,
    digest_algorithm_oid: Option<&'a str>,
    signature_algorithm: Option<&'static str>,
    signature_algorithm_oid: Option<&'a str>,
    checks: ChecksJson<'a>,
    certificate: Option<String>,
}

impl<'a> SignerJson<'a> {
    fn new(signer: &'a v1::Signer) -> Self {
        Self {
            subject: filled(&signer.subject),
            issuer: filled(&signer.issuer),
            serial_number: filled(&signer.serial_number),
            addresses: &signer.addresses,
            signing_time: signer.signing_time.as_ref().and_then(|time| rfc3339(time.seconds)),
            digest_algorithm: signer.digest_algorithm().word(),
            digest_algorithm_oid: filled(&signer.digest_algorithm_oid),
            signature_algorithm: signer.signature_algorithm().word(),
            signature_algorithm_oid: filled(&signer.signature_algorithm_oid),
            checks: ChecksJson {
                digest: CheckJson::new(signer.digest.as_ref()),
                signature: CheckJson::new(signer.signature.as_ref()),
                key_usage: CheckJson::new(signer.key_usage.as_ref()),
                extended_key_usage: CheckJson::new(signer.extended_key_usage.as_ref()),
                address: CheckJson::new(signer.address.as_ref()),
                signed_attributes: CheckJson::new(signer.signed_attributes.as_ref()),
                validity: CheckJson::new(signer.validity.as_ref()),
                trust: CheckJson::new(signer.trust.as_ref()),
            },
            certificate: certificate_pem(&signer.certificate),
        }
    }
}

#[derive(Serialize)]
struct ChecksJson<'a> {
    digest: CheckJson<'a>,
    signature: CheckJson<'a>,
    key_usage: CheckJson<'a>,
    extended_key_usage: CheckJson<'a>,
    address: CheckJson<'a>,
    signed_attributes: CheckJson<'a>,
    validity: CheckJson<'a>,
    trust: CheckJson<'a>,
}

/// `result` is passed, failed, not-evaluated or not-made.
#[derive(Serialize)]
struct CheckJson<'a> {
    result: &'static str,
    detail: Option<&'a str>,
}

impl<'a> CheckJson<'a> {
    fn new(check: Option<&'a v1::Check>) -> Self {
        match check {
            Some(check) => Self {
                result: check.result().word().unwrap_or("not-made"),
                detail: filled(&check.detail),
            },
            None => Self {
                result: "not-made",
                detail: None,
            },
        }
    }
}
