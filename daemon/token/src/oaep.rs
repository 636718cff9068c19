//! RSAES-OAEP un-padding in constant time (RFC 8017 section 7.1.2, step 3), for tokens that do the bare RSA operation only.
//!
//! Whatever is wrong with the encoded message, there is one answer, and the time it takes depends on lengths alone, until
//! the whole has been judged. Manger's attack needs no more than the first byte, so the first byte is judged with the rest.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use crate::mechanism::Digest;

/// Recovers the message from `encoded`, the result of the RSA operation, as long as the modulus.
///
/// `None` if it is no OAEP encoding under these parameters.
pub(crate) fn unpad(encoded: &[u8], digest: Digest, mgf1: Digest, label: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let hash_len = digest.output_len();
    // Lengths are public: the modulus's and the digest's.
    let (first, rest) = encoded.split_first()?;
    if rest.len() < 2 * hash_len + 1 {
        return None;
    }
    let mut seed = Zeroizing::new(rest.get(..hash_len)?.to_vec());
    let mut block = Zeroizing::new(rest.get(hash_len..)?.to_vec());
    mask(&mut seed, &block, mgf1);
    mask(&mut block, &seed, mgf1);

    let label_hash = digest.hash(label);
    let (found_hash, padded) = block.split_at(hash_len);
    let mut valid = first.ct_eq(&0) & found_hash.ct_eq(&label_hash);

    // Zeros, then a one, then the message. Every byte is looked at.
    let mut looking = Choice::from(1);
    let mut start = 0_u32;
    for (index, byte) in (1_u32..).zip(padded) {
        let is_zero = byte.ct_eq(&0);
        let is_one = byte.ct_eq(&1);
        start.conditional_assign(&index, looking & is_one);
        valid &= !looking | is_zero | is_one;
        looking &= is_zero;
    }
    valid &= !looking;

    // From here on the outcome is known to the caller anyway.
    if !bool::from(valid) {
        return None;
    }
    padded
        .get(usize::try_from(start).ok()?..)
        .map(|message| Zeroizing::new(message.to_vec()))
}

/// XORs MGF1 of `seed` into `target` (RFC 8017 appendix B.2.1).
fn mask(target: &mut [u8], seed: &[u8], digest: Digest) {
    let mut input = Zeroizing::new([seed, &[0; 4]].concat());
    for (counter, chunk) in (0_u32..).zip(target.chunks_mut(digest.output_len())) {
        if let Some(tail) = input.last_chunk_mut::<4>() {
            *tail = counter.to_be_bytes();
        }
        let mut stream = digest.hash(&input);
        for (byte, key) in chunk.iter_mut().zip(&stream) {
            *byte ^= key;
        }
        stream.zeroize();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const DIGESTS: [Digest; 4] = [Digest::Sha1, Digest::Sha256, Digest::Sha384, Digest::Sha512];

    /// RFC 8017 section 7.1.1 step 2.
    fn pad(message: &[u8], length: usize, digest: Digest, mgf1: Digest, label: &[u8]) -> Vec<u8> {
        let hash_len = digest.output_len();
        let mut block = digest.hash(label);
        block.resize(length - hash_len - 1 - message.len() - 1, 0);
        block.push(1);
        block.extend(message);
        let mut seed = vec![0x5a; hash_len];
        mask(&mut block, &seed, mgf1);
        mask(&mut seed, &block, mgf1);
        [&[0], seed.as_slice(), &block].concat()
    }

    proptest! {
        #[test]
        fn unpadding_undoes_padding(
            message in proptest::collection::vec(any::<u8>(), 0..=126),
            digest in 0..4_usize,
            mgf1 in 0..4_usize,
            label in proptest::collection::vec(any::<u8>(), 0..8),
        ) {
            let encoded = pad(&message, 256, DIGESTS[digest], DIGESTS[mgf1], &label);
            let found = unpad(&encoded, DIGESTS[digest], DIGESTS[mgf1], &label);
            prop_assert_eq!(found.as_deref(), Some(&message));
        }

        #[test]
        fn a_changed_byte_before_the_message_is_noticed(at in 0..256_usize, flip in 1..=255_u8) {
            let mut encoded = pad(b"0123456789abcdef", 256, Digest::Sha256, Digest::Sha256, b"");
            encoded[at] ^= flip;
            let found = unpad(&encoded, Digest::Sha256, Digest::Sha256, b"");
            // A change in the masked block's message part changes the seed, and with it everything.
            prop_assert_ne!(found.as_deref().map(Vec::as_slice), Some(b"0123456789abcdef".as_slice()));
        }

        #[test]
        fn any_bytes_are_answered_without_panic(encoded in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpad(&encoded, Digest::Sha1, Digest::Sha512, b"x");
        }
    }

    #[test]
    fn each_defect_is_refused() {
        let good = pad(b"key", 256, Digest::Sha256, Digest::Sha256, b"");
        assert!(unpad(&good, Digest::Sha256, Digest::Sha256, b"").is_some());
        assert!(unpad(&good, Digest::Sha256, Digest::Sha256, b"another label").is_none());
        assert!(unpad(&good, Digest::Sha256, Digest::Sha1, b"").is_none());
        let mut first = good.clone();
        first[0] = 1;
        assert!(unpad(&first, Digest::Sha256, Digest::Sha256, b"").is_none());
        // No one anywhere after the label's hash.
        let mut block = Digest::Sha256.hash(b"");
        block.resize(256 - 33, 0);
        let mut seed = vec![1; 32];
        mask(&mut block, &seed, Digest::Sha256);
        mask(&mut seed, &block, Digest::Sha256);
        let none = [&[0], seed.as_slice(), &block].concat();
        assert!(unpad(&none, Digest::Sha256, Digest::Sha256, b"").is_none());
        assert!(unpad(&good[..65], Digest::Sha256, Digest::Sha256, b"").is_none());
        assert!(unpad(&[], Digest::Sha256, Digest::Sha256, b"").is_none());
    }
}
