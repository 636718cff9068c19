//! The async side of a token: where async ends. Behind the queue everything blocks.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};
use tracing::Span;
use zeroize::Zeroizing;

use crate::{
    allowance::Allowance,
    anchor::{Command, Done},
    catalogue::{Catalogue, KeyEntry},
    error::TokenError,
    front::{Front, Unsent},
    gate::{Drain, Place},
    job::{Dispatch, Job, Reply, Work},
    key::KeyId,
    mechanism::{DecryptScheme, SignInput, SignMechanism},
    metrics::MetricsSnapshot,
    pin::{Pin, PinChange, Unlock},
    queue::Refusal,
    status::{TokenState, TokenStatus},
    trace,
};

/// How long somebody may take to come to a token's PIN pad and enter the PIN.
const AT_THE_PAD: Duration = Duration::from_secs(100);

/// One configured token. Cheap to clone; every clone is the same token.
///
/// Dropping the future of an operation that waits in the queue means that it is never started. One that a worker will come to
/// within some six milliseconds lies with the module's process already (ADR 9): it may be started then, unless its deadline has
/// passed, after which nothing is.
#[derive(Clone)]
pub struct TokenHandle {
    front: Arc<Front>,
}

/// How a token stands among others that have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands.
    pub state: TokenState,
    /// It is ready, or its module's process is being started again and it is expected back from that.
    pub takes_work: bool,
    /// Why it takes no new work all the same.
    pub drain: Option<Drain>,
    /// Requests that it has and has not answered.
    pub jobs: usize,
    /// Worker sessions that it may use.
    pub sessions: usize,
    /// Raised each time object handles are looked up anew, as after its return.
    pub generation: u64,
}

impl Standing {
    /// Its keys can be used now.
    #[must_use]
    pub const fn serves(&self) -> bool {
        matches!(self.state, TokenState::Ready) && self.drain.is_none()
    }
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

    /// How it stands among other tokens that have the same key.
    pub fn standing(&self) -> Standing {
        let (state, generation) = self.front.board.state_and_generation();
        Standing {
            state,
            generation,
            takes_work: self.front.board.is_ready(),
            drain: self.front.gate.drain(),
            jobs: self.front.gate.inside(),
            sessions: self.front.sessions,
        }
    }

    /// Operations that wait for a worker session, or for the token to come back.
    pub fn jobs_waiting(&self) -> usize {
        self.front.queue.len() + self.front.gate.outside()
    }

    /// Operations that the token has been given and whose callers wait for the answer.
    pub fn jobs_running(&self) -> usize {
        self.front.gate.inside().saturating_sub(self.front.queue.len())
    }

    /// Why it takes no new work, if it takes none.
    pub fn drain(&self) -> Option<Drain> {
        self.front.gate.drain()
    }

    /// Notes that another token was asked to do what this one could not.
    pub fn count_passed_on(&self) {
        self.front.passed_on.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was so.
    pub fn passed_on(&self) -> u64 {
        self.front.passed_on.load(Ordering::Relaxed)
    }

    /// A place among those who wait for the token to come back; as many may wait as fit into its queue.
    ///
    /// # Errors
    /// [`TokenError::QueueFull`].
    pub fn wait_outside(&self) -> Result<Place, TokenError> {
        self.front.gate.wait_outside().ok_or_else(|| TokenError::QueueFull {
            token: self.name().to_owned(),
        })
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

    /// Logs in with this PIN, once, unless it has failed before ([`Unlock`] says what that is). A PIN that works is kept in memory
    /// for re-logins, and ends a drain by hand; of one that is entered at the token's own PIN pad nobody learns, and somebody is
    /// asked there again for each use of a key that wants its PIN each time.
    ///
    /// # Errors
    /// What the token or the guard says of the PIN, [`TokenError::Absent`], [`TokenError::Failed`].
    pub async fn unlock(&self, unlock: impl Into<Unlock>) -> Result<(), TokenError> {
        let unlock = unlock.into();
        self.command(|done| Command::Unlock(unlock, done)).await?;
        self.set_drained(Drain::ByHand, false);
        Ok(())
    }

    /// How many tries that somebody insisted on ([`Unlock::even_if_unanswered`]) have gone to the token.
    #[must_use]
    pub fn pins_insisted_on(&self) -> u64 {
        self.front.pins.insistences()
    }

    /// Whether this is the PIN that the token was unlocked with. It is compared in here and not sent to the token, so no try is
    /// spent and the token does not count: whoever calls this does.
    ///
    /// # Errors
    /// What any request has from a token that is not ready, and [`TokenError::PinUnknown`] for one whose PIN was entered at its
    /// own PIN pad.
    pub fn is_unlocked_with(&self, pin: &Pin) -> Result<bool, TokenError> {
        let front = &self.front;
        if !front.board.is_ready() {
            return Err(front.board.unavailable());
        }
        let token = || front.board.name.clone();
        front
            .pins
            .compare(pin)
            .ok_or_else(|| TokenError::PinUnknown { token: token() })
    }

    /// Has the token replace its user PIN by another, once. What is kept for re-logins is replaced as well; a token that is
    /// locked stays so.
    ///
    /// # Errors
    /// As for an unlock, and [`TokenError::PinMismatch`] for the old PIN, [`TokenError::NewPinRefused`] for the new one,
    /// [`TokenError::PinChangeUnclear`] and [`TokenError::ModuleEnded`] if it is not known whether it was replaced.
    pub async fn change_pin(&self, change: PinChange) -> Result<(), TokenError> {
        self.command(|done| Command::ChangePin(change, done)).await
    }

    /// Logs out and wipes the kept PIN, the configured one too. Operations under way are finished first.
    ///
    /// # Errors
    /// [`TokenError::Ckr`] if the token did not log out; its sessions are closed then, which ends the login as well.
    pub async fn lock(&self) -> Result<(), TokenError> {
        self.command(Command::Lock).await
    }

    /// From now on no more than this is done with its keys; without, there is no limit. What waits for a session counts when it
    /// gets one.
    pub fn set_allowance(&self, allowance: Option<Arc<Allowance>>) {
        self.front.board.limit.set(allowance);
    }

    /// Takes no new work until it is unlocked.
    pub fn drain_by_hand(&self) {
        self.set_drained(Drain::ByHand, true);
    }

    /// Returns once what it had is finished; false if it was unlocked before it had come so far.
    pub async fn emptied(&self) -> bool {
        self.front.gate.emptied(Drain::ByHand).await
    }

    /// Begins or ends maintenance, in which the token finishes what it has and takes nothing new. Whether that is a change.
    pub fn set_maintenance(&self, on: bool) -> bool {
        self.set_drained(Drain::Maintenance, on)
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
        let Some(_pass) = self.front.gate.enter() else {
            let token = self.front.board.name.clone();
            return Err(TokenError::Draining { token });
        };
        if let Some(error) = self.front.board.refusal() {
            return Err(error);
        }
        let queued = Instant::now();
        let deadline = dispatch.deadline_by(queued + self.time_for(key));
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
                    retry: dispatch.retry,
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

    /// How long an operation with this key may wait and take, at most: longer if somebody has to come to a PIN pad for it.
    pub fn time_for(&self, key: KeyId) -> Duration {
        let time = self.front.call_deadline;
        if !self.front.board.has_pad() {
            return time;
        }
        let catalogue = self.front.board.catalogue();
        let wants_pin = |entry: &KeyEntry| entry.id == key && entry.always_authenticate;
        match catalogue.keys.iter().any(wants_pin) {
            true => time.max(AT_THE_PAD),
            false => time,
        }
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

    fn set_drained(&self, cause: Drain, drained: bool) -> bool {
        let changed = self.front.gate.set(cause, drained);
        if changed {
            tracing::info!(token = self.name(), ?cause, drained, "token drain");
            self.front.board.announce();
        }
        changed
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
