//! The PIN guard: keeps the PIN that works, and remembers those that did not, so that none is tried twice.
//!
//! A card gives three tries or so, and every automatic retry of a wrong PIN is one of them. A PIN that failed is kept as a
//! keyed hash, under a key that lives as long as the process. It is refused from then on, by hand too: if the token's PIN
//! is later changed to one that failed before, the process has to be started anew.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::pin::Pin;

/// Failed PINs that are remembered. Tokens lock themselves long before that.
const MAX_REMEMBERED: usize = 1024;

/// Logins whose outcome is unclear (a device error, not a verdict on the PIN) that may follow each other automatically.
const MAX_UNCLEAR: u8 = 2;

/// PINs that may be compared with the one in use. No token counts these guesses.
const MAX_GUESSES: u8 = 3;

pub(crate) struct PinGuard {
    hash_key: Zeroizing<[u8; 32]>,
    failed: VecDeque<[u8; 32]>,
    kept: Option<Pin>,
    unclear: u8,
    guesses: u8,
}

impl PinGuard {
    /// `kept` is the configured PIN, not tried yet.
    pub(crate) fn new(hash_key: Zeroizing<[u8; 32]>, kept: Option<Pin>) -> Self {
        Self {
            hash_key,
            failed: VecDeque::new(),
            kept,
            unclear: 0,
            guesses: 0,
        }
    }

    /// The PIN for automatic use, if there is one that has not failed.
    pub(crate) fn kept(&self) -> Option<&Pin> {
        self.kept.as_ref().filter(|_| self.unclear < MAX_UNCLEAR)
    }

    /// Whether this is the PIN in use. After some wrong guesses the answer is no, until a login has proved a PIN.
    pub(crate) fn guess(&mut self, pin: &Pin) -> bool {
        if self.guesses == MAX_GUESSES {
            return false;
        }
        let right = self.is_kept(pin);
        self.guesses += u8::from(!right);
        right
    }

    pub(crate) fn has_failed(&self, pin: &Pin) -> bool {
        let hash = self.hash(pin);
        self.failed.iter().any(|failed| failed.ct_eq(&hash).into())
    }

    /// The token accepted this PIN.
    pub(crate) fn succeeded(&mut self, pin: Pin) {
        self.unclear = 0;
        self.guesses = 0;
        self.kept = Some(pin);
    }

    /// The token refused this PIN.
    pub(crate) fn failed(&mut self, pin: &Pin) {
        if self.is_kept(pin) {
            self.kept = None;
        }
        if !self.has_failed(pin) {
            if self.failed.len() == MAX_REMEMBERED {
                self.failed.pop_front();
            }
            self.failed.push_back(self.hash(pin));
        }
    }

    /// A login ended without a verdict on the PIN; a try may have been spent.
    pub(crate) fn unclear(&mut self) {
        self.unclear = self.unclear.saturating_add(1);
    }

    /// Drops the kept PIN.
    pub(crate) fn forget(&mut self) {
        self.kept = None;
        self.unclear = 0;
    }

    fn is_kept(&self, pin: &Pin) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept == pin)
    }

    fn hash(&self, pin: &Pin) -> [u8; 32] {
        // The key has a fixed length and comes first; nobody is given hashes to extend.
        Sha256::new()
            .chain_update(*self.hash_key)
            .chain_update(pin.bytes())
            .finalize()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(text: &str) -> Pin {
        Pin::new(text.as_bytes().to_vec())
    }

    fn guard(kept: Option<&str>) -> PinGuard {
        PinGuard::new(Zeroizing::new([7; 32]), kept.map(pin))
    }

    #[test]
    fn a_failed_pin_is_remembered_and_no_longer_kept() {
        let mut guard = guard(Some("1234"));
        assert!(guard.kept().is_some());
        guard.failed(&pin("1234"));
        assert!(guard.kept().is_none());
        assert!(guard.has_failed(&pin("1234")));
        assert!(!guard.has_failed(&pin("12345")));
    }

    #[test]
    fn another_pin_that_fails_does_not_drop_the_one_that_works() {
        let mut guard = guard(None);
        guard.succeeded(pin("1234"));
        guard.failed(&pin("4321"));
        assert_eq!(guard.kept(), Some(&pin("1234")));
    }

    #[test]
    fn unclear_logins_are_not_repeated_without_end() {
        let mut guard = guard(Some("1234"));
        guard.unclear();
        assert!(guard.kept().is_some());
        guard.unclear();
        assert!(guard.kept().is_none());
        guard.succeeded(pin("1234"));
        assert!(guard.kept().is_some());
    }

    #[test]
    fn the_pin_in_use_is_compared_with_few_guesses() {
        let mut guard = guard(Some("1234"));
        assert!(guard.guess(&pin("1234")));
        for guess in 0..MAX_GUESSES {
            assert!(!guard.guess(&pin(&guess.to_string())));
        }
        assert!(!guard.guess(&pin("1234")));
        guard.succeeded(pin("1234"));
        assert!(guard.guess(&pin("1234")));
    }

    #[test]
    fn hashes_depend_on_the_key() {
        let other = PinGuard::new(Zeroizing::new([8; 32]), None);
        assert_ne!(guard(None).hash(&pin("1234")), other.hash(&pin("1234")));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut guard = guard(None);
        for number in 0..2 * MAX_REMEMBERED {
            guard.failed(&pin(&number.to_string()));
        }
        assert_eq!(guard.failed.len(), MAX_REMEMBERED);
    }
}
