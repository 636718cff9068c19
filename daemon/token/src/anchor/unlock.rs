//! Logging in with a PIN that somebody has given: one C_Login, if the guard and the token allow it.

use super::Anchor;
use crate::{
    error::TokenError,
    pin::{PinEntry, Unlock},
    pins::{Admission, Verdict},
    status::{PinStatus, TokenState},
};

impl Anchor {
    pub(super) fn unlock(&mut self, unlock: Unlock) -> Result<(), TokenError> {
        let token = self.shared.name.clone();
        if self.attached.is_none() {
            self.attach();
        }
        if self.attached.is_none() {
            self.shared.pins.conclude(unlock.pin, Verdict::Untried);
            return Err(self.shared.board.unavailable());
        }
        if let Err(error) = self.check_pad(&unlock.pin) {
            self.shared.pins.conclude(unlock.pin, Verdict::Untried);
            return Err(error);
        }
        let in_use = self.shared.live().is_some();
        let admission = self.shared.pins.admit(&token, &unlock, in_use)?;
        let pin = unlock.pin;
        if admission == Admission::InUse {
            return Ok(());
        }
        self.refresh_token_info();
        let objection = match self.shared.board.status().pin {
            PinStatus::Locked => Some(TokenError::PinLocked { token: token.clone() }),
            // Two tries may have been spent on it already. Whoever is wrong about it shall not lock the token with it.
            PinStatus::FinalTry if admission == Admission::AskOnceMore => {
                Some(TokenError::PinUnansweredAtFinalTry { token: token.clone() })
            }
            _ => None,
        };
        if let Some(objection) = objection {
            self.shared.pins.conclude(pin, Verdict::Untried);
            return Err(objection);
        }
        if let Err(detail) = self.shared.pins.begin(&pin) {
            return Err(TokenError::PinMemory { token, detail });
        }
        let result = self.log_in(pin);
        if let Some(failure) = self.unclear_login.take() {
            // Whoever gave the PIN is told, and decides.
            self.set_state(TokenState::Locked, format!("C_Login answered {}", failure.ckr.name()));
        }
        result
    }

    /// Nothing in the place of a PIN is for a token with a PIN pad alone: to others it may be a wrong one.
    pub(super) fn check_pad(&self, pin: &PinEntry) -> Result<(), TokenError> {
        if *pin != PinEntry::AtPad || self.shared.board.has_pad() {
            return Ok(());
        }
        Err(TokenError::InputRefused {
            token: self.shared.name.clone(),
            detail: "it has no PIN pad: give its PIN".into(),
        })
    }
}
