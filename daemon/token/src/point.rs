//! The other party's public key in a key agreement, checked before the token sees it.
//!
//! Not every token checks that a point is on its curve, and one that does not gives away its private key to whoever may
//! choose points (invalid-curve attack): the sender of a message chooses one.

use crate::catalogue::KeyAlgorithm;

/// Whether `peer` is an uncompressed point on the key's curve other than the one at infinity, or 32 bytes for X25519.
pub(crate) fn is_valid_peer(algorithm: KeyAlgorithm, peer: &[u8]) -> bool {
    match algorithm {
        KeyAlgorithm::P256 => peer.len() == 65 && p256::PublicKey::from_sec1_bytes(peer).is_ok(),
        KeyAlgorithm::P384 => peer.len() == 97 && p384::PublicKey::from_sec1_bytes(peer).is_ok(),
        KeyAlgorithm::P521 => peer.len() == 133 && p521::PublicKey::from_sec1_bytes(peer).is_ok(),
        KeyAlgorithm::X25519 => peer.len() == 32,
        KeyAlgorithm::Rsa { .. } | KeyAlgorithm::Ed25519 => false,
    }
}

/// The length of the shared secret.
pub(crate) const fn secret_len(algorithm: KeyAlgorithm) -> usize {
    match algorithm {
        KeyAlgorithm::P256 | KeyAlgorithm::X25519 => 32,
        KeyAlgorithm::P384 => 48,
        KeyAlgorithm::P521 => 66,
        KeyAlgorithm::Rsa { .. } | KeyAlgorithm::Ed25519 => 0,
    }
}
