//! The async side of a token: where async ends. Behind the queue everything blocks.

use std::{sync::Arc, time::Instant};

use tokio::sync::{oneshot, watch};
use tracing::Span;
use zeroize::Zeroizing;

use crate::{
    anchor::{Command, Done},
    catalogue::Catalogue,
    error::TokenError,
    front::{Front, Unsent},
    job::{Dispatch, Job, Reply, Work},
    key::KeyId,
    mechanism::{DecryptScheme, SignInput, SignMechanism},
    metrics::MetricsSnapshot,
    pin::Pin,
    queue::Refusal,
    status::TokenStatus,
    trace,
};

/// One configured token. Cheap to clone; every clone is the same token.
///
/// Dropping the future of an operation before a worker has taken it means that it is never started.
#[derive(Clone)]
pub struct TokenHandle {
    front: Arc<Front>,
}

impl TokenHandle {
    pub(crate) fn new(front: Arc<Front>) -> Self {
        Self { front }
    }

    /// The configured name.
    pub fn name(&self) -> &str {
        &self.front.board.name
    }

    /// Where the token stands now.
    pub fn status(&self) -> TokenStatus {
        self.front.board.status()
    }

    /// The keys, as last seen: an absent or locked token keeps its keys listed.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.front.board.catalogue()
    }

    /// A counter that is raised at every change of status or catalogue.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.front.board.changes()
    }

    /// Operations that wait for a worker session.
    pub fn jobs_waiting(&self) -> usize {
        self.front.queue.len()
    }

    /// How often the process around the token's module was started again.
    pub fn worker_restarts(&self) -> u64 {
        self.front.board.tally.here.restarts()
    }

    /// What has been counted while the token was used. What another process counts is a second old at most, unless the token
    /// does not answer.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.front.board.tally.snapshot()
    }

    /// Signs. RSA and Ed25519 signatures are raw octets, ECDSA ones DER ECDSA-Sig-Value.
    ///
    /// # Errors
    /// [`TokenError::InputRefused`] for a digest of the wrong length, and whatever a token may answer.
    pub async fn sign(
        &self,
        key: KeyId,
        mechanism: SignMechanism,
        input: SignInput,
        dispatch: Dispatch,
    ) -> Result<Vec<u8>, TokenError> {
        let data = mechanism.prepare(input).map_err(|detail| TokenError::InputRefused {
            token: self.front.board.name.clone(),
            detail: detail.into(),
        })?;
        let mut signature = self.run(key, Work::Sign { mechanism, data }, dispatch).await?;
        Ok(std::mem::take(&mut *signature))
    }

    /// Decrypts a transported key (RSA).
    ///
    /// # Errors
    /// [`TokenError::DecryptionFailed`] for whatever is wrong with the ciphertext's padding.
    pub async fn decrypt(
        &self,
        key: KeyId,
        scheme: DecryptScheme,
        ciphertext: impl Into<Vec<u8>>,
        dispatch: Dispatch,
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        self.run(
            key,
            Work::Decrypt {
                scheme,
                ciphertext: ciphertext.into(),
            },
            dispatch,
        )
        .await
    }

    /// Agrees on a secret: the raw Z of ECDH, without a key derivation function.
    ///
    /// `peer_public_key` is an uncompressed point (`0x04‖x‖y`) on the key's curve, or the 32 bytes of X25519.
    ///
    /// # Errors
    /// [`TokenError::InputRefused`] for a public key that is not on the curve or has small order.
    pub async fn agree(
        &self,
        key: KeyId,
        peer_public_key: impl Into<Vec<u8>>,
        dispatch: Dispatch,
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        self.run(
            key,
            Work::Agree {
                peer: peer_public_key.into(),
            },
            dispatch,
        )
        .await
    }

    /// Logs in with this PIN, once, unless it has failed before. A PIN that works is kept in memory for re-logins.
    ///
    /// # Errors
    /// [`TokenError::PinIncorrect`], [`TokenError::PinAlreadyFailed`], [`TokenError::PinLocked`], [`TokenError::Absent`].
    pub async fn unlock(&self, pin: Pin) -> Result<(), TokenError> {
        self.command(|done| Command::Unlock(pin, done)).await
    }

    /// Logs out and wipes the kept PIN, the configured one too. Operations under way are finished first.
    ///
    /// # Errors
    /// [`TokenError::Ckr`] if the token did not log out; its sessions are closed then, which ends the login as well.
    pub async fn lock(&self) -> Result<(), TokenError> {
        self.command(Command::Lock).await
    }

    /// Takes other certificates (DER) from outside the token in place of those given before. A token that is busy takes
    /// the latest ones once it no longer is.
    pub fn set_certificates(&self, certificates: Vec<Vec<u8>>) {
        self.front.board.leave_certificates(certificates);
        // Only wakes whoever serves the token: one with a full command queue is awake and finds them by itself.
        let _ = self.front.command(Command::Wake);
    }

    /// Takes no more jobs, and answers those that wait.
    pub(crate) fn close(&self) {
        for job in self.front.queue.close() {
            job.answer(Err(self.shut_down()));
        }
    }

    async fn run(&self, key: KeyId, work: Work, dispatch: Dispatch) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        if !self.front.board.is_ready() {
            return Err(self.front.board.unavailable());
        }
        let queued = Instant::now();
        let deadline = dispatch.deadline_by(queued + self.front.call_deadline);
        let is_signature = matches!(work, Work::Sign { .. });
        let span = if is_signature {
            trace::signature(self.name())
        } else {
            Span::none()
        };
        let (reply, answer) = oneshot::channel();
        self.front
            .queue
            .push(
                Job {
                    key,
                    work,
                    queued,
                    deadline,
                    lost: 0,
                    span: span.clone(),
                    reply: Reply::Caller(reply),
                },
                dispatch.priority,
            )
            .map_err(|refusal| {
                let token = self.front.board.name.clone();
                match refusal {
                    Refusal::Full => TokenError::QueueFull { token },
                    Refusal::Closed => TokenError::Shutdown { token },
                }
            })?;
        self.front.notice_job();
        let answer = if is_signature {
            self.front.waiting.wait_for(answer).await
        } else {
            // Always asleep: how long a decryption takes must not be told more exactly than it is.
            answer.await.ok()
        };
        answer.unwrap_or_else(|| Err(self.shut_down()))
    }

    async fn command(&self, command: impl FnOnce(Done) -> Command) -> Result<(), TokenError> {
        let (reply, answer) = oneshot::channel();
        // The caller may have gone when it ends.
        let done: Done = Box::new(move |result| drop(reply.send(result)));
        self.front.command(command(done)).map_err(|unsent| match unsent {
            Unsent::Full => TokenError::QueueFull {
                token: self.name().to_owned(),
            },
            Unsent::Gone => self.shut_down(),
        })?;
        answer.await.unwrap_or_else(|_| Err(self.shut_down()))
    }

    fn shut_down(&self) -> TokenError {
        TokenError::Shutdown {
            token: self.front.board.name.clone(),
        }
    }
}

impl std::fmt::Debug for TokenHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("TokenHandle")
            .field(&self.front.board.name)
            .finish()
    }
}
