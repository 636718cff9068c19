//! Private keys in software, and the template of GENERAL AUTHENTICATE (SP 800-73-4 part 2, section 3.2.4 and appendix A).

use anyhow::{Context as _, Result};
use der::Encode as _;
use p256::{
    PublicKey, SecretKey,
    ecdsa::{DerSignature, SigningKey, signature::hazmat::PrehashSigner as _},
    pkcs8::DecodePrivateKey as _,
};
use rsa::{BoxedUint, RsaPrivateKey, hazmat::rsa_decrypt_and_check, traits::PublicKeyParts as _};

use super::{
    apdu::Status,
    tlv::{element, find},
};
use crate::people::KeyPair;

/// Algorithm identifiers (SP 800-78-4, table 6-2).
const RSA_2048: u8 = 0x07;
const P256: u8 = 0x11;

/// Tags of the dynamic authentication template.
const TEMPLATE: u8 = 0x7c;
const RESPONSE: u8 = 0x82;
const CHALLENGE: u8 = 0x81;
const EXPONENTIATION: u8 = 0x85;

/// A private key.
#[derive(Debug)]
pub(super) enum Key {
    Rsa(Box<RsaPrivateKey>),
    P256(SecretKey),
}

impl Key {
    pub(super) fn new(pair: &KeyPair) -> Result<Self> {
        let pkcs8 = pair.pkcs8()?;
        if let Ok(key) = SecretKey::from_pkcs8_der(pkcs8.as_bytes()) {
            return Ok(Self::P256(key));
        }
        let key = RsaPrivateKey::from_pkcs8_der(pkcs8.as_bytes());
        key.ok()
            .filter(|key| key.size() == 256)
            .map(|key| Self::Rsa(Box::new(key)))
            .with_context(|| format!("{} is neither RSA-2048 nor P-256", pair.name()))
    }

    /// The response template to a challenge: x^d for RSA, an ECDSA-Sig-Value or a shared secret for P-256.
    pub(super) fn answer(&self, algorithm: u8, data: &[u8]) -> Result<Vec<u8>, Status> {
        let template = find(data, TEMPLATE).ok_or(Status::WRONG_DATA)?;
        let response = match (self, algorithm) {
            (Self::Rsa(key), RSA_2048) => find(template, CHALLENGE).and_then(|number| raw_rsa(key, number)),
            (Self::P256(key), P256) => match find(template, EXPONENTIATION) {
                Some(point) => agree(key, point),
                None => find(template, CHALLENGE).and_then(|digest| sign(key, digest)),
            },
            _ => return Err(Status::WRONG_PARAMETERS),
        };
        let response = response.ok_or(Status::WRONG_DATA)?;
        Ok(element(&[TEMPLATE], &element(&[RESPONSE], &response)))
    }
}

fn raw_rsa(key: &RsaPrivateKey, number: &[u8]) -> Option<Vec<u8>> {
    let number = BoxedUint::from_be_slice(number, key.n_bits_precision()).ok()?;
    let result = rsa_decrypt_and_check(key, Some(&mut getrandom::SysRng), &number).ok()?;
    Some(result.to_be_bytes().into_vec())
}

fn sign(key: &SecretKey, digest: &[u8]) -> Option<Vec<u8>> {
    let signature: DerSignature = SigningKey::from(key).sign_prehash(digest).ok()?;
    signature.to_der().ok()
}

fn agree(key: &SecretKey, point: &[u8]) -> Option<Vec<u8>> {
    let peer = PublicKey::from_sec1_bytes(point).ok()?;
    let secret = p256::ecdh::diffie_hellman(key.to_nonzero_scalar(), peer.as_affine());
    Some(secret.raw_secret_bytes().to_vec())
}
