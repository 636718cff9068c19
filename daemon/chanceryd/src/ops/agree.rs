//! `KeyService.Agree`: ECDH with an elliptic-curve key, raw or with the X9.63 KDF.

use bytes::Bytes;
use chancery_smime::algorithm::DigestAlgorithm;
use chancery_token::{KeyId, Pin, Priority};
use zeroize::Zeroizing;

use super::private_key::{self, Task, Use, Work};
use super::{Call, Context, Invalid, OpError, kdf, keys, pin, point};
use crate::audit::{Detail, Event};
use crate::policy::Operation;

/// Whom to agree with, and what to make of the secret.
#[derive(Debug)]
pub struct Request {
    /// The key.
    pub key: KeyId,
    /// An uncompressed point on the key's curve, or the 32 bytes of X25519.
    pub peer_public_key: Bytes,
    /// What is derived from the secret; if absent, the secret itself is the answer.
    pub kdf: Option<Kdf>,
    /// Which queue to wait in.
    pub priority: Priority,
    /// The PIN, if one came with the call.
    pub pin: Option<Pin>,
}

/// The parameters of the X9.63 KDF.
#[derive(Debug)]
pub struct Kdf {
    /// The digest.
    pub digest: DigestAlgorithm,
    /// SharedInfo, at most 1024 bytes.
    pub shared_info: Bytes,
    /// Bytes to derive, 1 to 128.
    pub length: u32,
}

/// The secret, and where it was computed.
#[derive(Debug)]
pub struct Agreed {
    /// The shared secret, or what was derived from it.
    pub secret: Zeroizing<Vec<u8>>,
    /// The token's name.
    pub token: String,
}

/// Agrees with a key that the caller names.
///
/// # Errors
///
/// [`OpError::NotPermitted`] without a `decrypt-raw` grant, [`OpError::KeyRoleMismatch`] for a key of another role,
/// [`OpError::Invalid`] for a peer's key off the curve or parameters out of range, and what the token and the audit trail
/// answer.
pub async fn agree(context: &Context, call: &Call, request: Request) -> Result<Agreed, OpError> {
    let index = context.directory.index().await;
    let (key, grant) = keys::authorized(context, call, &index, request.key, Operation::DecryptRaw)?;
    private_key::require_role(key, Use::Decrypt)?;
    point::check(key.algorithm, &request.peer_public_key)?;
    let length = request.kdf.as_ref().map(check_kdf).transpose()?;
    let event = Event {
        key: Some(&key.hex),
        detail: Detail {
            algorithm: Some("ecdh"),
            digest: None,
        },
        ..call.event(Operation::DecryptRaw, Some(&grant))
    };
    pin::demand(context, call, &event, key, request.pin.as_ref()).await?;
    let task = Task {
        key,
        work: Work::Agree {
            peer: request.peer_public_key,
        },
        priority: request.priority,
        event,
    };
    let (z, token) = private_key::run_on_a_replica(context, call, task, |answer| answer).await?;
    point::check_secret(key.algorithm, &z)?;
    let secret = match (&request.kdf, length) {
        (Some(parameters), Some(length)) => kdf::x963(parameters.digest, &z, &parameters.shared_info, length),
        _ => z,
    };
    Ok(Agreed { secret, token })
}

/// The length to derive, once the parameters are in range.
fn check_kdf(kdf: &Kdf) -> Result<usize, Invalid> {
    if kdf.shared_info.len() > 1024 {
        return Err(Invalid::Length {
            field: "x963_kdf.shared_info",
            found: kdf.shared_info.len(),
            wanted: "at most 1024".to_owned(),
        });
    }
    match usize::try_from(kdf.length) {
        Ok(length @ 1..=128) => Ok(length),
        _ => Err(Invalid::Value {
            field: "x963_kdf.length",
            value: kdf.length.into(),
            hint: "give the number of bytes to derive, from 1 to 128",
        }),
    }
}
