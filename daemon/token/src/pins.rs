//! Where the anchor and the workers get PINs from, and whom they tell what the token said of one.

use std::sync::Mutex;

use crate::{
    error::TokenError,
    guard::{Attempt, Barred, PinGuard},
    pin::{Pin, PinEntry, Unlock},
    sync::lock,
};

/// What an administrator's PIN is worth before the token is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The token may be asked, once.
    Ask,
    /// So it may, unless it says that one try is left: two tries with this PIN came to no end, and somebody insists.
    AskOnceMore,
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

impl Barred {
    fn error(self, token: String) -> TokenError {
        match self {
            Self::Refused => TokenError::PinAlreadyFailed { token },
            Self::Unanswered => TokenError::PinUnanswered { token },
        }
    }
}

/// The PINs of one token. One login is under way at a time.
pub(crate) trait Pins: Send + Sync {
    /// Which token it is, each time it is found.
    fn identify(&self, serial: &str, label: &str);
    /// Whether a PIN that somebody gives may go to the token. `in_use` says that one has been proved and is still good.
    fn admit(&self, token: &str, unlock: &Unlock, in_use: bool) -> Result<Admission, TokenError>;
    /// Notes that a PIN which somebody gives goes to the token now; or why it must not.
    fn begin(&self, pin: &PinEntry) -> Result<(), String>;
    /// Notes that a PIN which somebody gives goes to the token now, to be replaced; or why it must not. `in_use` says that one
    /// has been proved and is still good.
    fn begin_change(&self, token: &str, old: &PinEntry, in_use: bool) -> Result<(), TokenError>;
    /// Whether this is the PIN in use; `None` if that is not known here. Nobody counts how often it is asked.
    fn compare(&self, pin: &Pin) -> Option<bool>;
    /// The PIN for automatic use, which goes to the token now; or why there is none, and what to do.
    fn kept(&self, purpose: Purpose) -> Result<PinEntry, String>;
    /// What the token said of a PIN that went there.
    fn conclude(&self, pin: PinEntry, verdict: Verdict);
    /// How many tries that somebody insisted on have gone to the token.
    fn insistences(&self) -> u64;
    /// Drops the kept PIN.
    fn forget(&self);
}

impl Pins for Mutex<PinGuard> {
    fn identify(&self, serial: &str, label: &str) {
        lock(self).identify(serial, label);
    }

    fn admit(&self, token: &str, unlock: &Unlock, in_use: bool) -> Result<Admission, TokenError> {
        let token = token.to_owned();
        let mut guard = lock(self);
        guard.insist(None);
        let pin = match &unlock.pin {
            PinEntry::Given(pin) => pin,
            PinEntry::AtPad if in_use => {
                let detail = "it is unlocked already: lock it first".into();
                return Err(TokenError::InputRefused { token, detail });
            }
            PinEntry::AtPad => return Ok(Admission::Ask),
        };
        let insists = match guard.barred(pin) {
            Some(Barred::Unanswered) if unlock.even_if_unanswered => match guard.insistence_spent() {
                Some(remedy) => return Err(TokenError::PinInsistenceSpent { token, remedy }),
                None => true,
            },
            Some(barred) => return Err(barred.error(token)),
            None => false,
        };
        if !in_use || guard.kept().is_none() {
            if insists {
                guard.insist(Some(pin));
                return Ok(Admission::AskOnceMore);
            }
            return Ok(Admission::Ask);
        }
        if guard.guess(pin) {
            return Ok(Admission::InUse);
        }
        let detail = "it is unlocked already, and this PIN is not compared or not the one: lock it first".into();
        Err(TokenError::InputRefused { token, detail })
    }

    fn begin(&self, pin: &PinEntry) -> Result<(), String> {
        let PinEntry::Given(pin) = pin else { return Ok(()) };
        let begun = lock(self).begin(pin, Attempt::ByHand);
        begun.map_err(|error| error.to_string())
    }

    fn begin_change(&self, token: &str, old: &PinEntry, in_use: bool) -> Result<(), TokenError> {
        let token = token.to_owned();
        let mut guard = lock(self);
        let old = match old {
            PinEntry::Given(old) => old,
            PinEntry::AtPad if guard.kept().is_some() => {
                let detail =
                    "it was unlocked with a PIN that is kept: change it with the old PIN and the new one".into();
                return Err(TokenError::InputRefused { token, detail });
            }
            PinEntry::AtPad => return Ok(()),
        };
        guard.insist(None);
        if let Some(barred) = guard.barred(old) {
            return Err(barred.error(token));
        }
        if in_use && guard.kept().is_some() && !guard.guess(old) {
            return Err(TokenError::PinMismatch { token });
        }
        guard.begin_change(old).map_err(|error| TokenError::PinMemory {
            token,
            detail: error.to_string(),
        })
    }

    fn compare(&self, pin: &Pin) -> Option<bool> {
        lock(self).compare(pin)
    }

    fn kept(&self, purpose: Purpose) -> Result<PinEntry, String> {
        let mut guard = lock(self);
        let Some(pin) = guard.kept().cloned() else {
            if guard.ask_at_pad(purpose) {
                return Ok(PinEntry::AtPad);
            }
            return Err(guard.advice().unwrap_or_else(|| "unlock it with its PIN".to_owned()));
        };
        if purpose == Purpose::Login {
            let begun = guard.begin(&pin, Attempt::Automatic);
            begun.map_err(|error| error.to_string())?;
        }
        Ok(PinEntry::Given(pin))
    }

    fn conclude(&self, pin: PinEntry, verdict: Verdict) {
        let mut guard = lock(self);
        let pin = match (pin, verdict) {
            (PinEntry::Given(pin), _) => pin,
            (PinEntry::AtPad, Verdict::Right) => return guard.succeeded_at_pad(),
            // No PIN is known of which there would be anything to remember.
            (PinEntry::AtPad, _) => return,
        };
        match verdict {
            Verdict::Right => guard.succeeded(pin),
            Verdict::Wrong => guard.failed(&pin),
            Verdict::Unclear => guard.unclear(),
            Verdict::Untried => guard.untried(),
            Verdict::Changed => guard.changed(pin),
            Verdict::Unchanged => guard.unchanged(),
        }
    }

    fn insistences(&self) -> u64 {
        lock(self).insistences()
    }

    fn forget(&self) {
        lock(self).forget();
    }
}
