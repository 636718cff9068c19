//! ECDSA signatures between PKCS#11 (r and s side by side) and CMS (DER ECDSA-Sig-Value), and digests cut to a curve's order.

use der::{Encode, asn1::UintRef};

use crate::catalogue::KeyAlgorithm;

/// `ECDSA-Sig-Value` of RFC 3279 section 2.2.3.
#[derive(der::Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// The DER form of r‖s; `None` if the halves are not two non-zero numbers of the same length.
pub(crate) fn ecdsa_to_der(raw: &[u8]) -> Option<Vec<u8>> {
    if raw.is_empty() || !raw.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    if [r, s].into_iter().any(|number| number.iter().all(|byte| *byte == 0)) {
        return None;
    }
    EcdsaSigValue {
        r: UintRef::new(r).ok()?,
        s: UintRef::new(s).ok()?,
    }
    .to_der()
    .ok()
}

/// The length of the order in bytes: half of a raw signature, and the most of a digest that counts.
pub(crate) const fn order_len(algorithm: KeyAlgorithm) -> usize {
    match algorithm {
        KeyAlgorithm::P256 => 32,
        KeyAlgorithm::P384 => 48,
        KeyAlgorithm::P521 => 66,
        KeyAlgorithm::Ed25519 | KeyAlgorithm::X25519 | KeyAlgorithm::Rsa { .. } => 0,
    }
}

/// The leftmost bits of a digest that ECDSA uses (FIPS 186-5 section 6.4.1). Not every module cuts it itself. The orders
/// of P-256 and P-384 are whole bytes, and no digest is longer than that of P-521.
pub(crate) fn cut_digest(algorithm: KeyAlgorithm, digest: &[u8]) -> &[u8] {
    digest.get(..order_len(algorithm)).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn numbers_become_minimal_positive_integers() {
        let mut raw = vec![0; 64];
        raw[31] = 0x80;
        raw[63] = 1;
        assert_eq!(ecdsa_to_der(&raw).unwrap(), [0x30, 7, 2, 2, 0, 0x80, 2, 1, 1]);
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        for raw in [
            vec![],
            vec![1],
            vec![1, 2, 3],
            vec![0; 64],
            [vec![1; 32], vec![0; 32]].concat(),
        ] {
            assert_eq!(ecdsa_to_der(&raw), None, "{raw:?}");
        }
    }

    #[test]
    fn a_digest_is_cut_to_the_order() {
        assert_eq!(cut_digest(KeyAlgorithm::P256, &[7; 64]).len(), 32);
        assert_eq!(cut_digest(KeyAlgorithm::P384, &[7; 64]).len(), 48);
        assert_eq!(cut_digest(KeyAlgorithm::P384, &[7; 32]).len(), 32);
        assert_eq!(cut_digest(KeyAlgorithm::P521, &[7; 64]).len(), 64);
    }
}
