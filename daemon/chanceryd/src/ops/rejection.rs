//! Implicit rejection for RSAES-PKCS1-v1_5: what comes back in place of an error, so that nobody can tell a failure from a
//! success (RFC 3218; Bleichenbacher).

use std::fmt;

use chancery_token::KeyId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

/// A secret of this process that turns a ciphertext into bytes that look random, the same ones each time.
pub(super) struct ImplicitRejection {
    secret: Zeroizing<[u8; 32]>,
}

impl ImplicitRejection {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice())?;
        Ok(Self { secret })
    }

    /// The plaintext if there is one of exactly `length` bytes, otherwise `length` bytes that depend on the key, the
    /// ciphertext and the length alone. Both ways do the same work.
    pub(super) fn resolve(
        &self,
        key: KeyId,
        ciphertext: &[u8],
        length: usize,
        plaintext: Option<&[u8]>,
    ) -> Zeroizing<Vec<u8>> {
        let mut answer = self.expand(key, ciphertext, length);
        let found = plaintext.unwrap_or_default();
        let usable = Choice::from(u8::from(plaintext.is_some())) & found.len().ct_eq(&length);
        for (position, byte) in answer.iter_mut().enumerate() {
            let real = found.get(position).copied().unwrap_or_default();
            byte.conditional_assign(&real, usable);
        }
        answer
    }

    /// HMAC-SHA256(HMAC-SHA256(secret, key ‖ ciphertext), length ‖ counter) for counter = 0, 1, …
    fn expand(&self, key: KeyId, ciphertext: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
        let mut seed = mac(self.secret.as_slice(), &[key.as_bytes(), ciphertext]);
        let mut bytes = Zeroizing::new(Vec::with_capacity(length + 32));
        let mut counter: u32 = 0;
        while bytes.len() < length {
            let mut block = mac(&seed, &[&length.to_be_bytes(), &counter.to_be_bytes()]);
            bytes.extend_from_slice(&block);
            block.zeroize();
            counter = counter.saturating_add(1);
        }
        seed.zeroize();
        bytes.truncate(length);
        bytes
    }
}

impl fmt::Debug for ImplicitRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImplicitRejection").finish_non_exhaustive()
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn key(n: u8) -> KeyId {
        KeyId::from_bytes([n; 32])
    }

    #[test]
    fn a_plaintext_of_the_right_length_comes_through() {
        let rejection = ImplicitRejection::new().unwrap();
        assert_eq!(*rejection.resolve(key(1), b"ciphertext", 5, Some(b"hello")), b"hello");
    }

    #[test]
    fn failure_and_wrong_length_give_the_same_bytes_every_time() {
        let rejection = ImplicitRejection::new().unwrap();
        let failed = rejection.resolve(key(1), b"ciphertext", 32, None);
        assert_eq!(failed.len(), 32);
        assert_eq!(failed, rejection.resolve(key(1), b"ciphertext", 32, None));
        assert_eq!(failed, rejection.resolve(key(1), b"ciphertext", 32, Some(b"too short")));
        assert_eq!(failed, rejection.resolve(key(1), b"ciphertext", 32, Some(&[7; 33])));
    }

    #[test]
    fn another_key_ciphertext_length_or_process_gives_other_bytes() {
        let rejection = ImplicitRejection::new().unwrap();
        let one = rejection.resolve(key(1), b"ciphertext", 32, None);
        assert_ne!(one, rejection.resolve(key(2), b"ciphertext", 32, None));
        assert_ne!(one, rejection.resolve(key(1), b"ciphertexT", 32, None));
        assert_ne!(one[..16], rejection.resolve(key(1), b"ciphertext", 16, None)[..]);
        assert_ne!(
            one,
            ImplicitRejection::new()
                .unwrap()
                .resolve(key(1), b"ciphertext", 32, None)
        );
    }

    #[test]
    fn long_answers_do_not_repeat() {
        let long = ImplicitRejection::new().unwrap().resolve(key(1), b"c", 256, None);
        assert_ne!(long[..32], long[32..64]);
    }
}
