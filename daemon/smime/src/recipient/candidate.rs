//! One recipient of a message that is being opened: whether a certificate is meant, what its private key has to do, and the
//! content-encryption key that comes of it.

use std::sync::Arc;

use rand_core::CryptoRng;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::agreement::{Kdf, KeyWrap, Shared};
use super::curve::Curve;
use super::identifier::RecipientIdentifier;
use crate::algorithm::{ContentEncryptionAlgorithm, DigestAlgorithm, KeyManagementAlgorithm, PublicKeyAlgorithm};
use crate::certificate::Certificate;
use crate::cipher::ContentKey;

/// A message asks for its content-encryption key.
#[derive(Debug)]
pub struct KeyRequest {
    /// The recipients that a private key here could belong to, in the order of the message.
    pub candidates: Vec<Candidate>,
    /// What the key is for.
    pub content_encryption: ContentEncryptionAlgorithm,
    /// The number of recipients, with those that are not candidates: password, symmetric key, unknown algorithms.
    pub recipient_count: usize,
}

/// A recipient by public key.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub(super) identifier: RecipientIdentifier,
    pub(super) wrapped: Wrapped,
}

#[derive(Clone, Debug)]
pub(super) enum Wrapped {
    Transport {
        scheme: RsaScheme,
        encrypted_key: Vec<u8>,
    },
    Agreement {
        agreement: Arc<Agreement>,
        encrypted_key: Vec<u8>,
    },
}

/// What the recipients of one KeyAgreeRecipientInfo share.
#[derive(Debug)]
pub(super) struct Agreement {
    pub(super) curve: Curve,
    pub(super) peer_public_key: Vec<u8>,
    pub(super) kdf: Kdf,
    pub(super) wrap: KeyWrap,
    pub(super) ukm: Option<Vec<u8>>,
}

/// What the private key has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenOperation<'a> {
    /// Decrypt; the result is the content-encryption key.
    Decrypt {
        /// How it was encrypted.
        scheme: RsaScheme,
        /// What was encrypted, as long as the modulus.
        ciphertext: &'a [u8],
    },
    /// Agree on a secret; the result is the raw secret (x coordinate), as long as the field.
    Agree {
        /// An uncompressed point (0x04 ‖ x ‖ y) that lies on the curve, or the 32 octets of an X25519 key.
        peer_public_key: &'a [u8],
    },
}

/// A padding of RSA encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RsaScheme {
    /// RSAES-PKCS1-v1_5.
    Pkcs1,
    /// RSAES-OAEP.
    Oaep {
        /// The digest over the label.
        digest: DigestAlgorithm,
        /// The digest in MGF1.
        mgf1_digest: DigestAlgorithm,
        /// The label, as a rule empty.
        label: Vec<u8>,
    },
}

impl Candidate {
    /// Whether this is the recipient's certificate: named by issuer and serial number or by key identifier, and with a key
    /// that fits.
    #[must_use]
    pub fn matches(&self, certificate: &Certificate) -> bool {
        let Some(key) = certificate.public_key_algorithm() else {
            return false;
        };
        let fits = match &self.wrapped {
            Wrapped::Transport { .. } => matches!(key, PublicKeyAlgorithm::Rsa { .. }),
            Wrapped::Agreement { agreement, .. } => Curve::of_key(key) == Some(agreement.curve),
        };
        fits && self.identifier.matches(certificate)
    }

    /// How the key was managed.
    #[must_use]
    pub fn key_management(&self) -> KeyManagementAlgorithm {
        match &self.wrapped {
            Wrapped::Transport {
                scheme: RsaScheme::Pkcs1,
                ..
            } => KeyManagementAlgorithm::RsaPkcs1,
            Wrapped::Transport {
                scheme: RsaScheme::Oaep { .. },
                ..
            } => KeyManagementAlgorithm::RsaOaep,
            Wrapped::Agreement { .. } => KeyManagementAlgorithm::Ecdh,
        }
    }

    /// What the private key has to do.
    #[must_use]
    pub fn operation(&self) -> TokenOperation<'_> {
        match &self.wrapped {
            Wrapped::Transport { scheme, encrypted_key } => TokenOperation::Decrypt {
                scheme: scheme.clone(),
                ciphertext: encrypted_key,
            },
            Wrapped::Agreement { agreement, .. } => TokenOperation::Agree {
                peer_public_key: &agreement.peer_public_key,
            },
        }
    }

    /// The content-encryption key in `key`, if this is one; its length says how long it must be.
    fn recover(&self, secret: Option<Zeroizing<Vec<u8>>>, key: &mut [u8], rng: &mut impl CryptoRng) -> Choice {
        match &self.wrapped {
            Wrapped::Transport { .. } => {
                let secret = secret.unwrap_or_default();
                for (octet, value) in key.iter_mut().zip(secret.iter()) {
                    *octet = *value;
                }
                secret.len().ct_eq(&key.len())
            }
            Wrapped::Agreement {
                agreement,
                encrypted_key,
            } => agreement.recover(secret, encrypted_key, key, rng),
        }
    }
}

impl Agreement {
    fn recover(
        &self,
        secret: Option<Zeroizing<Vec<u8>>>,
        encrypted_key: &[u8],
        key: &mut [u8],
        rng: &mut impl CryptoRng,
    ) -> Choice {
        let mut fallback = Zeroizing::new(vec![0; self.curve.secret_len()]);
        rng.fill_bytes(&mut fallback);
        // Only X25519 lets the peer force a secret, of zeros; with the other curves it is not a possible value.
        let secret = secret
            .filter(|secret| secret.len() == self.curve.secret_len())
            .filter(|secret| !bool::from(secret.ct_eq(&vec![0; secret.len()])));
        let usable = Choice::from(u8::from(secret.is_some()));
        let secret = secret.unwrap_or(fallback);

        // What peers put into the derivation differs: parameters absent (RFC 5753) or NULL. All forms are always tried, and
        // the key wrap says which is right.
        let mut found = Choice::from(0);
        for null_parameters in [false, true] {
            let shared = Shared {
                ukm: self.ukm.as_deref(),
                null_parameters,
            };
            let kek = self.kdf.derive(&secret, self.wrap, shared);
            let mut unwrapped = Zeroizing::new(vec![0; key.len()]);
            let intact = Choice::from(u8::from(self.wrap.unwrap(&kek, encrypted_key, &mut unwrapped)));
            select(key, &unwrapped, intact & !found);
            found |= intact;
        }
        found & usable
    }
}

impl KeyRequest {
    /// The content-encryption key, from what the private key of `candidate` gave: the decrypted key or the shared secret,
    /// nothing if the operation failed.
    ///
    /// One path for success and failure (RFC 3218): a secret that is absent, of the wrong length or does not unwrap
    /// becomes a random key, with which decryption fails later in the same way as with altered content. So does a
    /// candidate that does not exist.
    #[must_use]
    pub fn content_key(
        &self,
        candidate: usize,
        secret: Option<Zeroizing<Vec<u8>>>,
        rng: &mut impl CryptoRng,
    ) -> ContentKey {
        let mut chosen = Zeroizing::new(vec![0; self.content_encryption.key_len()]);
        rng.fill_bytes(&mut chosen);
        let mut recovered = Zeroizing::new(vec![0; self.content_encryption.key_len()]);
        let valid = match self.candidates.get(candidate) {
            Some(candidate) => candidate.recover(secret, &mut recovered, rng),
            None => Choice::from(0),
        };
        select(&mut chosen, &recovered, valid);
        ContentKey::from_octets(chosen)
    }
}

/// Copies `source` over `target` if `chosen`, in the same time if not.
fn select(target: &mut [u8], source: &[u8], chosen: Choice) {
    for (octet, value) in target.iter_mut().zip(source) {
        octet.conditional_assign(value, chosen);
    }
}
