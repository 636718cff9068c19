//! `KeyService.ListKeys` and `GetKey`, and how an operation comes by the key that its request names.

use std::sync::Arc;

use chancery_smime::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use chancery_token::{KeyAlgorithm, KeyId};

use super::context::target_of;
use super::{Call, Context, Invalid, OpError, Page, PageRequest};
use crate::directory::{Index, Key};
use crate::policy::{Operation, Target};

/// The keys that the caller may list, in the order of their names.
///
/// # Errors
///
/// [`OpError::Invalid`] for a page token that was not made here.
pub async fn list(context: &Context, call: &Call, page: &PageRequest) -> Result<Page<Arc<Key>>, OpError> {
    let after = page
        .after
        .as_deref()
        .map(|after| after.parse::<KeyId>().map_err(|_| Invalid::PageToken))
        .transpose()?;
    let index = context.directory.index().await;
    let grants = context.grants.load();
    let visible = index
        .keys_after(after)
        .filter(|key| {
            grants
                .decide(&call.caller, Operation::List, &target_of(key))
                .is_allowed()
        })
        .cloned();
    Ok(page.fill(visible, |key| key.hex.clone()))
}

/// One key.
///
/// # Errors
///
/// [`OpError::NotPermitted`] if the caller may not list it, whether it exists or not.
pub async fn find(context: &Context, call: &Call, id: KeyId) -> Result<Arc<Key>, OpError> {
    let index = context.directory.index().await;
    authorized(context, call, &index, id, Operation::List).map(|(key, _)| Arc::clone(key))
}

/// The key that a request names and the grant that lets the caller do `operation` with it. Without a grant for it, a key
/// that exists and one that does not have the same answer.
pub(super) fn authorized<'a>(
    context: &Context,
    call: &Call,
    index: &'a Index,
    id: KeyId,
    operation: Operation,
) -> Result<(&'a Arc<Key>, Arc<str>), OpError> {
    match index.key(id) {
        Some(key) => context
            .authorize(call, operation, &target_of(key))
            .map(|grant| (key, grant)),
        None => {
            let hex = id.to_string();
            let target = Target {
                key: Some(&hex),
                identities: &[],
            };
            context.authorize(call, operation, &target)?;
            Err(OpError::KeyNotFound(id))
        }
    }
}

/// The kind of key, for people.
pub(super) fn describe(algorithm: KeyAlgorithm) -> String {
    match algorithm {
        KeyAlgorithm::Rsa { bits } => format!("an RSA key of {bits} bits"),
        KeyAlgorithm::P256 => "a P-256 key".to_owned(),
        KeyAlgorithm::P384 => "a P-384 key".to_owned(),
        KeyAlgorithm::P521 => "a P-521 key".to_owned(),
        KeyAlgorithm::Ed25519 => "an Ed25519 key".to_owned(),
        KeyAlgorithm::X25519 => "an X25519 key".to_owned(),
    }
}

/// The signature algorithms that `KeyService.Sign` accepts for a key.
#[must_use]
pub fn signature_algorithms(key: &Key) -> Vec<SignatureAlgorithm> {
    const DIGESTS: [DigestAlgorithm; 3] = [
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha384,
        DigestAlgorithm::Sha512,
    ];
    if !key.roles.sign {
        return Vec::new();
    }
    match key.algorithm {
        KeyAlgorithm::Rsa { .. } => {
            let pkcs1 = DIGESTS.map(SignatureAlgorithm::RsaPkcs1);
            pkcs1
                .into_iter()
                .chain(DIGESTS.map(SignatureAlgorithm::RsaPss))
                .collect()
        }
        KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::P521 => DIGESTS.map(SignatureAlgorithm::Ecdsa).to_vec(),
        KeyAlgorithm::Ed25519 => vec![SignatureAlgorithm::Ed25519],
        KeyAlgorithm::X25519 => Vec::new(),
    }
}
