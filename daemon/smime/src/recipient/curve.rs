//! The curves of ephemeral-static Diffie-Hellman: points checked and brought into one form, ephemeral keys made and agreed
//! with.

use elliptic_curve::Generate;
use elliptic_curve::sec1::ToSec1Point;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::algorithm::PublicKeyAlgorithm;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
    X25519,
}

/// An ephemeral public key, and what it agrees on with the recipient's key.
pub(super) struct Agreed {
    pub(super) public_key: Vec<u8>,
    pub(super) secret: Zeroizing<Vec<u8>>,
}

impl Curve {
    pub(super) const fn of_key(key: PublicKeyAlgorithm) -> Option<Self> {
        match key {
            PublicKeyAlgorithm::P256 => Some(Self::P256),
            PublicKeyAlgorithm::P384 => Some(Self::P384),
            PublicKeyAlgorithm::P521 => Some(Self::P521),
            PublicKeyAlgorithm::X25519 => Some(Self::X25519),
            PublicKeyAlgorithm::Rsa { .. } | PublicKeyAlgorithm::Ed25519 => None,
        }
    }

    /// The NIST curve whose points, compressed or not, have this length.
    pub(super) const fn of_point_len(len: usize) -> Option<Self> {
        match len {
            33 | 65 => Some(Self::P256),
            49 | 97 => Some(Self::P384),
            67 | 133 => Some(Self::P521),
            _ => None,
        }
    }

    /// Length of the shared secret in octets.
    pub(super) const fn secret_len(self) -> usize {
        match self {
            Self::P256 | Self::X25519 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The point uncompressed, if it lies on the curve; for X25519 the 32 octets as they are.
    pub(super) fn point(self, octets: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::P256 => Some(
                p256::PublicKey::from_sec1_bytes(octets)
                    .ok()?
                    .to_sec1_point(false)
                    .as_bytes()
                    .to_vec(),
            ),
            Self::P384 => Some(
                p384::PublicKey::from_sec1_bytes(octets)
                    .ok()?
                    .to_sec1_point(false)
                    .as_bytes()
                    .to_vec(),
            ),
            Self::P521 => Some(
                p521::PublicKey::from_sec1_bytes(octets)
                    .ok()?
                    .to_sec1_point(false)
                    .as_bytes()
                    .to_vec(),
            ),
            Self::X25519 => (octets.len() == 32).then(|| octets.to_vec()),
        }
    }

    /// Makes an ephemeral key and agrees with `peer`; nothing if `peer` is not a valid key.
    pub(super) fn agree(self, peer: &[u8], rng: &mut impl CryptoRng) -> Option<Agreed> {
        match self {
            Self::P256 => {
                let peer = p256::PublicKey::from_sec1_bytes(peer).ok()?;
                let ephemeral = p256::ecdh::EphemeralSecret::generate_from_rng(rng);
                let secret = ephemeral.diffie_hellman(&peer);
                Some(agreed(
                    ephemeral.public_key().to_sec1_point(false).as_bytes(),
                    secret.raw_secret_bytes(),
                ))
            }
            Self::P384 => {
                let peer = p384::PublicKey::from_sec1_bytes(peer).ok()?;
                let ephemeral = p384::ecdh::EphemeralSecret::generate_from_rng(rng);
                let secret = ephemeral.diffie_hellman(&peer);
                Some(agreed(
                    ephemeral.public_key().to_sec1_point(false).as_bytes(),
                    secret.raw_secret_bytes(),
                ))
            }
            Self::P521 => {
                let peer = p521::PublicKey::from_sec1_bytes(peer).ok()?;
                let ephemeral = p521::ecdh::EphemeralSecret::generate_from_rng(rng);
                let secret = ephemeral.diffie_hellman(&peer);
                Some(agreed(
                    ephemeral.public_key().to_sec1_point(false).as_bytes(),
                    secret.raw_secret_bytes(),
                ))
            }
            Self::X25519 => {
                let peer = x25519_dalek::PublicKey::from(<[u8; 32]>::try_from(peer).ok()?);
                let ephemeral = x25519_dalek::EphemeralSecret::random_from_rng(rng);
                let public_key = x25519_dalek::PublicKey::from(&ephemeral);
                let secret = ephemeral.diffie_hellman(&peer);
                // RFC 8418, section 2: a secret of all zeros comes from a key of small order.
                secret
                    .was_contributory()
                    .then(|| agreed(public_key.as_bytes(), secret.as_bytes()))
            }
        }
    }
}

fn agreed(public_key: &[u8], secret: &[u8]) -> Agreed {
    Agreed {
        public_key: public_key.to_vec(),
        secret: Zeroizing::new(secret.to_vec()),
    }
}
