//! PINs that are asked for: the guard and the PINs are the daemon's, and one comes here for one login.

use std::sync::{
    Arc, Mutex,
    mpsc::{Receiver, SyncSender, sync_channel},
};

use super::control::Control;
use crate::{
    board::lock,
    error::TokenError,
    pin::{Pin, PinEntry},
    pins::{Admission, Pins, Purpose, Verdict},
    protocol::{FromWorker, PinOctets},
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

    /// The daemon's answer.
    pub(super) fn answer(&self, pin: Result<PinEntry, String>) {
        // One question is open at a time; an answer to none is dropped.
        let _ = self.answer.try_send(pin);
    }
}

impl Pins for AskedPins {
    /// The daemon sees it in the status.
    fn identify(&self, _serial: &str, _label: &str) {}

    /// The daemon has asked its guard before it sent the PIN.
    fn admit(&self, _token: &str, _pin: &PinEntry, _in_use: bool) -> Result<Admission, TokenError> {
        Ok(Admission::Ask)
    }

    /// So has it noted that it goes to the token.
    fn begin(&self, _pin: &PinEntry) -> Result<(), String> {
        Ok(())
    }

    /// And that it goes there to be replaced.
    fn begin_change(&self, _token: &str, _old: &PinEntry, _in_use: bool) -> Result<(), TokenError> {
        Ok(())
    }

    /// Only the daemon is asked.
    fn compare(&self, _pin: &Pin) -> Option<bool> {
        None
    }

    fn kept(&self, purpose: Purpose) -> Result<PinEntry, String> {
        let answers = lock(&self.answers);
        let token = self.token;
        self.control.say(&FromWorker::WantPin { token, purpose });
        answers
            .recv()
            .unwrap_or_else(|_| Err("the daemon does not answer".to_owned()))
    }

    fn conclude(&self, pin: PinEntry, verdict: Verdict) {
        self.control.say(&FromWorker::Verdict {
            token: self.token,
            pin: PinOctets::of(&pin),
            verdict,
        });
    }

    /// Nothing is kept here.
    fn forget(&self) {}
}
