//! One operation on one session: the mechanism, the call, and the form of the result.

use cryptoki::{
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
        elliptic_curve::{EcKdf, Ecdh1DeriveParams},
        rsa::PkcsPssParams,
    },
    session::Session,
};
use cryptoki_sys::{CKR_DATA_INVALID, CKR_DATA_LEN_RANGE, CKR_GENERAL_ERROR, CKR_KEY_FUNCTION_NOT_PERMITTED};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    capabilities::{self, OaepRoute},
    catalogue::KeyAlgorithm,
    ckr::{Failure, Remedy},
    error::TokenError,
    job::Work,
    mechanism::{DecryptScheme, Digest, SignMechanism},
    oaep,
    pin::PinEntry,
    pins::{Purpose, Verdict},
    point,
    shared::{Live, LiveKey, Shared},
    signature,
    status::PinStatus,
};

/// Why an operation gave no result.
pub(super) enum Fault {
    /// Decided here, without the module.
    Refused(TokenError),
    /// The module failed. With `error`, the token is well and the caller gets this; without, recovery decides.
    Failed {
        failure: Failure,
        error: Option<TokenError>,
    },
    /// The anchor has let go of the token, or looked up its keys anew, since the handles at hand were fetched.
    Outdated,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Failed { failure, error: None }
    }
}

impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        Self::Refused(error)
    }
}

pub(super) struct Operation<'a> {
    pub(super) shared: &'a Shared,
    pub(super) live: &'a Live,
    pub(super) key: LiveKey,
}

impl Operation<'_> {
    /// Whether the key can do what is asked, before anything is spent on it.
    pub(super) fn check(&self, work: &Work) -> Result<(), TokenError> {
        let algorithm = self.key.algorithm;
        let is_rsa = matches!(algorithm, KeyAlgorithm::Rsa { .. });
        let (fits, allowed, operation) = match work {
            Work::Sign { mechanism, .. } => (mechanism.fits(algorithm), self.key.can_sign, "sign"),
            Work::Decrypt { .. } => (is_rsa, self.key.can_decrypt, "decrypt"),
            Work::Agree { .. } => (point::secret_len(algorithm) != 0, self.key.can_decrypt, "agree"),
        };
        let token = || self.shared.name.clone();
        if !fits {
            return Err(TokenError::MechanismUnsupported {
                token: token(),
                mechanism: name(work).into(),
            });
        }
        if !allowed {
            return Err(TokenError::KeyRole {
                token: token(),
                key: self.key.id,
                operation: operation.into(),
            });
        }
        match work {
            Work::Decrypt { ciphertext, .. } if ciphertext.len() != self.modulus_len() => {
                Err(self.refused("the ciphertext is not as long as the key's modulus"))
            }
            Work::Agree { peer } if !point::is_valid_peer(algorithm, peer) => {
                Err(self.refused("the other party's public key is not a point on the key's curve"))
            }
            _ => Ok(()),
        }
    }

    /// The PIN for a key that wants it for each operation. The caller has the token to itself.
    pub(super) fn context_pin(&self) -> Result<PinEntry, Fault> {
        let token = || self.shared.name.clone();
        let pin = self
            .shared
            .pins
            .kept(Purpose::Operation)
            .map_err(|_| TokenError::Locked { token: token() })?;
        let info = self
            .live
            .module
            .context
            .get_token_info(self.live.slot)
            .map_err(Failure::from)?;
        match self.shared.tries.of(&info) {
            PinStatus::Locked => Err(TokenError::PinLocked { token: token() }.into()),
            PinStatus::FinalTry => Err(TokenError::PinFinalTry { token: token() }.into()),
            PinStatus::Ok | PinStatus::CountLow => Ok(pin),
        }
    }

    pub(super) fn run(
        &self,
        session: &Session,
        work: &Work,
        pin: Option<&PinEntry>,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        match work {
            Work::Sign { mechanism, data } => self
                .sign(session, *mechanism, data, pin)
                .map(Zeroizing::new)
                .map_err(|fault| self.explain(fault, work, pin, true)),
            Work::Decrypt { scheme, ciphertext } => {
                let result = self.decrypt(session, scheme, ciphertext, pin);
                // Whatever came of it: a call more or less, on a network HSM a round trip, would tell how it was padded.
                let session_is_alive = session.get_session_info().is_ok();
                result.map_err(|fault| self.explain(fault, work, pin, session_is_alive))
            }
            Work::Agree { peer } => self
                .agree(session, peer)
                .map_err(|fault| self.explain(fault, work, pin, true)),
        }
    }

    fn sign(
        &self,
        session: &Session,
        mechanism: SignMechanism,
        data: &[u8],
        pin: Option<&PinEntry>,
    ) -> Result<Vec<u8>, Fault> {
        let order_len = signature::order_len(self.key.algorithm);
        let (native, data, expected_len) = match mechanism {
            SignMechanism::RsaPkcs1(_) => (Mechanism::RsaPkcs, data, self.modulus_len()),
            SignMechanism::RsaPss(digest) => (pss(digest), data, self.modulus_len()),
            SignMechanism::Ecdsa(_) => (
                Mechanism::Ecdsa,
                signature::cut_digest(self.key.algorithm, data),
                2 * order_len,
            ),
            SignMechanism::Ed25519 => (Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), data, 64),
        };
        let raw = self
            .live
            .module
            .raw
            .sign(session, &native, self.key.handle, data, expected_len, pin)?;
        let senseless = Failure::new("C_Sign", CKR_GENERAL_ERROR);
        if raw.len() != expected_len {
            return Err(senseless.into());
        }
        match mechanism {
            SignMechanism::Ecdsa(_) => Ok(signature::ecdsa_to_der(&raw).ok_or(senseless)?),
            _ => Ok(raw),
        }
    }

    fn decrypt(
        &self,
        session: &Session,
        scheme: &DecryptScheme,
        ciphertext: &[u8],
        pin: Option<&PinEntry>,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let (raw, key) = (&self.live.module.raw, self.key.handle);
        let (digest, mgf1, label) = match scheme {
            DecryptScheme::RsaPkcs1 => return Ok(raw.decrypt(session, &Mechanism::RsaPkcs, key, ciphertext, pin)?),
            DecryptScheme::RsaOaep { digest, mgf1, label } => (*digest, *mgf1, label),
        };
        match self.live.capabilities.oaep_route(digest, mgf1, label) {
            OaepRoute::Native => {
                let mechanism = capabilities::oaep(digest, mgf1, label);
                let result = raw.decrypt(session, &mechanism, key, ciphertext, pin);
                match result {
                    Err(failure) if failure.ckr.is_unsupported() => {
                        // Never again on this token; the way is another one now.
                        self.live.capabilities.not_native(digest, mgf1);
                        self.decrypt(session, scheme, ciphertext, pin)
                    }
                    result => Ok(result?),
                }
            }
            OaepRoute::Bare => {
                let encoded = raw.decrypt(session, &Mechanism::RsaX509, key, ciphertext, pin)?;
                let encoded = pad_left(encoded, self.modulus_len());
                oaep::unpad(&encoded, digest, mgf1, label).ok_or_else(|| self.decryption_failed().into())
            }
            OaepRoute::None => {
                let token = self.shared.name.clone();
                Err(TokenError::MechanismUnsupported {
                    token,
                    mechanism: "RSA OAEP with these parameters".into(),
                }
                .into())
            }
        }
    }

    fn agree(&self, session: &Session, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), peer));
        let length = point::secret_len(self.key.algorithm);
        let secret = self
            .live
            .module
            .raw
            .derive(session, &mechanism, self.key.handle, length)?;
        // A point of small order gives zero, whatever the private key (RFC 7748 section 6.1).
        if bool::from(secret.ct_eq(vec![0; length].as_slice())) {
            return Err(self.refused("the other party's public key has small order").into());
        }
        Ok(secret)
    }

    /// Tells what is the caller's doing from what is the token's.
    fn explain(&self, fault: Fault, work: &Work, pin: Option<&PinEntry>, session_is_alive: bool) -> Fault {
        let Fault::Failed { failure, error: None } = fault else {
            return fault;
        };
        let token = || self.shared.name.clone();
        let error = match (failure.function, work) {
            ("C_Login", _) if failure.ckr.is_wrong_pin() => {
                self.conclude(pin, Verdict::Wrong);
                self.shared.tries.may_be_spent();
                let (token, ckr) = (token(), failure.ckr.name().into());
                Some(match pin {
                    Some(PinEntry::AtPad) => TokenError::PinIncorrectAtPad { token, ckr },
                    _ => TokenError::PinIncorrect { token, ckr },
                })
            }
            ("C_Login", _) if pin == Some(&PinEntry::AtPad) && failure.ckr.is_broken_off() => {
                self.conclude(pin, Verdict::Untried);
                let ckr = failure.ckr.name().into();
                Some(TokenError::PinNotEntered { token: token(), ckr })
            }
            ("C_Login", _) => {
                self.conclude(pin, Verdict::Unclear);
                None
            }
            ("C_Decrypt", _) if failure.ckr.may_be_the_padding(session_is_alive) => Some(self.decryption_failed()),
            ("C_DeriveKey", Work::Agree { .. }) if failure.ckr.remedy() == Remedy::Caller => {
                Some(self.refused("the token refuses the other party's public key"))
            }
            _ => None,
        };
        let error = error.or_else(|| {
            if failure.ckr.is_unsupported() {
                Some(TokenError::MechanismUnsupported {
                    token: token(),
                    mechanism: name(work).into(),
                })
            } else if failure.ckr.0 == CKR_KEY_FUNCTION_NOT_PERMITTED {
                Some(TokenError::KeyRole {
                    token: token(),
                    key: self.key.id,
                    operation: verb(work).into(),
                })
            } else if matches!(failure.ckr.0, CKR_DATA_INVALID | CKR_DATA_LEN_RANGE) {
                Some(self.refused("the token refuses data of this length"))
            } else {
                None
            }
        });
        Fault::Failed { failure, error }
    }

    fn conclude(&self, pin: Option<&PinEntry>, verdict: Verdict) {
        if let Some(pin) = pin {
            self.shared.pins.conclude(pin.clone(), verdict);
        }
    }

    fn modulus_len(&self) -> usize {
        match self.key.algorithm {
            KeyAlgorithm::Rsa { bits } => usize::try_from(bits.div_ceil(8)).unwrap_or(0),
            _ => 0,
        }
    }

    fn refused(&self, detail: &'static str) -> TokenError {
        TokenError::InputRefused {
            token: self.shared.name.clone(),
            detail: detail.into(),
        }
    }

    fn decryption_failed(&self) -> TokenError {
        TokenError::DecryptionFailed {
            token: self.shared.name.clone(),
        }
    }
}

fn name(work: &Work) -> &'static str {
    match work {
        Work::Sign { mechanism, .. } => mechanism.name(),
        Work::Decrypt {
            scheme: DecryptScheme::RsaPkcs1,
            ..
        } => "RSA PKCS#1 v1.5 decryption",
        Work::Decrypt {
            scheme: DecryptScheme::RsaOaep { .. },
            ..
        } => "RSA OAEP",
        Work::Agree { .. } => "ECDH",
    }
}

fn verb(work: &Work) -> &'static str {
    match work {
        Work::Sign { .. } => "sign",
        Work::Decrypt { .. } => "decrypt",
        Work::Agree { .. } => "agree",
    }
}

fn pss(digest: Digest) -> Mechanism<'static> {
    let salt_len = match digest {
        Digest::Sha1 => 20_u32,
        Digest::Sha256 => 32,
        Digest::Sha384 => 48,
        Digest::Sha512 => 64,
    };
    let s_len = cryptoki::types::Ulong::new(salt_len.into());
    Mechanism::RsaPkcsPss(PkcsPssParams {
        hash_alg: digest.mechanism(),
        mgf: digest.mgf1(),
        s_len,
    })
}

/// Some tokens drop the leading zeros of a bare RSA result.
fn pad_left(encoded: Zeroizing<Vec<u8>>, length: usize) -> Zeroizing<Vec<u8>> {
    if encoded.len() >= length {
        return encoded;
    }
    let mut padded = Zeroizing::new(vec![0; length]);
    if let Some(end) = padded.get_mut(length - encoded.len()..) {
        end.copy_from_slice(&encoded);
    }
    padded
}
