//! A PIV card in software: what a card of NIST SP 800-73-4 answers, as far as signing and decrypting mail need it.
//!
//! APDUs go in and come out; [`crate::vpcd`] carries them to pcscd. It counts the PINs that it is given, locks itself after
//! three wrong ones, and wants the PIN right before each use of the signature key, without any command in between.
//!
//! The card has no chip behind it: the keys are [`crate::people`]'s, which everybody may read.

mod apdu;
mod keys;
mod objects;
mod tlv;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};

use crate::people::KeyPair;
use apdu::{Answer, Command, Status};
use keys::Key;
use objects::Objects;

/// Wrong PINs in a row that lock it.
const TRIES: u8 = 3;

/// The length of a PIN with its padding (SP 800-73-4 part 2, section 2.4.3).
const PIN_LEN: usize = 8;

/// Answer to reset: T=1, historical bytes that claim nothing, and the check byte (ISO/IEC 7816-3).
const ATR: [u8; 12] = [0x3b, 0x88, 0x01, b'C', b'h', b'a', b'n', b'c', b'e', b'r', b'y', 0xa0];

/// The application's identifier; commands may name its first nine bytes.
const AID: [u8; 11] = [0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00];

/// The places for keys (SP 800-73-4 part 1, table 4b).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// 9A, PIV authentication: the PIN once.
    Authentication,
    /// 9C, digital signature: the PIN for each use.
    Signature,
    /// 9D, key management: the PIN once.
    KeyManagement,
    /// 82, the first of the retired key management keys: the PIN once.
    Retired,
}

/// A card. Clones are the same card.
#[derive(Debug, Clone)]
pub struct Card(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    objects: Objects,
    keys: Vec<(Slot, Key)>,
    pin: [u8; PIN_LEN],
    tries_left: u8,
    presented: u64,
    selected: bool,
    verified: bool,
    /// The last command was a VERIFY with the right PIN.
    just_verified: bool,
    /// The data of the commands of a chain so far.
    chain: Vec<u8>,
    /// What GET RESPONSE will give.
    rest: Vec<u8>,
}

impl Card {
    /// A card with these keys and their certificates.
    ///
    /// # Errors
    /// A PIN that is not of six to eight digits, or a key that is neither RSA-2048 nor P-256.
    pub fn new(pin: &str, keys: &[(Slot, KeyPair)]) -> Result<Self> {
        let digits = pin.as_bytes();
        ensure!((6..=PIN_LEN).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit));
        let mut padded = [0xff; PIN_LEN];
        for (to, from) in padded.iter_mut().zip(digits) {
            *to = *from;
        }
        let objects = Objects::new(keys)?;
        let keys = keys
            .iter()
            .map(|(slot, pair)| Ok((*slot, Key::new(pair)?)))
            .collect::<Result<_>>()?;
        Ok(Self(Arc::new(Mutex::new(State {
            objects,
            keys,
            pin: padded,
            tries_left: TRIES,
            presented: 0,
            selected: false,
            verified: false,
            just_verified: false,
            chain: Vec::new(),
            rest: Vec::new(),
        }))))
    }

    /// How many PINs it has been given, right or wrong.
    #[must_use]
    pub fn presented(&self) -> u64 {
        self.state().presented
    }

    /// How many wrong PINs in a row it still takes.
    #[must_use]
    pub fn tries_left(&self) -> u8 {
        self.state().tries_left
    }

    pub(crate) fn atr(&self) -> &'static [u8] {
        &ATR
    }

    /// Power on, power off, reset: all that was proved is forgotten.
    pub(crate) fn reset(&self) {
        let mut state = self.state();
        state.selected = false;
        state.forget();
    }

    /// One command APDU, one response APDU.
    pub(crate) fn exchange(&self, command: &[u8]) -> Vec<u8> {
        let answer = match Command::parse(command) {
            Some(command) => self.state().obey(&command),
            None => Err(Status::WRONG_LENGTH),
        };
        apdu::respond(answer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self) {
        self.verified = false;
        self.just_verified = false;
        self.chain.clear();
        self.rest.clear();
    }

    fn obey(&mut self, command: &Command) -> Result<Answer, Status> {
        const SELECT: u8 = 0xa4;
        const GET_DATA: u8 = 0xcb;
        const VERIFY: u8 = 0x20;
        const GENERAL_AUTHENTICATE: u8 = 0x87;
        const GET_RESPONSE: u8 = 0xc0;
        if command.instruction == GET_RESPONSE {
            return Ok(self.next_piece(command.expected));
        }
        self.rest.clear();
        let just_verified = std::mem::take(&mut self.just_verified);
        if command.chained {
            // A chain is one command: a proof before its first part holds to its last.
            self.just_verified = just_verified && command.instruction == GENERAL_AUTHENTICATE;
            self.chain.extend(&command.data);
            return Ok(Answer::default());
        }
        let mut data = std::mem::take(&mut self.chain);
        data.extend(&command.data);
        let whole = match command.instruction {
            SELECT => self.select(command, &data),
            _ if !self.selected => Err(Status::NOT_SUPPORTED),
            GET_DATA => self.objects.read(command, &data),
            VERIFY => self.verify(command, &data),
            GENERAL_AUTHENTICATE => self.authenticate(command, &data, just_verified),
            _ => Err(Status::NOT_SUPPORTED),
        }?;
        self.rest = whole;
        Ok(self.next_piece(command.expected))
    }

    /// As much as was asked for, and the announcement of what is left.
    fn next_piece(&mut self, expected: usize) -> Answer {
        let length = self.rest.len().min(expected);
        let left = self.rest.split_off(length);
        Answer {
            data: std::mem::replace(&mut self.rest, left),
            left: self.rest.len(),
        }
    }

    /// SELECT by name (SP 800-73-4 part 2, section 3.1.1).
    fn select(&mut self, command: &Command, name: &[u8]) -> Result<Vec<u8>, Status> {
        const SHORTEST: usize = 5;
        if command.p1 != 4 || name.len() < SHORTEST || !AID.starts_with(name) {
            return Err(Status::NOT_FOUND);
        }
        // Selecting it once more changes nothing of what has been proved.
        if !std::mem::replace(&mut self.selected, true) {
            self.forget();
        }
        Ok(objects::application())
    }

    /// VERIFY (section 3.2.1), with the application's PIN or without any, to ask whether it is needed.
    fn verify(&mut self, command: &Command, pin: &[u8]) -> Result<Vec<u8>, Status> {
        const APPLICATION_PIN: u8 = 0x80;
        const FORGET: u8 = 0xff;
        if command.p2 != APPLICATION_PIN {
            return Err(Status::REFERENCE_NOT_FOUND);
        }
        if command.p1 == FORGET && pin.is_empty() {
            self.verified = false;
            return Ok(Vec::new());
        }
        if pin.is_empty() {
            return if self.verified {
                Ok(Vec::new())
            } else {
                Err(self.tries())
            };
        }
        if pin.len() != PIN_LEN {
            return Err(Status::WRONG_DATA);
        }
        self.presented += 1;
        if self.tries_left == 0 {
            return Err(Status::BLOCKED);
        }
        self.verified = pin == self.pin;
        self.just_verified = self.verified;
        if self.verified {
            self.tries_left = TRIES;
            return Ok(Vec::new());
        }
        self.tries_left -= 1;
        Err(self.tries())
    }

    fn tries(&self) -> Status {
        match self.tries_left {
            0 => Status::BLOCKED,
            left => Status::wrong_pin(left),
        }
    }

    /// GENERAL AUTHENTICATE (section 3.2.4) with a private key: a signature, a decryption or an agreement.
    fn authenticate(&self, command: &Command, data: &[u8], just_verified: bool) -> Result<Vec<u8>, Status> {
        let found = self.keys.iter().find(|(slot, _)| slot.reference() == command.p2);
        let (slot, key) = found.ok_or(Status::WRONG_PARAMETERS)?;
        let allowed = match slot {
            Slot::Signature => just_verified,
            Slot::Authentication | Slot::KeyManagement | Slot::Retired => self.verified,
        };
        if !allowed {
            return Err(Status::NOT_VERIFIED);
        }
        key.answer(command.p1, data)
    }
}

impl Slot {
    /// The key reference in commands.
    const fn reference(self) -> u8 {
        match self {
            Self::Authentication => 0x9a,
            Self::Signature => 0x9c,
            Self::KeyManagement => 0x9d,
            Self::Retired => 0x82,
        }
    }

    /// The tag of the certificate's data object.
    const fn certificate(self) -> [u8; 3] {
        match self {
            Self::Authentication => [0x5f, 0xc1, 0x05],
            Self::Signature => [0x5f, 0xc1, 0x0a],
            Self::KeyManagement => [0x5f, 0xc1, 0x0b],
            Self::Retired => [0x5f, 0xc1, 0x0d],
        }
    }
}
