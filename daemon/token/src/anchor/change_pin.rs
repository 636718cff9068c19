//! Changing the user PIN: one C_SetPIN on a session of its own, and never a second.

use std::time::Instant;

use cryptoki::slot::TokenInfo;
use cryptoki_sys::{
    CKR_FUNCTION_NOT_SUPPORTED, CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_LOCKED,
    CKR_PIN_TOO_WEAK, CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED, CKR_USER_NOT_LOGGED_IN,
};

use super::{Anchor, attach::Attached};
use crate::{
    ckr::{Failure, Remedy},
    error::TokenError,
    pin::{PinChange, PinEntry},
    pins::Verdict,
    status::PinStatus,
    sync,
};

impl Anchor {
    /// Has the token replace its user PIN, whether it is unlocked or not; it stays so.
    pub(super) fn change_pin(&mut self, change: PinChange) -> Result<(), TokenError> {
        let token = self.shared.name.clone();
        let (old, new) = (change.old(), change.into_new());
        let Some(attached) = &self.attached else {
            self.shared.pins.conclude(old, Verdict::Untried);
            return Err(self.shared.board.unavailable());
        };
        if let Err(error) = self.check_pad(&old) {
            self.shared.pins.conclude(old, Verdict::Untried);
            return Err(error);
        }
        self.shared
            .pins
            .begin_change(&token, &old, self.shared.live().is_some())?;
        self.refresh_token_info();
        let objection = match attached.token_info() {
            _ if self.shared.board.status().pin == PinStatus::Locked => Some(TokenError::PinLocked { token }),
            Ok(Some(info)) => wanted_length(&info, &new).map(|detail| TokenError::NewPinRefused {
                token,
                detail: detail.into(),
            }),
            Ok(None) => Some(TokenError::Absent { token }),
            Err(failure) => Some(self.error(failure)),
        };
        if let Some(objection) = objection {
            self.shared.pins.conclude(old, Verdict::Untried);
            return Err(objection);
        }
        match self.set_pin(attached, &old, &new) {
            Ok(()) => {
                self.shared.pins.conclude(new, Verdict::Changed);
                self.refresh_token_info();
                self.shared.board.note_success();
                Ok(())
            }
            Err(failure) => {
                let (verdict, error) = self.judge(&old, failure);
                self.shared.board.note_error(failure.ckr.name());
                if verdict == Verdict::Wrong {
                    self.shared.tries.may_be_spent();
                }
                self.shared.pins.conclude(old, verdict);
                self.refresh_token_info();
                if failure.ckr.0 == CKR_PIN_LOCKED {
                    self.shared.board.update(|status| status.pin = PinStatus::Locked);
                }
                if verdict == Verdict::Unclear {
                    self.next_probe = Instant::now();
                }
                Err(error)
            }
        }
    }

    fn set_pin(&self, attached: &Attached, old: &PinEntry, new: &PinEntry) -> Result<(), Failure> {
        // Nobody logs in for an operation with a PIN that is being replaced.
        let _alone = sync::write(&self.shared.calls);
        let session = attached.module.context.open_rw_session(attached.slot)?;
        let result = attached.module.raw.set_pin(&session, old, new);
        if let Err(failure) = result
            && matches!(failure.ckr.remedy(), Remedy::NewSession | Remedy::Absent)
        {
            // The module has forgotten it, and its number may be another's by now.
            std::mem::forget(session);
        }
        result
    }

    /// What a failure says of the old PIN, and what the caller is told.
    fn judge(&self, old: &PinEntry, failure: Failure) -> (Verdict, TokenError) {
        let token = self.shared.name.clone();
        let ckr = failure.ckr.name();
        match failure.ckr.0 {
            _ if failure.function == "C_OpenSession" => (Verdict::Untried, self.error(failure)),
            CKR_FUNCTION_NOT_SUPPORTED | CKR_SESSION_READ_ONLY | CKR_TOKEN_WRITE_PROTECTED => {
                (Verdict::Untried, self.error(failure))
            }
            CKR_USER_NOT_LOGGED_IN => (Verdict::Untried, TokenError::Locked { token }),
            CKR_PIN_INCORRECT => {
                let ckr = ckr.into();
                let error = match old {
                    PinEntry::Given(_) => TokenError::PinIncorrect { token, ckr },
                    PinEntry::AtPad => TokenError::PinIncorrectAtPad { token, ckr },
                };
                (Verdict::Wrong, error)
            }
            _ if *old == PinEntry::AtPad && failure.ckr.is_broken_off() => {
                let ckr = ckr.into();
                (Verdict::Untried, TokenError::PinNotEntered { token, ckr })
            }
            CKR_PIN_INVALID | CKR_PIN_LEN_RANGE | CKR_PIN_TOO_WEAK => {
                let detail = ckr.into();
                (Verdict::Unchanged, TokenError::NewPinRefused { token, detail })
            }
            CKR_PIN_LOCKED => (Verdict::Unchanged, TokenError::PinLocked { token }),
            _ => {
                let ckr = ckr.into();
                (Verdict::Unclear, TokenError::PinChangeUnclear { token, ckr })
            }
        }
    }
}

/// The length that the token wants, if the PIN has another. A module that names no limits, or senseless ones, decides itself.
fn wanted_length(info: &TokenInfo, new: &PinEntry) -> Option<String> {
    let PinEntry::Given(new) = new else { return None };
    let (shortest, longest) = (info.min_pin_length(), info.max_pin_length());
    let sensible = 0 < longest && shortest <= longest;
    let fits = (shortest..=longest).contains(&new.bytes().len());
    (sensible && !fits).then(|| format!("it must have {shortest} to {longest} bytes"))
}
