//! One operation of a key that several tokens have: one of them is asked, and after a failure that is the token's, another.
//!
//! ```text
//!   choose ──► intent, token, outcome ──► done
//!     ▲                 │
//!     │                 ├── it did not use the key (absent, locked, drained, queue full, …) ──► the next one
//!     │                 ├── nobody knows (time-out, process ended, device error) ─────────────► the next one, once
//!     │                 └── it is about the request (decryption failed, input refused) ───────► the caller
//!     └── nobody is there: wait for one to come back, for `limits.absent_wait`
//! ```
//!
//! Each try has its intent and its outcome in the audit trail, and names the one before it. What a token has decided about a
//! ciphertext is never asked of another one: two answers would tell more than one.

use std::time::{Duration, Instant};

use chancery_token::{Dispatch, Priority, Retry, Standing, TokenError, TokenHandle, TokenState};
use zeroize::Zeroizing;

use super::choice::{self, Rank};
use super::{Attempt, Use, Work, attempt};
use crate::audit::Event;
use crate::directory::{Key, Replica, any_changed};
use crate::ops::{Call, Context, OpError};

/// What is to be done with which key.
#[derive(Debug)]
pub(in crate::ops) struct Task<'a> {
    /// The key.
    pub(in crate::ops) key: &'a Key,
    /// What it is to do.
    pub(in crate::ops) work: Work,
    /// Which queue it waits in.
    pub(in crate::ops) priority: Priority,
    /// What the audit trail says of it, but for the token.
    pub(in crate::ops) event: Event<'a>,
}

/// Does it on one of the tokens that have the key; says on which. `settle` has the last word about what a token answered,
/// before the audit trail is told.
///
/// # Errors
/// [`OpError::KeyNotFound`] if no token has the key in a form that can do it, and otherwise what the last token answered.
pub(in crate::ops) async fn run_on_a_replica<T>(
    context: &Context,
    call: &Call,
    task: Task<'_>,
    settle: impl Fn(Result<Zeroizing<Vec<u8>>, TokenError>) -> Result<T, TokenError>,
) -> Result<(T, String), OpError> {
    let done = run_on_one_after_the_other(context, call, task, settle).await;
    done.map_err(|error| context.as_told(call, error))
}

async fn run_on_one_after_the_other<T>(
    context: &Context,
    call: &Call,
    task: Task<'_>,
    settle: impl Fn(Result<Zeroizing<Vec<u8>>, TokenError>) -> Result<T, TokenError>,
) -> Result<(T, String), OpError> {
    let now = Instant::now();
    // For all tries together.
    let tokens = task
        .key
        .replicas
        .iter()
        .filter_map(|replica| context.directory.token_of(replica));
    let times = tokens.map(|token| token.time_for(task.key.id));
    let own = now + times.fold(context.settings.call_deadline, Duration::max);
    let latest = call.deadline.map_or(own, |deadline| deadline.min(own));
    let mut candidates = Candidates::of(context, &task);
    let mut before: Option<Before<'_>> = None;
    let mut is_in_doubt = false;
    let mut has_waited = context.settings.absent_wait.is_zero();
    loop {
        let chosen = match candidates.take_best() {
            Some(chosen) => chosen,
            None if !has_waited => {
                has_waited = true;
                let half = latest.saturating_duration_since(Instant::now()) / 2;
                let waited = candidates.wait(context.settings.absent_wait.min(half)).await;
                if let Err(error) = waited {
                    return Err(before.map_or(error, |before| before.error).into());
                }
                continue;
            }
            None => {
                if let Some(before) = before {
                    return Err(before.error.into());
                }
                // It says itself what it lacks.
                candidates.take_first().ok_or(OpError::KeyNotFound(task.key.id))?
            }
        };
        let has_others = candidates.has_any();
        let dispatch = Dispatch {
            priority: task.priority,
            deadline: Some(if has_others { half_way(latest) } else { latest }),
            retry: match (has_others, is_in_doubt) {
                (true, _) => Retry::Elsewhere,
                (false, true) => Retry::Never,
                (false, false) => Retry::Here,
            },
        };
        let token = chosen.token;
        if let Some(before) = &before {
            before.token.count_passed_on();
        }
        let event = Event {
            token: Some(token.name()),
            retry_of: before.as_ref().map(|before| before.intent),
            ..task.event
        };
        let work = async { settle(task.work.ask(token, task.key.id, dispatch).await) };
        let Attempt { intent, result } = attempt(context, call, &event, work).await?;
        let error = match result {
            Ok(done) => return Ok((done, token.name().to_owned())),
            Err(error) => error,
        };
        let meaning = Meaning::of(&error);
        if meaning == Meaning::InDoubt || matches!(error, TokenError::DeadlineExceeded { .. }) {
            context.troubles.note(chosen.number);
        }
        match meaning {
            Meaning::Final => return Err(error.into()),
            Meaning::InDoubt if is_in_doubt => return Err(error.into()),
            Meaning::InDoubt => is_in_doubt = true,
            Meaning::Gone => candidates.put_back(chosen),
            Meaning::Unused => {}
        }
        before = Some(Before { token, intent, error });
    }
}

/// The try before.
struct Before<'a> {
    token: &'a TokenHandle,
    intent: u64,
    error: TokenError,
}

/// What an error of one token means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// It is about the request, or about all tokens.
    Final,
    /// The key has not been used.
    Unused,
    /// The token has gone. It may come back, and has decided nothing.
    Gone,
    /// The key may have been used. A second signature or decryption does no harm; a third is for the caller to ask for.
    InDoubt,
}

impl Meaning {
    /// Closed by default: what is not listed here goes to the caller.
    const fn of(error: &TokenError) -> Self {
        match error {
            TokenError::Absent { .. } => Self::Gone,
            TokenError::Failed { .. }
            | TokenError::Draining { .. }
            | TokenError::Locked { .. }
            | TokenError::PinLocked { .. }
            | TokenError::PinFinalTry { .. }
            | TokenError::KeyNotFound { .. }
            | TokenError::MechanismUnsupported { .. }
            | TokenError::QueueFull { .. }
            | TokenError::DeadlineExceeded { .. } => Self::Unused,
            TokenError::TimedOut { .. } | TokenError::ModuleEnded { .. } | TokenError::Ckr { .. } => Self::InDoubt,
            _ => Self::Final,
        }
    }
}

/// The tokens that can do it with this key, but for those that have failed at it.
struct Candidates<'a> {
    context: &'a Context,
    tokens: Vec<Candidate<'a>>,
}

#[derive(Clone, Copy)]
struct Candidate<'a> {
    number: usize,
    token: &'a TokenHandle,
    /// As it stood when it was taken out.
    generation: u64,
    /// It was asked and had gone. Its state may not tell yet: only another generation does.
    has_gone: bool,
}

impl<'a> Candidates<'a> {
    fn of(context: &'a Context, task: &Task<'_>) -> Self {
        let replicas = task.key.replicas.iter().filter(|replica| match task.work.needs() {
            Use::Sign => replica.can_sign,
            Use::Decrypt => replica.can_decrypt,
        });
        let candidate = |replica: &Replica| {
            Some(Candidate {
                number: replica.token,
                token: context.directory.token_of(replica)?,
                generation: 0,
                has_gone: false,
            })
        };
        Self {
            context,
            tokens: replicas.filter_map(candidate).collect(),
        }
    }

    fn has_any(&self) -> bool {
        self.tokens.iter().any(|one| self.rank(one).is_some())
    }

    /// Takes out the one to ask now, if there is one that may be asked.
    fn take_best(&mut self) -> Option<Candidate<'a>> {
        let place = match self.tokens.as_slice() {
            [_] => self.has_any().then_some(0),
            tokens => {
                let ranks: Vec<_> = tokens.iter().map(|one| self.rank(one)).collect();
                choice::lowest(&ranks, self.context.troubles.turn())
            }
        };
        Some(self.take(place?))
    }

    fn take_first(&mut self) -> Option<Candidate<'a>> {
        (!self.tokens.is_empty()).then(|| self.take(0))
    }

    /// One that has gone and may come back.
    fn put_back(&mut self, candidate: Candidate<'a>) {
        self.tokens.push(Candidate {
            has_gone: true,
            ..candidate
        });
    }

    /// Waits until there is one to ask, until none can be expected to come back, or for so long.
    ///
    /// # Errors
    /// [`TokenError::QueueFull`] if as many wait as may.
    async fn wait(&mut self, patience: Duration) -> Result<(), TokenError> {
        let mut changes: Vec<_> = self.tokens.iter().map(|one| one.token.changes()).collect();
        if let Some(awaited) = self.tokens.iter().find(|one| one.may_come_back()) {
            let _place = awaited.token.wait_outside()?;
            let back = async {
                while !self.has_any() && self.tokens.iter().any(Candidate::may_come_back) {
                    if !any_changed(&mut changes).await {
                        return;
                    }
                }
            };
            // When the time is up they are asked all the same, and answer what they lack.
            let _is_up = tokio::time::timeout(patience, back).await;
        }
        for one in &mut self.tokens {
            one.has_gone = false;
        }
        Ok(())
    }

    fn rank(&self, one: &Candidate<'_>) -> Option<Rank> {
        let standing = one.token.standing();
        if one.has_gone && standing.generation == one.generation {
            return None;
        }
        choice::rank(&standing, self.context.troubles.has_failed(one.number))
    }

    fn take(&mut self, place: usize) -> Candidate<'a> {
        let candidate = self.tokens.remove(place);
        Candidate {
            generation: candidate.token.standing().generation,
            ..candidate
        }
    }
}

impl Candidate<'_> {
    fn may_come_back(&self) -> bool {
        let Standing { state, drain, .. } = self.token.standing();
        let is_away = matches!(state, TokenState::Absent | TokenState::Starting);
        drain.is_none() && (is_away || self.has_gone && state == TokenState::Ready)
    }
}

/// Half of the time that is left: the other half is for another token.
fn half_way(latest: Instant) -> Instant {
    let now = Instant::now();
    now + latest.saturating_duration_since(now) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> String {
        "card".to_owned()
    }

    #[test]
    fn what_a_token_has_decided_about_a_request_is_not_asked_of_another() {
        for error in [
            TokenError::DecryptionFailed { token: token() },
            TokenError::InputRefused {
                token: token(),
                detail: "odd".into(),
            },
            // The next one would take the same PIN, and count it.
            TokenError::PinIncorrect {
                token: token(),
                ckr: "CKR_PIN_INCORRECT".into(),
            },
            TokenError::Shutdown { token: token() },
        ] {
            assert_eq!(Meaning::of(&error), Meaning::Final, "{error}");
        }
    }

    #[test]
    fn what_may_have_used_the_key_is_told_from_what_has_not() {
        let device_error = TokenError::Ckr {
            token: token(),
            function: "C_Sign".into(),
            ckr: "CKR_DEVICE_ERROR".into(),
        };
        let how = "signal 11".to_owned();
        let detail = "its module cannot be loaded".to_owned();
        let failed = TokenError::Failed { token: token(), detail };
        for (error, meaning) in [
            (TokenError::Absent { token: token() }, Meaning::Gone),
            (failed, Meaning::Unused),
            (TokenError::Locked { token: token() }, Meaning::Unused),
            (TokenError::QueueFull { token: token() }, Meaning::Unused),
            (TokenError::Draining { token: token() }, Meaning::Unused),
            (TokenError::DeadlineExceeded { token: token() }, Meaning::Unused),
            (TokenError::TimedOut { token: token() }, Meaning::InDoubt),
            (TokenError::ModuleEnded { token: token(), how }, Meaning::InDoubt),
            (device_error, Meaning::InDoubt),
        ] {
            assert_eq!(Meaning::of(&error), meaning, "{error}");
        }
    }
}
