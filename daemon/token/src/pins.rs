//! Where the anchor and the workers get PINs from, and whom they tell what the token said of one.

use std::sync::Mutex;

use crate::{
    board::lock,
    error::TokenError,
    guard::{Attempt, PinGuard},
    pin::Pin,
};

/// What an administrator's PIN is worth before the token is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The token may be asked, once.
    Ask,
    /// It is the PIN in use: there is nothing to ask.
    InUse,
}

/// The token's verdict on a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Verdict {
    /// It logged in.
    Right,
    /// A try is spent.
    Wrong,
    /// Something else failed; a try may be spent.
    Unclear,
    /// It was not asked after all.
    Untried,
    /// It is the PIN from now on: the token has replaced the one before.
    Changed,
    /// The PIN was not replaced, and it is not known whether the token has looked at it.
    Unchanged,
}

/// What the kept PIN is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Purpose {
    /// A login: a try that is written down.
    Login,
    /// One operation with a key that wants it each time. Only what goes wrong is told, so nothing is written down before.
    Operation,
}

/// The PINs of one token. One login is under way at a time.
pub(crate) trait Pins: Send + Sync {
    /// Which token it is, each time it is found.
    fn identify(&self, serial: &str, label: &str);
    /// Whether a PIN that somebody has given may go to the token. `in_use` says that one has been proved and is still good.
    fn admit(&self, token: &str, pin: &Pin, in_use: bool) -> Result<Admission, TokenError>;
    /// Notes that a PIN which somebody has given goes to the token now; or why it must not.
    fn begin(&self, pin: &Pin) -> Result<(), String>;
    /// Notes that a PIN which somebody has given goes to the token now, to be replaced; or why it must not. `in_use` says that
    /// one has been proved and is still good.
    fn begin_change(&self, token: &str, old: &Pin, in_use: bool) -> Result<(), TokenError>;
    /// The PIN for automatic use, which goes to the token now; or why there is none, and what to do.
    fn kept(&self, purpose: Purpose) -> Result<Pin, String>;
    /// What the token said of a PIN that went there.
    fn conclude(&self, pin: Pin, verdict: Verdict);
    /// Drops the kept PIN.
    fn forget(&self);
}

impl Pins for Mutex<PinGuard> {
    fn identify(&self, serial: &str, label: &str) {
        lock(self).identify(serial, label);
    }

    fn admit(&self, token: &str, pin: &Pin, in_use: bool) -> Result<Admission, TokenError> {
        let token = token.to_owned();
        let mut guard = lock(self);
        if guard.has_failed(pin) {
            return Err(TokenError::PinAlreadyFailed { token });
        }
        if !in_use || guard.kept().is_none() {
            return Ok(Admission::Ask);
        }
        if guard.guess(pin) {
            return Ok(Admission::InUse);
        }
        let detail = "it is unlocked already, and this PIN is not compared or not the one: lock it first".into();
        Err(TokenError::InputRefused { token, detail })
    }

    fn begin(&self, pin: &Pin) -> Result<(), String> {
        let begun = lock(self).begin(pin, Attempt::ByHand);
        begun.map_err(|error| error.to_string())
    }

    fn begin_change(&self, token: &str, old: &Pin, in_use: bool) -> Result<(), TokenError> {
        let token = token.to_owned();
        let mut guard = lock(self);
        if guard.has_failed(old) {
            return Err(TokenError::PinAlreadyFailed { token });
        }
        if in_use && guard.kept().is_some() && !guard.guess(old) {
            return Err(TokenError::PinMismatch { token });
        }
        guard.begin_change(old).map_err(|error| TokenError::PinMemory {
            token,
            detail: error.to_string(),
        })
    }

    fn kept(&self, purpose: Purpose) -> Result<Pin, String> {
        let mut guard = lock(self);
        let Some(pin) = guard.kept().cloned() else {
            return Err(guard.advice().unwrap_or_else(|| "unlock it with its PIN".to_owned()));
        };
        if purpose == Purpose::Login {
            let begun = guard.begin(&pin, Attempt::Automatic);
            begun.map_err(|error| error.to_string())?;
        }
        Ok(pin)
    }

    fn conclude(&self, pin: Pin, verdict: Verdict) {
        let mut guard = lock(self);
        match verdict {
            Verdict::Right => guard.succeeded(pin),
            Verdict::Wrong => guard.failed(&pin),
            Verdict::Unclear => guard.unclear(),
            Verdict::Untried => guard.untried(),
            Verdict::Changed => guard.changed(pin),
            Verdict::Unchanged => guard.unchanged(),
        }
    }

    fn forget(&self) {
        lock(self).forget();
    }
}
