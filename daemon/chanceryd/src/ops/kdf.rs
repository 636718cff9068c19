//! The key derivation function of ANSI X9.63 (SEC 1, section 3.6.1).

use chancery_smime::algorithm::DigestAlgorithm;
use chancery_smime::digest::Digester;
use zeroize::Zeroizing;

/// Derives `length` bytes from the shared secret `z`: digest(z ‖ counter ‖ shared_info) for counter = 1, 2, …
pub(super) fn x963(digest: DigestAlgorithm, z: &[u8], shared_info: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut derived = Zeroizing::new(Vec::with_capacity(length + digest.output_len()));
    let mut counter: u32 = 1;
    while derived.len() < length {
        let mut hash = Digester::new(&[digest]);
        hash.update(z);
        hash.update(&counter.to_be_bytes());
        hash.update(shared_info);
        for (_, block) in hash.finish() {
            derived.extend_from_slice(&Zeroizing::new(block));
        }
        // At most 128 bytes are ever asked for, so the counter stays far from its end.
        counter = counter.saturating_add(1);
    }
    derived.truncate(length);
    derived
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    /// NIST CAVP, ANSI X9.63-2001 KDF, SHA-256, without and with SharedInfo.
    #[test]
    fn it_derives_what_nist_says() {
        let z = unhex("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08");
        assert_eq!(
            *x963(DigestAlgorithm::Sha256, &z, &[], 16),
            unhex("443024c3dae66b95e6f5670601558f71")
        );
        let z = unhex("22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d");
        let info = unhex("75eef81aa3041e33b80971203d2c0c52");
        let expected = "c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e52a13d9c7c6fc878c50c5ea0bc7b00e0\
                        da2447cfd874f6cf92f30d0097111485500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269\
                        142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21";
        assert_eq!(*x963(DigestAlgorithm::Sha256, &z, &info, 128), unhex(expected));
    }

    #[test]
    fn every_length_is_a_prefix_of_the_longer_ones() {
        let long = x963(DigestAlgorithm::Sha384, b"secret", b"info", 128);
        for length in 1..128 {
            assert_eq!(
                x963(DigestAlgorithm::Sha384, b"secret", b"info", length)[..],
                long[..length]
            );
        }
    }
}
