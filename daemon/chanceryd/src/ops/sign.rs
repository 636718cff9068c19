//! `KeyService.Sign`: one signature over a digest or over data.

use bytes::Bytes;
use chancery_smime::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use chancery_smime::digest::digest;
use chancery_token::{Digest, KeyAlgorithm, KeyId, Pin, Priority, SignInput, SignMechanism};

use super::private_key::{self, Task, Use, Work};
use super::{Call, Context, Invalid, OpError, keys, pin, pipeline};
use crate::audit::{Detail, Event};
use crate::caller::hex;
use crate::policy::Operation;

/// The most data that is digested here.
const DATA_LIMIT: usize = 1024 * 1024;

/// What to sign, and how.
#[derive(Debug)]
pub struct Request {
    /// The key.
    pub key: KeyId,
    /// The algorithm.
    pub algorithm: SignatureAlgorithm,
    /// What is signed.
    pub input: Input,
    /// Which queue to wait in.
    pub priority: Priority,
    /// The PIN, if one came with the call.
    pub pin: Option<Pin>,
}

/// A digest, or data that is digested here.
#[derive(Debug)]
pub enum Input {
    /// The digest under the algorithm's digest.
    Digest(Bytes),
    /// The data itself.
    Data(Bytes),
}

/// A signature and where it was made.
#[derive(Debug)]
pub struct Signed {
    /// The signature as CMS carries it.
    pub signature: Vec<u8>,
    /// The token's name.
    pub token: String,
}

/// Signs with a key that the caller names.
///
/// # Errors
///
/// [`OpError::NotPermitted`] without a `sign-raw` grant, [`OpError::KeyRoleMismatch`] for a key of another role,
/// [`OpError::Invalid`] for what does not fit the key, and what the token and the audit trail answer.
pub async fn sign(context: &Context, call: &Call, request: Request) -> Result<Signed, OpError> {
    let index = context.directory.index().await;
    let (key, grant) = keys::authorized(context, call, &index, request.key, Operation::SignRaw)?;
    private_key::require_role(key, Use::Sign)?;
    suits(key.algorithm, request.algorithm)?;
    let (input, digest_hex) = checked(request.algorithm, request.input).await?;
    let event = Event {
        key: Some(&key.hex),
        detail: Detail {
            algorithm: Some(name(request.algorithm)),
            digest: Some(&digest_hex),
        },
        ..call.event(Operation::SignRaw, Some(&grant))
    };
    pin::demand(context, call, &event, key, request.pin.as_ref()).await?;
    let task = Task {
        key,
        work: Work::Sign {
            mechanism: mechanism(request.algorithm),
            input,
        },
        priority: request.priority,
        event,
    };
    let (mut signature, token) = private_key::run_on_a_replica(context, call, task, |answer| answer).await?;
    Ok(Signed {
        signature: std::mem::take(&mut *signature),
        token,
    })
}

/// Whether the algorithm goes with the kind of key.
pub(super) fn suits(key: KeyAlgorithm, algorithm: SignatureAlgorithm) -> Result<(), Invalid> {
    let fits = match algorithm {
        SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::RsaPss(_) => matches!(key, KeyAlgorithm::Rsa { .. }),
        SignatureAlgorithm::Ecdsa(_) => matches!(key, KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::P521),
        SignatureAlgorithm::Ed25519 => key == KeyAlgorithm::Ed25519,
    };
    if fits {
        return Ok(());
    }
    Err(Invalid::AlgorithmMismatch {
        key: keys::describe(key),
        wanted: name(algorithm),
    })
}

/// The algorithm as the audit trail and errors name it.
pub(super) fn name(algorithm: SignatureAlgorithm) -> &'static str {
    use DigestAlgorithm::{Sha1, Sha256, Sha384, Sha512};
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(Sha1) => "rsa-pkcs1-sha1",
        SignatureAlgorithm::RsaPkcs1(Sha256) => "rsa-pkcs1-sha256",
        SignatureAlgorithm::RsaPkcs1(Sha384) => "rsa-pkcs1-sha384",
        SignatureAlgorithm::RsaPkcs1(Sha512) => "rsa-pkcs1-sha512",
        SignatureAlgorithm::RsaPss(Sha1) => "rsa-pss-sha1",
        SignatureAlgorithm::RsaPss(Sha256) => "rsa-pss-sha256",
        SignatureAlgorithm::RsaPss(Sha384) => "rsa-pss-sha384",
        SignatureAlgorithm::RsaPss(Sha512) => "rsa-pss-sha512",
        SignatureAlgorithm::Ecdsa(Sha1) => "ecdsa-sha1",
        SignatureAlgorithm::Ecdsa(Sha256) => "ecdsa-sha256",
        SignatureAlgorithm::Ecdsa(Sha384) => "ecdsa-sha384",
        SignatureAlgorithm::Ecdsa(Sha512) => "ecdsa-sha512",
        SignatureAlgorithm::Ed25519 => "ed25519",
    }
}

/// The algorithm as the token knows it.
pub(super) fn mechanism(algorithm: SignatureAlgorithm) -> SignMechanism {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(digest) => SignMechanism::RsaPkcs1(token_digest(digest)),
        SignatureAlgorithm::RsaPss(digest) => SignMechanism::RsaPss(token_digest(digest)),
        SignatureAlgorithm::Ecdsa(digest) => SignMechanism::Ecdsa(token_digest(digest)),
        SignatureAlgorithm::Ed25519 => SignMechanism::Ed25519,
    }
}

/// A digest as the token knows it.
pub(super) fn token_digest(digest: DigestAlgorithm) -> Digest {
    match digest {
        DigestAlgorithm::Sha1 => Digest::Sha1,
        DigestAlgorithm::Sha256 => Digest::Sha256,
        DigestAlgorithm::Sha384 => Digest::Sha384,
        DigestAlgorithm::Sha512 => Digest::Sha512,
    }
}

/// What the token gets, and the digest for the audit trail in hexadecimal.
async fn checked(algorithm: SignatureAlgorithm, input: Input) -> Result<(SignInput, String), OpError> {
    let wanted = algorithm.digest();
    match input {
        Input::Digest(_) if algorithm == SignatureAlgorithm::Ed25519 => Err(OpError::Invalid(Invalid::Missing {
            field: "data",
            hint: "Ed25519 signs data, not a digest",
        })),
        Input::Digest(digest) if digest.len() == wanted.output_len() => {
            Ok((SignInput::Digest(digest.to_vec()), hex(&digest)))
        }
        Input::Digest(digest) => Err(OpError::Invalid(Invalid::Length {
            field: "digest",
            found: digest.len(),
            wanted: format!("exactly {}", wanted.output_len()),
        })),
        Input::Data(data) if data.len() > DATA_LIMIT => Err(OpError::Invalid(Invalid::Length {
            field: "data",
            found: data.len(),
            wanted: format!("at most {DATA_LIMIT}; send its digest instead"),
        })),
        Input::Data(data) => {
            let hashed = data.clone();
            let digest = pipeline::crunch(data.len(), move || digest(wanted, &hashed)).await?;
            let text = hex(&digest);
            match algorithm {
                SignatureAlgorithm::Ed25519 => Ok((SignInput::Data(data.to_vec()), text)),
                _ => Ok((SignInput::Digest(digest), text)),
            }
        }
    }
}
