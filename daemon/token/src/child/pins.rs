//! PINs that are asked for: the guard and the PINs are the daemon's, and one comes here for one login.

use std::sync::{
    Arc, Mutex,
    mpsc::{Receiver, SyncSender, sync_channel},
};

use super::control::Control;
use crate::{
    error::TokenError,
    pin::{Pin, PinEntry, Unlock},
    pins::{Admission, Pins, Purpose, Verdict},
    protocol::{FromProcess, PinOctets},
    sync::lock,
};

pub(super) struct AskedPins {
    control: Arc<Control>,
    token: u16,
    answer: SyncSender<Result<PinEntry, String>>,
    answers: Mutex<Receiver<Result<PinEntry, String>>>,
}

impl AskedPins {
    pub(super) fn new(control: Arc<Control>, token: u16) -> Self {
        let (answer, answers) = sync_channel(1);
        Self {
            control,
            token,
            answer,
            answers: Mutex::new(answers),
        }
    }

    fn ask(&self, question: &FromProcess) -> Result<PinEntry, String> {
        let answers = lock(&self.answers);
        self.control.say(question);
        answers
            .recv()
            .unwrap_or_else(|_| Err("the daemon does not answer".to_owned()))
    }

    /// The daemon's answer.
    pub(super) fn answer(&self, pin: Result<PinEntry, String>) {
        // One question is open at a time; an answer to none is dropped.
        let _ = self.answer.try_send(pin);
    }
}

impl Pins for AskedPins {
    /// The daemon sees it in the status.
    fn identify(&self, _serial: &str, _label: &str) {}

    /// The daemon has asked its guard before it sent the PIN, and is asked again when it goes to the token.
    fn admit(&self, _token: &str, unlock: &Unlock, _in_use: bool) -> Result<Admission, TokenError> {
        Ok(match unlock.even_if_unanswered {
            true => Admission::AskOnceMore,
            false => Admission::Ask,
        })
    }

    fn begin(&self, pin: &PinEntry) -> Result<(), String> {
        let (token, pin) = (self.token, PinOctets::of(pin));
        self.ask(&FromProcess::Begin { token, pin }).map(drop)
    }

    /// It has noted before that this one goes to the token to be replaced.
    fn begin_change(&self, _token: &str, _old: &PinEntry, _in_use: bool) -> Result<(), TokenError> {
        Ok(())
    }

    /// Only the daemon is asked.
    fn compare(&self, _pin: &Pin) -> Option<bool> {
        None
    }

    fn kept(&self, purpose: Purpose) -> Result<PinEntry, String> {
        let token = self.token;
        self.ask(&FromProcess::WantPin { token, purpose })
    }

    fn conclude(&self, pin: PinEntry, verdict: Verdict) {
        self.control.say(&FromProcess::Verdict {
            token: self.token,
            pin: PinOctets::of(&pin),
            verdict,
        });
    }

    /// The daemon counts them.
    fn insistences(&self) -> u64 {
        0
    }

    /// Nothing is kept here.
    fn forget(&self) {}
}
