//! `MailService.Encrypt`: an encrypted message to certificates and identities. No private key is used.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chancery_smime::algorithm::{ContentEncryptionAlgorithm, KeyManagementAlgorithm};
use chancery_smime::certificate::Certificate;
use chancery_smime::encrypt::{self as smime, Encrypting};
use tokio_stream::Stream;
use x509_cert::der::DateTime;

use super::pipeline::{self, Sink, Source};
use super::{Call, Context, Invalid, OpError, identities, random, smime_error};
use crate::policy::Operation;

/// How to encrypt.
#[derive(Debug)]
pub struct Options {
    /// The recipients by certificate.
    pub certificates: Vec<Recipient>,
    /// The recipients by addr-spec.
    pub identities: Vec<String>,
    /// How the content is protected; if absent, as configured.
    pub content_encryption: Option<ContentEncryptionAlgorithm>,
}

/// A recipient by certificate.
#[derive(Debug)]
pub struct Recipient {
    /// DER.
    pub certificate: Bytes,
    /// How its key is managed; if absent, by the kind of key.
    pub key_management: Option<KeyManagementAlgorithm>,
}

/// What was encrypted, and to whom.
#[derive(Debug)]
pub struct Report {
    /// How the content is protected.
    pub content_encryption: ContentEncryptionAlgorithm,
    /// The recipients and how their keys were managed: certificates first, then identities.
    pub recipients: Vec<(Certificate, KeyManagementAlgorithm)>,
    /// Bytes of the MIME entity inside.
    pub content_length: u64,
}

/// Encrypts what comes from `content`; the message goes to `sink`.
///
/// # Errors
///
/// [`OpError::Invalid`] for recipients that cannot be encrypted to, [`OpError::NotPermitted`] for identities that the
/// caller may not list, [`OpError::NoEncryptionCertificate`] for identities that have none.
pub async fn encrypt<S>(
    context: &Context,
    call: &Call,
    options: Options,
    content: S,
    sink: Sink,
) -> Result<Report, OpError>
where
    S: Stream<Item = Result<Bytes, OpError>> + Unpin,
{
    let settings = &context.settings;
    let content_encryption = options.content_encryption.unwrap_or(settings.content_encryption);
    let recipients = recipients(context, call, &options).await?;
    let certificates: Vec<_> = recipients
        .iter()
        .map(|recipient| recipient.certificate.clone())
        .collect();
    let smime_options = smime::Options {
        recipients,
        content_encryption,
        limits: settings.limits.clone(),
    };
    let begin = move || Encrypting::begin(smime_options, &mut random::os()).map_err(smime_error::encrypt);
    // Each recipient costs an operation with a public key.
    let machine = pipeline::crunch(certificates.len().saturating_mul(64 * 1024), begin).await??;
    let mut source = Source::new(content, settings.message_bytes);
    let (machine, mut out) = pipeline::run(&mut source, &sink, machine, |machine, input, out| {
        machine.push(input, out).map_err(smime_error::encrypt)
    })
    .await?;
    let encrypted = machine.finish(&mut out).map_err(smime_error::encrypt)?;
    sink.send(out).await?;
    Ok(Report {
        content_encryption,
        recipients: certificates.into_iter().zip(encrypted.key_managements).collect(),
        content_length: encrypted.content_length,
    })
}

async fn recipients(context: &Context, call: &Call, options: &Options) -> Result<Vec<smime::Recipient>, OpError> {
    let found = options.certificates.len().saturating_add(options.identities.len());
    let limit = context.settings.limits.recipients;
    if found == 0 {
        return Err(OpError::Invalid(Invalid::NoRecipients));
    }
    if found > limit {
        return Err(OpError::Invalid(Invalid::TooManyRecipients { found, limit }));
    }
    let mut recipients = Vec::with_capacity(found);
    for (position, recipient) in (1..).zip(&options.certificates) {
        recipients.push(by_certificate(position, recipient, call.now)?);
    }
    let index = context.directory.index().await;
    for address in &options.identities {
        let (identity, _) = identities::authorized(context, call, &index, address, Operation::List)?;
        let encryption = identity
            .encryption
            .ok_or(OpError::NoEncryptionCertificate(identity.address))?;
        recipients.push(smime::Recipient {
            certificate: encryption.certificate,
            key_management: None,
        });
    }
    Ok(recipients)
}

fn by_certificate(position: usize, recipient: &Recipient, now: SystemTime) -> Result<smime::Recipient, Invalid> {
    let unusable = |why: String| Invalid::RecipientCertificate {
        which: position.to_string(),
        why,
    };
    let certificate = Certificate::from_der(&recipient.certificate).map_err(|error| unusable(error.to_string()))?;
    if !certificate.allows_encryption() {
        return Err(unusable(
            "its keyUsage or its kind of key does not allow encryption".to_owned(),
        ));
    }
    valid_at(&certificate, now)?;
    Ok(smime::Recipient {
        certificate,
        key_management: recipient.key_management,
    })
}

/// Identities only have certificates that are valid; one that comes with the request may not be.
fn valid_at(certificate: &Certificate, now: SystemTime) -> Result<(), Invalid> {
    let when = if now < certificate.not_before() {
        format!("is not valid before {}", date(certificate.not_before()))
    } else if certificate.not_after() < now {
        format!("expired on {}", date(certificate.not_after()))
    } else {
        return Ok(());
    };
    Err(Invalid::RecipientNotValid {
        subject: certificate.to_string(),
        when,
    })
}

/// RFC 3339 in UTC. Before 1970 everything is long ago.
fn date(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    DateTime::from_unix_duration(since).map_or_else(|_| format!("@{}", since.as_secs()), |date| date.to_string())
}
