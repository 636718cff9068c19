//! A PIN on its way to the daemon. It is wiped when it is dropped and never shown.
//!
//! What the HTTP/2 and TLS layers copy of it cannot be wiped from here; the process that types a PIN should be short.

use std::fmt;

use bytes::Bytes;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The longest PIN that the contract carries, in bytes.
pub const MAX_PIN_LEN: usize = 255;

/// The user PIN of a token.
pub struct Pin(Zeroizing<Vec<u8>>);

/// Bytes that cannot be a PIN.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinError {
    /// There is nothing in it. It is not sent: an empty PIN means "use the reader's keypad" to some modules, and would
    /// cost a try on others.
    #[error("the PIN is empty")]
    Empty,
    /// It is longer than the contract allows.
    #[error("the PIN is longer than {MAX_PIN_LEN} bytes")]
    TooLong,
}

impl Pin {
    /// Takes the bytes over. Whatever copies the caller has made are the caller's to wipe.
    ///
    /// # Errors
    ///
    /// If there are none, or more than [`MAX_PIN_LEN`].
    pub fn new(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Result<Self, PinError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(PinError::Empty),
            1..=MAX_PIN_LEN => Ok(Self(bytes)),
            _ => Err(PinError::TooLong),
        }
    }

    /// The bytes for a request or its options. They are still wiped when the last reference goes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl PartialEq for Pin {
    /// In constant time for PINs of the same length.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Pin {}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(redacted)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_pin_is_one_to_255_bytes() {
        assert_eq!(Pin::new(Vec::new()).unwrap_err(), PinError::Empty);
        assert_eq!(Pin::new(vec![b'1'; 256]).unwrap_err(), PinError::TooLong);
        assert_eq!(Pin::new(vec![b'1'; 255]).unwrap().into_bytes().len(), 255);
    }

    #[test]
    fn pins_are_equal_when_their_bytes_are() {
        let pin = |text: &str| Pin::new(text.as_bytes().to_vec()).unwrap();
        assert_eq!(pin("1234"), pin("1234"));
        assert_ne!(pin("1234"), pin("1235"));
        assert_ne!(pin("1234"), pin("12345"));
    }

    #[test]
    fn a_pin_is_not_shown() {
        let shown = format!("{:?}", Pin::new(b"648219".to_vec()).unwrap());
        assert!(!shown.contains("648219"), "{shown}");
    }
}
