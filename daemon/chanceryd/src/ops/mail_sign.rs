//! `MailService.Sign`: a signed message with the current signing key of an identity.

use std::sync::Arc;

use bytes::Bytes;
use chancery_smime::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use chancery_smime::certificate::Certificate;
use chancery_smime::sign::{self as smime, Form, Signing, ToBeSigned};
use chancery_token::{KeyAlgorithm, Pin, Priority, SignInput};
use tokio_stream::Stream;

use super::pipeline::{self, Sink, Source};
use super::private_key::{self, Task, Use, Work};
use super::sign::{mechanism, name, suits};
use super::{Call, Context, Invalid, OpError, identities, pin, random, sender, smime_error};
use crate::audit::{Detail, Event};
use crate::caller::hex;
use crate::directory::{Binding, Identity, Index};
use crate::policy::Operation;

/// How to sign.
#[derive(Debug)]
pub struct Options {
    /// The addr-spec that signs; if absent, the one in From.
    pub identity: Option<String>,
    /// Clear or opaque.
    pub form: Form,
    /// The digest; if absent, the configured one.
    pub digest: Option<DigestAlgorithm>,
    /// RSASSA-PSS for RSA keys.
    pub rsa_pss: bool,
    /// Which queue to wait in; if absent, the configured one.
    pub priority: Option<Priority>,
    /// The PIN, if one came with the call.
    pub pin: Option<Pin>,
}

/// What was signed, and with what.
#[derive(Debug)]
pub struct Report {
    /// The addr-spec that signed.
    pub identity: String,
    /// The key's name without `keys/`.
    pub key: String,
    /// The token's name.
    pub token: String,
    /// The signature algorithm.
    pub algorithm: SignatureAlgorithm,
    /// Bytes of the signed MIME entity.
    pub content_length: u64,
}

/// Signs what comes from `content`; the signed message goes to `sink`.
///
/// # Errors
///
/// [`OpError::NotPermitted`] without a `sign` grant for the identity, [`OpError::NoSigningKey`], [`OpError::Invalid`] and
/// [`OpError::Malformed`] for what cannot be signed, and what the token and the audit trail answer.
pub async fn sign<S>(
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
    let mut source = Source::new(content, settings.message_bytes);
    let address = match options.identity {
        Some(address) => address,
        None => sender::of_message(&mut source, &settings.limits).await?,
    };
    let index = context.directory.index().await;
    let (identity, grant) = identities::authorized(context, call, &index, &address, Operation::Sign)?;
    let signing = identity
        .signing
        .as_ref()
        .ok_or_else(|| OpError::NoSigningKey(identity.address.clone()))?;
    private_key::require_role(&signing.key, Use::Sign)?;
    let digest = options.digest.unwrap_or(settings.digest);
    let algorithm = algorithm_for(signing.key.algorithm, digest, options.rsa_pss)?;
    let event = Event {
        identity: Some(&identity.address),
        key: Some(&signing.key.hex),
        ..call.event(Operation::Sign, Some(&grant))
    };
    // Before the first byte of the answer, so that whoever has to be asked can send the message again.
    let demand = pin::demand(context, call, &event, &signing.key, options.pin.as_ref());
    sink.turn().at_work(demand).await?;

    let smime_options = smime::Options {
        form: options.form,
        signers: vec![smime::SignerOptions {
            certificate: signing.certificate.clone(),
            algorithm,
            encryption_certificate: identity.encryption.as_ref().map(|binding| binding.certificate.clone()),
        }],
        certificates: chain(&index, &signing.certificate),
        signing_time: call.now,
        limits: settings.limits.clone(),
    };
    let machine = Signing::begin(smime_options, &mut random::os()).map_err(smime_error::sign)?;
    let (machine, mut out) = pipeline::run(&mut source, &sink, machine, |machine, input, out| {
        machine.push(input, out).map_err(smime_error::sign)
    })
    .await?;
    let (awaiting, to_be_signed) = machine.end(&mut out).map_err(smime_error::sign)?;

    let job = Job {
        identity: &identity,
        signing,
        grant,
        priority: options.priority.unwrap_or(settings.mail_priority),
    };
    let mut signatures = Vec::with_capacity(to_be_signed.len());
    let mut token = String::new();
    for one in to_be_signed {
        let (signature, by) = job.run(context, call, one).await?;
        signatures.push(signature);
        token = by;
    }
    let signed = awaiting.finish(signatures, &mut out).map_err(smime_error::sign)?;
    sink.send(out).await?;
    Ok(Report {
        identity: identity.address.clone(),
        key: signing.key.hex.clone(),
        token,
        algorithm,
        content_length: signed.content_length,
    })
}

/// What the private key is used for.
struct Job<'a> {
    identity: &'a Identity,
    signing: &'a Binding,
    grant: Arc<str>,
    priority: Priority,
}

impl Job<'_> {
    async fn run(&self, context: &Context, call: &Call, what: ToBeSigned) -> Result<(Vec<u8>, String), OpError> {
        let key = &self.signing.key;
        let content_digest = hex(&what.content_digest);
        let event = Event {
            identity: Some(&self.identity.address),
            key: Some(&key.hex),
            detail: Detail {
                algorithm: Some(name(what.algorithm)),
                digest: Some(&content_digest),
            },
            ..call.event(Operation::Sign, Some(&self.grant))
        };
        let input = match what.algorithm {
            SignatureAlgorithm::Ed25519 => SignInput::Data(what.bytes),
            _ => SignInput::Digest(what.digest()),
        };
        let task = Task {
            key,
            work: Work::Sign {
                mechanism: mechanism(what.algorithm),
                input,
            },
            priority: self.priority,
            event,
        };
        let (mut signature, token) = private_key::run_on_a_replica(context, call, task, |answer| answer).await?;
        Ok((std::mem::take(&mut *signature), token))
    }
}

/// The algorithm that goes with the kind of key.
fn algorithm_for(key: KeyAlgorithm, digest: DigestAlgorithm, rsa_pss: bool) -> Result<SignatureAlgorithm, Invalid> {
    if digest == DigestAlgorithm::Sha1 {
        return Err(Invalid::Value {
            field: "options.digest",
            value: 1,
            hint: "SHA-1 signatures are not made any more; take SHA-256",
        });
    }
    let algorithm = match key {
        KeyAlgorithm::Rsa { .. } if rsa_pss => SignatureAlgorithm::RsaPss(digest),
        KeyAlgorithm::Rsa { .. } => SignatureAlgorithm::RsaPkcs1(digest),
        KeyAlgorithm::Ed25519 => SignatureAlgorithm::Ed25519,
        KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::P521 | KeyAlgorithm::X25519 => {
            SignatureAlgorithm::Ecdsa(digest)
        }
    };
    suits(key, algorithm)?;
    Ok(algorithm)
}

/// The issuers that go along: all that are known but the roots, which a recipient has to have of his own anyway.
fn chain(index: &Index, certificate: &Certificate) -> Vec<Certificate> {
    let mut chain = index.issuers(certificate);
    chain.retain(|issuer| issuer.issuer_der() != issuer.subject_der());
    chain
}
