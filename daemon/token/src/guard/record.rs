//! What is remembered of one token's PINs, and the form in which it is written: lines of text under a seal.
//!
//! ```text
//!   chancery-pin-memory 1
//!   tries 2
//!   insisted 1                 only if there are any
//!   refused 3f…                keyed hashes of PINs
//!   unknown 8a…
//!   replaced 51…
//!   seal 90…                   a keyed hash of all lines above, and of which token it is
//! ```

use std::{collections::VecDeque, fmt::Write as _};

use hmac::{Hmac, KeyInit as _, Mac as _, digest::Key};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Attempt;
use crate::pin::Pin;

/// A keyed hash of a PIN of one token.
pub(super) type Hash = [u8; 32];

/// Which token, in a form that makes a file's name.
pub(super) type Identity = [u8; 16];

/// PINs that are remembered. Tokens lock themselves long before that.
pub(super) const MAX_REMEMBERED: usize = 256;

/// A longer file is none of ours.
pub(super) const MAX_LEN: u64 = 32 << 10;

const HEADER: &str = "chancery-pin-memory 1";

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The token refused the PIN.
    Refused,
    /// Nobody knows.
    Unknown,
    /// Nobody knows, and somebody has tried it by hand.
    UnknownByHand,
    /// It was the PIN, and another was set in its place.
    Replaced,
}

const WORDS: [(&str, Outcome); 4] = [
    ("refused", Outcome::Refused),
    ("unknown", Outcome::Unknown),
    ("unknown-by-hand", Outcome::UnknownByHand),
    ("replaced", Outcome::Replaced),
];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Tries since the last success.
    pub(super) tries: u32,
    /// Tries that somebody insisted on, since the token last said whether a PIN is right.
    pub(super) insisted: u32,
    /// Why what was written before could not be read: nothing is tried automatically until a login has succeeded.
    pub(super) damage: Option<String>,
    /// Oldest first.
    tried: VecDeque<(Hash, Outcome)>,
}

impl Record {
    pub(super) fn outcome(&self, hash: &Hash) -> Option<Outcome> {
        let known = |(tried, outcome): &(Hash, Outcome)| bool::from(tried.ct_eq(hash)).then_some(*outcome);
        self.tried.iter().find_map(known)
    }

    /// A try is about to be made; whether it is one that somebody insists on.
    pub(super) fn begin(&mut self, hash: Hash, attempt: Attempt, insisted: bool) {
        self.tries = self.tries.saturating_add(1);
        self.insisted = self.insisted.saturating_add(u32::from(insisted));
        // By hand, once for each PIN whose outcome is unknown: the first time it is not known yet.
        let outcome = match (attempt, self.outcome(&hash)) {
            (Attempt::ByHand, Some(_)) => Outcome::UnknownByHand,
            _ => Outcome::Unknown,
        };
        self.set(hash, outcome);
    }

    /// The token refused it. `counted` says that the try is known already.
    pub(super) fn refuse(&mut self, hash: Hash, counted: bool) {
        self.tries = self.tries.saturating_add(u32::from(!counted));
        self.insisted = 0;
        self.set(hash, Outcome::Refused);
    }

    /// The token has accepted this PIN: all is forgotten but which PINs were replaced.
    pub(super) fn succeed(&mut self, hash: &Hash) {
        self.tries = 0;
        self.insisted = 0;
        self.damage = None;
        self.tried
            .retain(|(tried, outcome)| *outcome == Outcome::Replaced && tried != hash);
    }

    /// The token has a new PIN in the place of the old one.
    pub(super) fn replace(&mut self, old: Hash, new: &Hash) {
        self.succeed(new);
        self.set(old, Outcome::Replaced);
    }

    /// It may be tried by hand again. Says whether that makes a difference.
    pub(super) fn release(&mut self, hash: &Hash) -> bool {
        let differs = self.outcome(hash) == Some(Outcome::UnknownByHand);
        if differs {
            self.set(*hash, Outcome::Unknown);
        }
        differs
    }

    /// A try that had begun was not made; `before` is what was known of the PIN until then, and `insisted` whether somebody insisted
    /// on the try.
    pub(super) fn take_back(&mut self, hash: &Hash, before: Option<Outcome>, insisted: bool) {
        self.tries = self.tries.saturating_sub(1);
        self.insisted = self.insisted.saturating_sub(u32::from(insisted));
        match before {
            Some(outcome) => self.set(*hash, outcome),
            None => self.tried.retain(|(tried, _)| tried != hash),
        }
    }

    fn set(&mut self, hash: Hash, outcome: Outcome) {
        self.tried.retain(|(tried, _)| *tried != hash);
        if self.tried.len() == MAX_REMEMBERED {
            self.tried.pop_front();
        }
        self.tried.push_back((hash, outcome));
    }

    pub(super) fn damaged(why: String) -> Self {
        Self {
            damage: Some(why),
            ..Self::default()
        }
    }

    pub(super) fn encode(&self, key: &[u8; 32], identity: &Identity) -> String {
        let mut text = format!("{HEADER}\ntries {}\n", self.tries);
        if self.insisted > 0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "insisted {}", self.insisted);
        }
        if self.damage.is_some() {
            text.push_str("damaged\n");
        }
        for (hash, outcome) in &self.tried {
            let word = WORDS
                .iter()
                .find(|(_, each)| each == outcome)
                .map_or("", |(word, _)| word);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{word} {}", base16ct::lower::encode_string(hash));
        }
        let seal = seal(key, identity, &text).finalize().into_bytes();
        let _ = writeln!(text, "seal {}", base16ct::lower::encode_string(&seal));
        text
    }

    /// Reads what [`encode`](Self::encode) wrote; the error says what is wrong with it.
    pub(super) fn decode(text: &str, key: &[u8; 32], identity: &Identity) -> Result<Self, &'static str> {
        let (body, seal_line) = text
            .strip_suffix('\n')
            .and_then(|text| text.rsplit_once('\n'))
            .ok_or("it is cut off")?;
        let sealed = text.get(..=body.len()).ok_or("it is cut off")?;
        let given = seal_line
            .strip_prefix("seal ")
            .and_then(unhex)
            .ok_or("it has no seal")?;
        seal(key, identity, sealed)
            .verify_slice(&given)
            .map_err(|_| "it was changed, or belongs to another token or key")?;
        let mut lines = body.lines();
        if lines.next() != Some(HEADER) {
            return Err("it is of another version");
        }
        let mut record = Self::default();
        for line in lines {
            match line.split_once(' ') {
                Some(("tries", number)) => record.tries = number.parse().map_err(|_| "its number of tries is none")?,
                Some(("insisted", number)) => {
                    record.insisted = number
                        .parse()
                        .map_err(|_| "its number of tries that were insisted on is none")?;
                }
                Some((word, hash)) => {
                    let known = WORDS.iter().find(|(each, _)| *each == word);
                    let (_, outcome) = known.ok_or("it has an unknown line")?;
                    record.set(unhex(hash).ok_or("it has a broken hash")?, *outcome);
                }
                None if line == "damaged" => record.damage = Some("what was there before was damaged".to_owned()),
                None => return Err("it has an unknown line"),
            }
        }
        Ok(record)
    }
}

/// The hash under which a PIN is remembered.
pub(super) fn hash(key: &[u8; 32], identity: &Identity, pin: &Pin) -> Hash {
    mac(key, b"pin")
        .chain_update(identity)
        .chain_update(pin.bytes())
        .finalize()
        .into_bytes()
        .into()
}

/// Which token this is. Not under the key: a file is found, and found wanting, when the key has been lost.
pub(super) fn identity(serial: &str, label: &str) -> Identity {
    let length = u64::try_from(serial.len()).unwrap_or(u64::MAX).to_le_bytes();
    let digest = Sha256::new()
        .chain_update(length)
        .chain_update(serial)
        .chain_update(label);
    let digest: [u8; 32] = digest.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

fn seal(key: &[u8; 32], identity: &Identity, text: &str) -> Hmac<Sha256> {
    mac(key, b"seal").chain_update(identity).chain_update(text)
}

/// For one use of the key.
fn mac(key: &[u8; 32], purpose: &[u8]) -> Hmac<Sha256> {
    // A key as long as the hash's block, which is what a shorter one is filled up to (RFC 2104).
    let mut block = Zeroizing::new(Key::<Hmac<Sha256>>::default());
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    // No purpose is the beginning of another.
    Hmac::new(&block).chain_update(purpose)
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    (base16ct::lower::decode(text, &mut hash).ok()?.len() == 32).then_some(hash)
}
