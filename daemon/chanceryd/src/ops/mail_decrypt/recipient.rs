//! Which of a message's recipients is served here: the recipients are compared by their identifiers with the keys that the
//! caller may decrypt with, and one key is asked, once.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chancery_smime::algorithm::KeyManagementAlgorithm;
use chancery_smime::decrypt::{Candidate, ContentKey, KeyRequest, RsaScheme, TokenOperation};
use chancery_token::{DecryptScheme, KeyId, Pin, Priority, TokenError, TokenHandle};
use zeroize::Zeroizing;

use super::Options;
use crate::audit::{Detail, Event};
use crate::directory::{Index, Key};
use crate::ops::context::target_of;
use crate::ops::private_key::{self, Task, Work};
use crate::ops::sign::token_digest;
use crate::ops::{Call, Context, OpError, decrypt, identities, pin, pipeline, point, random};
use crate::policy::{Operation, Target};

/// The keys that the caller may decrypt with.
pub(super) struct Keys<'a> {
    context: &'a Context,
    call: &'a Call,
    index: Arc<Index>,
    identity: Option<Only>,
    priority: Priority,
    pin: Option<Pin>,
}

/// The one identity that the options name.
struct Only {
    address: String,
    keys: BTreeSet<KeyId>,
}

/// The recipient to serve, by its place in the request, and why.
struct Chosen {
    position: usize,
    key: Arc<Key>,
    grant: Arc<str>,
}

/// What opened the message.
pub(super) struct Used {
    pub(super) key: String,
    pub(super) token: String,
    pub(super) key_management: KeyManagementAlgorithm,
}

impl<'a> Keys<'a> {
    /// The keys for one call. An identity that the options name must be one that the caller may decrypt for.
    pub(super) async fn for_call(context: &'a Context, call: &'a Call, options: &Options) -> Result<Self, OpError> {
        let index = context.directory.index().await;
        let identity = match &options.identity {
            None => None,
            Some(address) => {
                let (identity, _) = identities::authorized(context, call, &index, address, Operation::Decrypt)?;
                let keys = identity.decryption().map(|binding| binding.key.id).collect();
                Some(Only {
                    address: identity.address,
                    keys,
                })
            }
        };
        Ok(Self {
            context,
            call,
            index,
            identity,
            priority: options.priority.unwrap_or(context.settings.mail_priority),
            pin: options.pin.clone(),
        })
    }

    /// Answers the request with exactly one operation on a private key. That it failed shows nowhere but in the content:
    /// the key is a random one then.
    pub(super) async fn content_key(&self, request: KeyRequest) -> Result<(ContentKey, Used), OpError> {
        let (request, matching) = self.matching(request).await?;
        let Chosen { position, key, grant } = self.choose(matching, request.recipient_count)?;
        let candidate = request.candidates.get(position).ok_or(OpError::DecryptionFailed)?;
        let (secret, token) = self.ask(&key, candidate, &grant).await?;
        let used = Used {
            key: key.hex.clone(),
            token,
            key_management: candidate.key_management(),
        };
        Ok((request.content_key(position, secret, &mut random::os()), used))
    }

    /// The recipients that are keys here, by their places in the request. A thousand recipients against ten thousand keys
    /// is work for a blocking thread.
    async fn matching(&self, request: KeyRequest) -> Result<(KeyRequest, Vec<(usize, Arc<Key>)>), OpError> {
        let index = Arc::clone(&self.index);
        let work = index.certificates().saturating_mul(request.candidates.len());
        pipeline::crunch(work, move || {
            let mut matching = Vec::new();
            for (key, certificate) in index.decryption() {
                let mut candidates = request.candidates.iter();
                if let Some(position) = candidates.position(|candidate| candidate.matches(certificate)) {
                    matching.push((position, Arc::clone(key)));
                }
            }
            (request, matching)
        })
        .await
    }

    /// The recipient to serve: one whose key is available, if there is one.
    fn choose(&self, matching: Vec<(usize, Arc<Key>)>, recipients: usize) -> Result<Chosen, OpError> {
        let mut waiting = None;
        for (position, key) in matching {
            let Some(grant) = self.grant_for(&key) else { continue };
            let available = self.context.directory.is_available(&key);
            let chosen = Chosen { position, key, grant };
            if available {
                return Ok(chosen);
            }
            waiting.get_or_insert(chosen);
        }
        waiting.ok_or(OpError::NoDecryptionKey { recipients })
    }

    fn grant_for(&self, key: &Key) -> Option<Arc<str>> {
        match &self.identity {
            None => self.context.allows(self.call, Operation::Decrypt, &target_of(key)),
            Some(only) => {
                let target = Target {
                    key: Some(&key.hex),
                    identities: std::slice::from_ref(&only.address),
                };
                let allowed = self.context.allows(self.call, Operation::Decrypt, &target);
                allowed.filter(|_| only.keys.contains(&key.id))
            }
        }
    }

    /// What the private key makes of the recipient's field, `None` if nothing; and on which token. Without asking any, if no
    /// key could make anything of it.
    async fn ask(
        &self,
        key: &Key,
        candidate: &Candidate,
        grant: &str,
    ) -> Result<(Option<Zeroizing<Vec<u8>>>, String), OpError> {
        let (usable, work) = match candidate.operation() {
            TokenOperation::Decrypt { scheme, ciphertext } => (
                decrypt::check_ciphertext(key, ciphertext).is_ok(),
                Work::Decrypt {
                    scheme: token_scheme(scheme),
                    ciphertext: Bytes::copy_from_slice(ciphertext),
                },
            ),
            TokenOperation::Agree { peer_public_key } => (
                point::check(key.algorithm, peer_public_key).is_ok(),
                Work::Agree {
                    peer: Bytes::copy_from_slice(peer_public_key),
                },
            ),
        };
        if !usable {
            let token = key
                .replicas
                .iter()
                .find_map(|replica| self.context.directory.token_of(replica));
            return Ok((None, token.map(TokenHandle::name).unwrap_or_default().to_owned()));
        }
        let event = Event {
            identity: self.identity.as_ref().map(|only| only.address.as_str()),
            key: Some(&key.hex),
            detail: Detail {
                algorithm: Some(name(candidate.key_management())),
                digest: None,
            },
            ..self.call.event(Operation::Decrypt, Some(grant))
        };
        pin::demand(self.context, self.call, &event, key, self.pin.as_ref()).await?;
        let task = Task {
            key,
            work,
            priority: self.priority,
            event,
        };
        let settle = |answer| match answer {
            Ok(secret) => Ok(Some(secret)),
            Err(TokenError::DecryptionFailed { .. } | TokenError::InputRefused { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let (secret, token) = private_key::run_on_a_replica(self.context, self.call, task, settle).await?;
        Ok((
            secret.filter(|secret| point::check_secret(key.algorithm, secret).is_ok()),
            token,
        ))
    }
}

fn name(key_management: KeyManagementAlgorithm) -> &'static str {
    match key_management {
        KeyManagementAlgorithm::RsaPkcs1 => "rsa-pkcs1",
        KeyManagementAlgorithm::RsaOaep => "rsa-oaep",
        KeyManagementAlgorithm::Ecdh => "ecdh",
    }
}

fn token_scheme(scheme: RsaScheme) -> DecryptScheme {
    match scheme {
        RsaScheme::Pkcs1 => DecryptScheme::RsaPkcs1,
        RsaScheme::Oaep {
            digest,
            mgf1_digest,
            label,
        } => DecryptScheme::RsaOaep {
            digest: token_digest(digest),
            mgf1: token_digest(mgf1_digest),
            label,
        },
    }
}
