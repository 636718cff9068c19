//! Leases: a token that was unlocked for a time, or for so many uses, and is locked again by itself.
//!
//! ```text
//!   unlock ──► put ──► keeper ── time is up, or the last use is done ──► lock
//!               └────► TokenHandle::set_allowance
//! ```
//!
//! What may not be used any more is refused by the token at once; the keeper, a task for each lease, then logs it out and has
//! its PIN wiped. Whoever locks or unlocks a token waits for their turn with it, so that what the token is told and the lease that
//! belongs to it change together; what fails leaves the limits that there were.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, Weak};
use std::time::{Duration, SystemTime};

use chancery_token::{Allowance, TokenError, TokenHandle, TokenState, Unlock};
use tokio::sync::OwnedMutexGuard;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::audit::Trail;
use crate::ops::Invalid;
use crate::sync;

/// The longest lease.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Until a token whose lease has ended is asked again to log out, if it could not be asked.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a token is unlocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// For so long, counted from now.
    pub expire_after: Option<Duration>,
    /// For so many operations with its private keys.
    pub max_uses: Option<u64>,
}

impl Terms {
    /// Whether they make sense.
    pub(super) fn check(self) -> Result<Self, Invalid> {
        match self.expire_after {
            Some(time) if time.is_zero() || time > LONGEST => Err(Invalid::Value {
                field: "expire_after",
                value: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                hint: "a number of seconds above 0, of 366 days at most",
            }),
            _ => Ok(self),
        }
    }

    /// `now` is for people; what counts is the clock that nobody sets.
    fn lease(self, now: SystemTime) -> Option<Lease> {
        (self != Self::default()).then(|| {
            let until = self.expire_after.map(|time| Instant::now() + time);
            Lease {
                until,
                expires: self.expire_after.and_then(|time| now.checked_add(time)),
                allowance: Allowance::new(until.map(Instant::into_std), self.max_uses),
            }
        })
    }
}

/// What is left of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// When the token is locked.
    pub expires: Option<SystemTime>,
    /// After how many uses.
    pub uses: Option<u64>,
}

/// The leases in force, one for a token at most.
#[derive(Debug)]
pub(in crate::ops) struct Leases {
    audit: Trail,
    tokens: Mutex<HashMap<String, Held>>,
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held by the one who locks or unlocks the token.
pub(super) type Turn = OwnedMutexGuard<()>;

#[derive(Debug)]
struct Held {
    lease: Lease,
    keeper: AbortHandle,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

#[derive(Clone, Debug)]
struct Lease {
    until: Option<Instant>,
    expires: Option<SystemTime>,
    allowance: Arc<Allowance>,
}

impl Leases {
    pub(in crate::ops) fn new(audit: Trail) -> Arc<Self> {
        Arc::new(Self {
            audit,
            tokens: Mutex::default(),
            turns: Mutex::default(),
        })
    }

    /// Unlocks a token on these terms.
    pub(super) async fn unlock(
        self: &Arc<Self>,
        _turn: &Turn,
        token: &TokenHandle,
        login: Unlock,
        terms: Terms,
        now: SystemTime,
    ) -> Result<(), TokenError> {
        let lease = terms.lease(now);
        if self.tokens().contains_key(token.name()) {
            // Other terms, which hold until the PIN has been found right.
            token.unlock(login).await?;
            self.put(token, lease);
            return Ok(());
        }
        // Before the first use there can be.
        let was_ready = token.status().state == TokenState::Ready;
        self.put(token, lease);
        let result = token.unlock(login).await;
        if result.as_ref().is_err_and(|error| was_ready || !is_unclear(error)) {
            self.put(token, None);
        }
        result
    }

    /// Locks a token.
    pub(super) async fn lock(self: &Arc<Self>, token: &TokenHandle) -> Result<(), TokenError> {
        let _turn = self.turn(token.name()).await;
        self.lock_in_turn(token).await
    }

    /// Locks a token that is being drained, once it has nothing to do. False if it was unlocked before: it stays so.
    pub(super) async fn lock_emptied(self: &Arc<Self>, token: &TokenHandle) -> Result<bool, TokenError> {
        if !token.emptied().await {
            return Ok(false);
        }
        let _turn = self.turn(token.name()).await;
        // Whose turn it was before may have unlocked it.
        if !token.emptied().await {
            return Ok(false);
        }
        self.lock_in_turn(token).await.map(|()| true)
    }

    /// A token that could not be told may be unlocked still, so only success ends the lease.
    async fn lock_in_turn(self: &Arc<Self>, token: &TokenHandle) -> Result<(), TokenError> {
        token.lock().await?;
        self.put(token, None);
        Ok(())
    }

    /// One try. Others have their turns between two: one who unlocks the token replaces its lease, and with it the keeper.
    async fn lock_at_the_end(&self, token: &TokenHandle, why: &str, said: &Once) -> Result<(), TokenError> {
        let name = token.name();
        let _turn = self.turn(name).await;
        said.call_once(|| {
            tracing::info!(token = name, why, "locking the token");
            self.audit.remark("token locked", &format!("{name}: {why}"));
        });
        token.lock().await
    }

    /// The turn to lock or unlock a token.
    pub(super) async fn turn(&self, token: &str) -> Turn {
        let turn = {
            let mut turns = sync::lock(&self.turns);
            Arc::clone(turns.entry(token.to_owned()).or_default())
        };
        turn.lock_owned().await
    }

    /// What is left of the token's lease.
    pub(super) fn left(&self, token: &str) -> Option<Left> {
        let tokens = self.tokens();
        let lease = &tokens.get(token)?.lease;
        Some(Left {
            expires: lease.expires,
            uses: lease.allowance.uses_left(),
        })
    }

    /// Puts a lease in the place of the one in force. Only for those whose turn it is.
    fn put(self: &Arc<Self>, token: &TokenHandle, lease: Option<Lease>) {
        token.set_allowance(lease.as_ref().map(|lease| Arc::clone(&lease.allowance)));
        let held = lease.map(|lease| {
            let keeper = keep(Arc::downgrade(self), token.clone(), lease.clone());
            let keeper = tokio::spawn(keeper).abort_handle();
            Held { lease, keeper }
        });
        let mut tokens = self.tokens();
        match held {
            Some(held) => tokens.insert(token.name().to_owned(), held),
            None => tokens.remove(token.name()),
        };
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        sync::lock(&self.tokens)
    }
}

/// Waits for the end of a lease, and locks the token.
async fn keep(leases: Weak<Leases>, token: TokenHandle, lease: Lease) {
    let time_is_up = async {
        match lease.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    let why = tokio::select! {
        () = time_is_up => "the time for which it was unlocked is up",
        () = lease.allowance.used_up() => "the uses for which it was unlocked are spent",
    };
    let Some(leases) = leases.upgrade() else {
        return;
    };
    let said = Once::new();
    let lock = || leases.lock_at_the_end(&token, why, &said);
    if let Err(error) = until_told(lock).await {
        // Its keys are refused all the same.
        tracing::warn!(token = token.name(), %error, "the token could not be logged out");
    }
}

/// Locks a token that may be too busy to be told so.
async fn until_told<F>(lock: impl Fn() -> F) -> Result<(), TokenError>
where
    F: Future<Output = Result<(), TokenError>>,
{
    loop {
        match lock().await {
            Err(TokenError::QueueFull { .. }) => tokio::time::sleep(PAUSE).await,
            result => return result,
        }
    }
}

/// Whether the token may be unlocked though that failed.
fn is_unclear(error: &TokenError) -> bool {
    matches!(
        error,
        TokenError::ModuleEnded { .. } | TokenError::TimedOut { .. } | TokenError::Shutdown { .. }
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_too_busy_to_be_told_is_told_later() {
        let tries = AtomicUsize::new(0);
        let lock = || {
            std::future::ready(match tries.fetch_add(1, Ordering::AcqRel) {
                3 => Ok(()),
                _ => Err(TokenError::QueueFull { token: "card".into() }),
            })
        };
        until_told(lock).await.unwrap();
        assert_eq!(tries.into_inner(), 4);
    }

    #[test]
    fn terms_of_no_time_or_of_ages_are_refused() {
        for (time, good) in [
            (Duration::ZERO, false),
            (Duration::from_nanos(1), true),
            (LONGEST, true),
            (LONGEST + Duration::from_nanos(1), false),
        ] {
            let terms = Terms {
                expire_after: Some(time),
                max_uses: None,
            };
            assert_eq!(terms.check().is_ok(), good, "{time:?}");
        }
    }
}
