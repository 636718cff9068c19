//! `KeyService.Decrypt`: key transport with an RSA key.

use bytes::Bytes;
use chancery_smime::algorithm::DigestAlgorithm;
use chancery_token::{DecryptScheme, KeyAlgorithm, KeyId, Pin, Priority, TokenError};
use x509_cert::der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

use super::private_key::{self, Task, Use, Work};
use super::sign::token_digest;
use super::{Call, Context, Invalid, OpError, keys, pin};
use crate::audit::{Detail, Event};
use crate::directory::Key;
use crate::policy::Operation;

/// What to decrypt, and how.
#[derive(Debug)]
pub struct Request {
    /// The key.
    pub key: KeyId,
    /// The scheme.
    pub scheme: Scheme,
    /// As long as the modulus.
    pub ciphertext: Bytes,
    /// Which queue to wait in.
    pub priority: Priority,
    /// The PIN, if one came with the call.
    pub pin: Option<Pin>,
}

/// The encryption scheme.
#[derive(Debug)]
pub enum Scheme {
    /// RSAES-PKCS1-v1_5.
    Pkcs1 {
        /// The length in bytes of what was encrypted, 1 to 256.
        plaintext_length: u32,
    },
    /// RSAES-OAEP.
    Oaep {
        /// The digest of the label.
        digest: DigestAlgorithm,
        /// The digest in MGF1.
        mgf1_digest: DigestAlgorithm,
        /// At most 1024 bytes.
        label: Bytes,
    },
}

/// What came out, and where.
#[derive(Debug)]
pub struct Decrypted {
    /// The plaintext; for v1.5 of the length that was asked for, in any case.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The token's name.
    pub token: String,
}

/// Decrypts with a key that the caller names.
///
/// # Errors
///
/// [`OpError::NotPermitted`] without a `decrypt-raw` grant, [`OpError::KeyRoleMismatch`] for a key of another role,
/// [`OpError::Invalid`] for what does not fit the key, [`OpError::DecryptionFailed`] for OAEP (never for v1.5), and what
/// the token and the audit trail answer.
pub async fn decrypt(context: &Context, call: &Call, request: Request) -> Result<Decrypted, OpError> {
    let index = context.directory.index().await;
    let (key, grant) = keys::authorized(context, call, &index, request.key, Operation::DecryptRaw)?;
    private_key::require_role(key, Use::Decrypt)?;
    check_ciphertext(key, &request.ciphertext)?;
    let (scheme, algorithm, implicit) = checked(request.scheme)?;
    let event = Event {
        key: Some(&key.hex),
        detail: Detail {
            algorithm: Some(algorithm),
            digest: None,
        },
        ..call.event(Operation::DecryptRaw, Some(&grant))
    };
    pin::demand(context, call, &event, key, request.pin.as_ref()).await?;
    let ciphertext = request.ciphertext;
    let task = Task {
        key,
        work: Work::Decrypt {
            scheme,
            ciphertext: ciphertext.clone(),
        },
        priority: request.priority,
        event,
    };
    // What the padding was like stays in here: the trail says that the key was used, and for v1.5 nothing else.
    let settle = |answer| match answer {
        Ok(plaintext) => Ok(Some(plaintext)),
        Err(TokenError::DecryptionFailed { .. }) if implicit.is_some() => Ok(None),
        Err(error) => Err(error),
    };
    let (found, token) = private_key::run_on_a_replica(context, call, task, settle).await?;
    let plaintext = match (implicit, found) {
        (Some(length), found) => {
            let found = found.as_ref().map(|found| found.as_slice());
            context.rejection.resolve(key.id, &ciphertext, length, found)
        }
        (None, Some(plaintext)) => plaintext,
        (None, None) => return Err(OpError::DecryptionFailed),
    };
    Ok(Decrypted { plaintext, token })
}

/// The scheme for the token, its name, and for v1.5 the length that the answer has in any case.
fn checked(scheme: Scheme) -> Result<(DecryptScheme, &'static str, Option<usize>), Invalid> {
    match scheme {
        Scheme::Pkcs1 { plaintext_length } => match usize::try_from(plaintext_length) {
            Ok(length @ 1..=256) => Ok((DecryptScheme::RsaPkcs1, "rsa-pkcs1", Some(length))),
            _ => Err(Invalid::Value {
                field: "plaintext_length",
                value: plaintext_length.into(),
                hint: "for RSA_PKCS1 it is needed, from 1 to 256",
            }),
        },
        Scheme::Oaep { label, .. } if label.len() > 1024 => Err(Invalid::Length {
            field: "oaep.label",
            found: label.len(),
            wanted: "at most 1024".to_owned(),
        }),
        Scheme::Oaep {
            digest,
            mgf1_digest,
            label,
        } => {
            let scheme = DecryptScheme::RsaOaep {
                digest: token_digest(digest),
                mgf1: token_digest(mgf1_digest),
                label: label.to_vec(),
            };
            Ok((scheme, "rsa-oaep", None))
        }
    }
}

/// Length and range, before the token is asked (RFC 8017, section 7.1.2, steps 1 and 2).
pub(super) fn check_ciphertext(key: &Key, ciphertext: &[u8]) -> Result<(), Invalid> {
    let KeyAlgorithm::Rsa { bits } = key.algorithm else {
        return Err(Invalid::AlgorithmMismatch {
            key: keys::describe(key.algorithm),
            wanted: "RSA decryption; use Agree",
        });
    };
    let modulus_len = usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX);
    if ciphertext.len() != modulus_len {
        return Err(Invalid::Length {
            field: "ciphertext",
            found: ciphertext.len(),
            wanted: format!("exactly {modulus_len}, the length of the modulus"),
        });
    }
    match modulus(&key.spki_der) {
        Some(modulus) if ciphertext < modulus => Ok(()),
        _ => Err(Invalid::CiphertextRange),
    }
}

/// The modulus of an RSA key, without leading zeros: as long as the ciphertext, so that bytes compare as numbers do.
fn modulus(spki_der: &[u8]) -> Option<&[u8]> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki_der).ok()?;
    let public_key = pkcs1::RsaPublicKeyRef::try_from(spki.subject_public_key.as_bytes()?).ok()?;
    Some(public_key.modulus.as_bytes())
}
