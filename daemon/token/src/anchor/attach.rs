//! Getting hold of a token: finding its slot, opening the session that stays, logging in, listing the keys.

use std::{sync::Arc, time::Instant};

use cryptoki::{
    session::{Session, SessionState},
    slot::{Slot, TokenInfo},
};
use cryptoki_sys::{CKR_CRYPTOKI_NOT_INITIALIZED, CKR_PIN_LOCKED, CKR_TOKEN_NOT_PRESENT, CKR_USER_ALREADY_LOGGED_IN};

use super::{Anchor, LOGIN_PAUSE, MAX_PAUSE, TICK, UNREAD, beat, examine::probe_after};
use crate::{
    capabilities::Capabilities,
    catalogue::{KeyAlgorithm, assemble, read},
    ckr::{Failure, Remedy},
    error::TokenError,
    module::{Module, Search},
    pin::PinEntry,
    pins::{Purpose, Verdict},
    shared::{Live, LiveKey},
    status::{PinStatus, TokenState},
    sync,
};

/// A token that was found, and the session that keeps its login.
pub(super) struct Attached {
    pub(super) session: Session,
    pub(super) module: Arc<Module>,
    pub(super) slot: Slot,
    number: u64,
    serial: String,
    label: String,
    pub(super) login_required: bool,
    capabilities: Option<Arc<Capabilities>>,
}

impl Attached {
    /// The token's data now; `None` if another token is in the slot.
    ///
    /// The slot is asked first: some modules look into the reader only then, and have the token's data at hand.
    pub(super) fn token_info(&self) -> Result<Option<TokenInfo>, Failure> {
        let slot = self.module.context.get_slot_info(self.slot)?;
        if !slot.token_present() {
            return Err(Failure::new("C_GetSlotInfo", CKR_TOKEN_NOT_PRESENT));
        }
        if slot.removable_device() {
            self.module.can_be_taken();
        }
        let info = self.module.context.get_token_info(self.slot)?;
        Ok(Some(info).filter(|info| info.serial_number() == self.serial && info.label() == self.label))
    }
}

pub(super) fn is_logged_in(state: SessionState) -> bool {
    matches!(state, SessionState::RoUser | SessionState::RwUser)
}

impl Anchor {
    /// Looks for the token and, if it is there, opens a session, logs in if a PIN is at hand, and lists the keys.
    pub(super) fn attach(&mut self) {
        let Some(module) = self.module.clone() else { return };
        self.next_attempt = Instant::now() + self.pause;
        let mut alive = beat(&self.shared.board);
        let (slot, info) = match module.find(&self.selector, &self.shared.name, self.last_slot, &mut alive) {
            Ok(Search::Found(slot, info)) => (slot, info),
            Ok(Search::Nothing { seen, unreadable }) => {
                self.pause = TICK;
                self.set_state(
                    TokenState::Absent,
                    format!(
                        "none of the {seen} tokens that the module shows is the one asked for: insert or connect it"
                    ),
                );
                if Instant::now() >= self.next_restart
                    && let Err(failure) = self.start_library_anew(&module)
                {
                    return self.give_up_for_now(failure);
                }
                if let Some(failure) = unreadable.filter(|failure| failure.ckr.remedy() != Remedy::Absent) {
                    self.note_failure(failure);
                }
                return;
            }
            Ok(Search::Ambiguous(names)) => {
                let detail = format!("several tokens match: {names}; add a serial to the configuration");
                return self.set_state(TokenState::Failed, detail);
            }
            Ok(Search::Taken(owner)) => {
                let detail = format!("it is the same token as {owner}: remove one of the two from the configuration");
                return self.set_state(TokenState::Failed, detail);
            }
            // An earlier start got no further than C_Finalize, because whatever the library reads was gone: why, it says itself.
            Err(failure) if failure.ckr.0 == CKR_CRYPTOKI_NOT_INITIALIZED => {
                let cause = self.start_library_anew(&module).err();
                return self.give_up_for_now(cause.unwrap_or(failure));
            }
            Err(failure) => return self.give_up_for_now(failure),
        };
        // After every call that may take long: whoever waits for a sign of life waits for one call.
        self.shared.board.alive();
        let session = match module.context.open_ro_session(slot) {
            Ok(session) => session,
            Err(error) => {
                module.release(slot);
                return self.give_up_for_now(error.into());
            }
        };
        self.last_slot = Some(slot);
        self.attachments += 1;
        self.shared.attached(self.attachments);
        self.attached = Some(Attached {
            session,
            module,
            slot,
            number: self.attachments,
            serial: info.serial_number().to_owned(),
            label: info.label().to_owned(),
            login_required: info.login_required(),
            capabilities: None,
        });
        self.next_probe = Instant::now() + probe_after(self.losses);
        self.shared.board.update(|status| {
            info.label().clone_into(&mut status.label);
            info.serial_number().clone_into(&mut status.serial);
            info.manufacturer_id().clone_into(&mut status.manufacturer);
            info.model().clone_into(&mut status.model);
            status.protected_authentication_path = info.protected_authentication_path();
        });
        self.shared.tries.may_be_spent();
        self.note_token_info(&info);
        self.shared.pins.identify(info.serial_number(), info.label());
        self.shared.board.alive();
        if info.login_required() {
            self.log_in_automatically()
        } else {
            self.list_keys()
        }
    }

    /// Lets the token go. Every session to it is closed, so that no handle of this attachment is used under the next.
    pub(super) fn detach(&mut self) {
        self.shared.clear_live();
        if let Some(attached) = self.attached.take() {
            let _alone = sync::write(&self.shared.calls);
            std::mem::forget(attached.session);
            self.shared.detached();
            if let Err(failure) = attached.module.raw.close_all_sessions(attached.slot.id()) {
                tracing::debug!(
                    token = self.shared.name,
                    ckr = failure.ckr.name(),
                    "C_CloseAllSessions failed"
                );
            }
            attached.module.release(attached.slot);
        }
    }

    /// Logs in with the kept PIN, unless the guard or the token's flags advise against it.
    pub(super) fn log_in_automatically(&mut self) {
        let detail = match self.shared.board.status().pin {
            PinStatus::Locked => "the token's PIN is locked: its security officer has to set a new one".to_owned(),
            PinStatus::FinalTry => {
                "one PIN try is left and nothing is tried automatically: unlock it by hand".to_owned()
            }
            PinStatus::Ok | PinStatus::CountLow => match self.shared.pins.kept(Purpose::Login) {
                Ok(pin) => {
                    // The outcome is in the status.
                    let _ = self.log_in(pin);
                    if let Some(failure) = self.unclear_login.take() {
                        self.log_in_later(failure);
                    }
                    return;
                }
                Err(advice) if self.shared.board.has_pad() => {
                    format!("{advice}; without a PIN, an unlock asks for it at its PIN pad")
                }
                Err(advice) => advice,
            },
        };
        self.set_state(TokenState::Locked, detail);
    }

    /// The token was not well when its PIN was tried. It may be soon, and then the guard may allow another try.
    fn log_in_later(&mut self, failure: Failure) {
        self.detach();
        self.next_attempt = Instant::now() + LOGIN_PAUSE;
        let (ckr, seconds) = (failure.ckr.name(), LOGIN_PAUSE.as_secs());
        let detail =
            format!("C_Login answered {ckr}, which says nothing of the PIN: it is looked at again in {seconds} s");
        self.set_state(TokenState::Failed, detail);
    }

    /// One C_Login with this PIN. What comes of it is remembered, and stands in the status.
    pub(super) fn log_in(&mut self, pin: PinEntry) -> Result<(), TokenError> {
        let token = self.shared.name.clone();
        let Some(attached) = &self.attached else {
            return Err(TokenError::Absent { token });
        };
        if pin == PinEntry::AtPad {
            let detail = "somebody is asked for its PIN at its PIN pad".to_owned();
            self.set_state(TokenState::Locked, detail);
        }
        let result = {
            let _alone = sync::write(&self.shared.calls);
            let raw = &attached.module.raw;
            match raw.login(&attached.session, &pin) {
                // Somebody else in this process, or an earlier login that was forgotten: only a login of our own proves
                // the PIN.
                Err(failure) if failure.ckr.0 == CKR_USER_ALREADY_LOGGED_IN => attached
                    .session
                    .logout()
                    .map_err(Failure::from)
                    .and_then(|()| raw.login(&attached.session, &pin)),
                result => result,
            }
        };
        let Err(failure) = result else {
            self.shared.pins.conclude(pin, Verdict::Right);
            if let Ok(Some(info)) = attached.token_info() {
                self.shared.tries.given_back(&info);
                self.note_token_info(&info);
            }
            return self.list_keys_or_error();
        };
        self.shared.board.note_error(failure.ckr.name());
        let (error, detail) = if failure.ckr.is_wrong_pin() {
            let ckr = failure.ckr.name().into();
            let (error, detail) = match pin {
                PinEntry::Given(_) => (
                    TokenError::PinIncorrect { token, ckr },
                    "the PIN was refused and will not be tried again: unlock it with the right one",
                ),
                PinEntry::AtPad => (
                    TokenError::PinIncorrectAtPad { token, ckr },
                    "the PIN that was entered at its PIN pad was refused: unlock it with the right one",
                ),
            };
            self.shared.pins.conclude(pin, Verdict::Wrong);
            self.shared.tries.may_be_spent();
            (error, detail.to_owned())
        } else if pin == PinEntry::AtPad && failure.ckr.is_broken_off() {
            self.shared.pins.conclude(pin, Verdict::Untried);
            let ckr = failure.ckr.name().into();
            (
                TokenError::PinNotEntered { token, ckr },
                "nobody entered the PIN at its PIN pad: unlock it, with somebody there".to_owned(),
            )
        } else if failure.ckr.0 == CKR_PIN_LOCKED {
            self.shared.pins.conclude(pin, Verdict::Unclear);
            self.shared.board.update(|status| status.pin = PinStatus::Locked);
            (TokenError::PinLocked { token }, "the token's PIN is locked".to_owned())
        } else if failure.ckr.remedy() == Remedy::Absent {
            self.shared.pins.conclude(pin, Verdict::Unclear);
            self.lose_quietly(failure);
            return Err(TokenError::Absent { token });
        } else {
            self.shared.pins.conclude(pin, Verdict::Unclear);
            self.unclear_login = Some(failure).filter(|failure| failure.ckr.remedy().climbs());
            (
                self.error(failure),
                format!("{} answered {}", failure.function, failure.ckr.name()),
            )
        };
        self.refresh_token_info();
        // What becomes of an unclear one, whoever wanted it decides.
        if self.unclear_login.is_none() {
            self.set_state(TokenState::Locked, detail);
        }
        Err(error)
    }

    /// Reads the keys and makes them usable as a new generation.
    pub(super) fn list_keys(&mut self) {
        // The outcome is in the status.
        let _ = self.list_keys_or_error();
    }

    fn list_keys_or_error(&mut self) -> Result<(), TokenError> {
        let token = self.shared.name.clone();
        let Some(attached) = &mut self.attached else {
            return Err(TokenError::Absent { token });
        };
        let _calls = sync::read(&self.shared.calls);
        let mut alive = beat(&self.shared.board);
        let is_stubborn = self.unread >= UNREAD;
        let (objects, is_whole) = match read::read(&attached.session, is_stubborn, &mut alive) {
            Ok(objects) => objects,
            Err(failure) => {
                drop(_calls);
                self.unread += u32::from(failure.function == read::READ);
                let error = self.error(failure);
                self.detach();
                self.give_up_for_now(failure);
                return Err(error);
            }
        };
        let (catalogue, handles) = assemble::assemble(&objects, &self.certificates);
        let keys = catalogue.keys.iter().filter_map(|key| {
            let live = LiveKey {
                id: key.id,
                handle: *handles.get(&key.id)?,
                algorithm: key.algorithm,
                can_sign: key.can_sign,
                can_decrypt: key.can_decrypt,
                always_authenticate: key.always_authenticate,
            };
            Some((key.id, live))
        });
        let keys: std::collections::HashMap<_, LiveKey> = keys.collect();
        let capabilities = attached.capabilities.get_or_insert_with(|| {
            let rsa = |key: &&LiveKey| key.can_decrypt && matches!(key.algorithm, KeyAlgorithm::Rsa { .. });
            let key = keys.values().find(rsa).map(|key| key.handle);
            Arc::new(Capabilities::probe(&attached.module, attached.slot, key, &mut alive))
        });
        let (attachment, module, slot) = (attached.number, Arc::clone(&attached.module), attached.slot);
        let capabilities = Arc::clone(capabilities);
        drop(_calls);
        // An object that could not be read this time either is not to take the token away the next time.
        if is_whole {
            self.unread = 0;
        }
        self.objects = Some(objects);
        self.shared.board.set_catalogue(catalogue);
        self.shared.set_live(|generation| Live {
            generation,
            attachment,
            module,
            slot,
            keys,
            capabilities,
        });
        self.pause = TICK;
        self.shared.board.note_success();
        self.set_state(TokenState::Ready, String::new());
        Ok(())
    }

    /// The same keys with the certificates as they are now.
    pub(super) fn publish_catalogue(&self) {
        if let Some(objects) = &self.objects {
            let (catalogue, _) = assemble::assemble(objects, &self.certificates);
            self.shared.board.set_catalogue(catalogue);
        }
    }

    pub(super) fn refresh_token_info(&self) {
        if let Some(Ok(Some(info))) = self.attached.as_ref().map(Attached::token_info) {
            self.note_token_info(&info);
        }
    }

    pub(super) fn note_token_info(&self, info: &TokenInfo) {
        let pin = self.shared.tries.of(info);
        self.shared.board.update(|status| status.pin = pin);
    }

    /// It could not be had. If it is there and fails: longer and longer pauses, and the ladder.
    fn give_up_for_now(&mut self, failure: Failure) {
        let is_absent = failure.ckr.remedy() == Remedy::Absent;
        self.pause = if is_absent {
            TICK
        } else {
            (self.pause * 2).min(MAX_PAUSE)
        };
        self.next_attempt = Instant::now() + self.pause;
        let state = if is_absent {
            TokenState::Absent
        } else {
            TokenState::Failed
        };
        self.shared.board.note_error(failure.ckr.name());
        self.set_state(state, format!("{} answered {}", failure.function, failure.ckr.name()));
        if !is_absent {
            self.note_failure(failure);
        }
    }

    fn lose_quietly(&mut self, failure: Failure) {
        self.detach();
        self.next_attempt = Instant::now() + TICK;
        self.set_state(
            TokenState::Absent,
            format!("{} answered {}", failure.function, failure.ckr.name()),
        );
    }

    pub(super) fn set_state(&self, state: TokenState, detail: String) {
        self.shared.board.update(|status| {
            status.state = state;
            status.detail = detail;
        });
    }
}
