//! A PIN in memory: zeroized, never shown, compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A user PIN. Its bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct Pin(Zeroizing<Vec<u8>>);

impl Pin {
    /// Takes the bytes of a PIN as the token expects them (UTF-8 on almost every token), without a line end.
    pub fn new(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the module alone.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pin(…)")
    }
}

impl PartialEq for Pin {
    /// In constant time for PINs of the same length.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Pin {}

/// How a PIN comes to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinEntry {
    /// In the call.
    Given(Pin),
    /// Somebody enters it at the token's own PIN pad (CKF_PROTECTED_AUTHENTICATION_PATH), out of everybody's sight.
    AtPad,
}

impl From<Pin> for PinEntry {
    fn from(pin: Pin) -> Self {
        Self::Given(pin)
    }
}

/// A login that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlock {
    /// How the PIN comes.
    pub pin: PinEntry,
    /// It is sent though two tries with it came to no end, each of which may have been spent: once, and not while the token says
    /// that one is left, nor after two such tries without an answer. A PIN that the token has refused is not sent for that.
    pub even_if_unanswered: bool,
}

impl From<PinEntry> for Unlock {
    fn from(pin: PinEntry) -> Self {
        Self {
            pin,
            even_if_unanswered: false,
        }
    }
}

impl From<Pin> for Unlock {
    fn from(pin: Pin) -> Self {
        PinEntry::from(pin).into()
    }
}

/// How the old and the new PIN come to a token that is to replace the one by the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinChange {
    /// In the call.
    Given {
        /// The PIN as it is.
        old: Pin,
        /// The PIN as it is to be.
        new: Pin,
    },
    /// Somebody enters both at the token's own PIN pad.
    AtPad,
}

impl PinChange {
    /// How the old one comes.
    pub(crate) fn old(&self) -> PinEntry {
        match self {
            Self::Given { old, .. } => PinEntry::Given(old.clone()),
            Self::AtPad => PinEntry::AtPad,
        }
    }

    /// How the new one comes.
    pub(crate) fn into_new(self) -> PinEntry {
        match self {
            Self::Given { new, .. } => PinEntry::Given(new),
            Self::AtPad => PinEntry::AtPad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing_of_the_pin() {
        assert_eq!(format!("{:?}", Pin::new(b"123456".to_vec())), "Pin(…)");
    }

    #[test]
    fn pins_are_equal_when_their_bytes_are() {
        assert_eq!(Pin::new(b"1234".to_vec()), Pin::new(b"1234".to_vec()));
        assert_ne!(Pin::new(b"1234".to_vec()), Pin::new(b"12345".to_vec()));
        assert_ne!(Pin::new(b"1234".to_vec()), Pin::new(b"1235".to_vec()));
    }
}
