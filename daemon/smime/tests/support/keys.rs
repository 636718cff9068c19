//! The private keys of `tests/fixtures/encrypt`, doing what a token does, and opening messages with them.

use chancery_smime::algorithm::DigestAlgorithm;
use chancery_smime::certificate::Certificate;
use chancery_smime::decrypt::{
    Candidate, DecryptError, Decrypting, Finished, KeyRequest, Opened, Output, Progress, RsaScheme, TokenOperation,
};
use chancery_smime::limits::Limits;
use p256::pkcs8::DecodePrivateKey;
use rsa::{Oaep, Pkcs1v15Encrypt, RsaPrivateKey};
use zeroize::Zeroizing;

use crate::test_rng::TestRng;

/// One pair of the fixtures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(pub &'static str);

pub const RSA_ALICE: Pair = Pair("rsa-alice");
pub const RSA_BOB: Pair = Pair("rsa-bob");
pub const P256: Pair = Pair("p256");
pub const P384: Pair = Pair("p384");
pub const P521: Pair = Pair("p521");
pub const X25519: Pair = Pair("x25519");

impl Pair {
    pub fn certificate_path(self) -> String {
        format!("{}/tests/fixtures/encrypt/{}.pem", env!("CARGO_MANIFEST_DIR"), self.0)
    }

    pub fn key_path(self) -> String {
        format!("{}/tests/fixtures/encrypt/{}.key", env!("CARGO_MANIFEST_DIR"), self.0)
    }

    pub fn certificate(self) -> Certificate {
        Certificate::from_der(&pem(&self.certificate_path())).unwrap()
    }

    /// What the private key makes of the operation; nothing if it fails.
    pub fn operate(self, operation: &TokenOperation<'_>) -> Option<Vec<u8>> {
        let key = pem(&self.key_path());
        match operation {
            TokenOperation::Decrypt { scheme, ciphertext } => decrypt(&key, scheme, ciphertext),
            TokenOperation::Agree { peer_public_key } => Some(self.agree(&key, peer_public_key)),
        }
    }

    fn agree(self, key: &[u8], peer: &[u8]) -> Vec<u8> {
        match self {
            P256 => {
                let secret = p256::SecretKey::from_pkcs8_der(key).unwrap();
                let peer = p256::PublicKey::from_sec1_bytes(peer).unwrap();
                p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine())
                    .raw_secret_bytes()
                    .to_vec()
            }
            P384 => {
                let secret = p384::SecretKey::from_pkcs8_der(key).unwrap();
                let peer = p384::PublicKey::from_sec1_bytes(peer).unwrap();
                p384::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine())
                    .raw_secret_bytes()
                    .to_vec()
            }
            P521 => {
                let secret = p521::SecretKey::from_pkcs8_der(key).unwrap();
                let peer = p521::PublicKey::from_sec1_bytes(peer).unwrap();
                p521::ecdh::diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine())
                    .raw_secret_bytes()
                    .to_vec()
            }
            // The private key is the end of its PKCS #8 structure.
            _ => x25519_dalek::x25519(key[key.len() - 32..].try_into().unwrap(), peer.try_into().unwrap()).to_vec(),
        }
    }
}

fn pem(path: &str) -> Vec<u8> {
    der::pem::decode_vec(&std::fs::read(path).unwrap()).unwrap().1
}

fn decrypt(key: &[u8], scheme: &RsaScheme, ciphertext: &[u8]) -> Option<Vec<u8>> {
    let key = RsaPrivateKey::from_pkcs8_der(key).unwrap();
    match scheme {
        RsaScheme::Pkcs1 => key.decrypt(Pkcs1v15Encrypt, ciphertext).ok(),
        RsaScheme::Oaep {
            digest,
            mgf1_digest,
            label,
        } => {
            macro_rules! oaep {
                ($digest:ty) => {
                    match mgf1_digest {
                        DigestAlgorithm::Sha1 => oaep!($digest, sha1::Sha1),
                        DigestAlgorithm::Sha256 => oaep!($digest, sha2::Sha256),
                        DigestAlgorithm::Sha384 => oaep!($digest, sha2::Sha384),
                        DigestAlgorithm::Sha512 => oaep!($digest, sha2::Sha512),
                    }
                };
                ($digest:ty, $mgf1:ty) => {
                    key.decrypt(
                        Oaep::<$digest, $mgf1>::new_with_mgf_hash_and_label(label.as_slice()),
                        ciphertext,
                    )
                    .ok()
                };
            }
            match digest {
                DigestAlgorithm::Sha1 => oaep!(sha1::Sha1),
                DigestAlgorithm::Sha256 => oaep!(sha2::Sha256),
                DigestAlgorithm::Sha384 => oaep!(sha2::Sha384),
                DigestAlgorithm::Sha512 => oaep!(sha2::Sha512),
            }
        }
    }
}

/// A message that was opened.
#[derive(Debug)]
pub struct OpenedMessage {
    pub plaintext: Vec<u8>,
    pub opened: Opened,
    pub operation: String,
}

/// Opens a message as the holder of the pair, giving it in pieces of these lengths, over and over.
///
/// If no recipient matches, an operation that failed is answered.
pub fn open(message: &[u8], pair: Pair, pieces: &[usize]) -> Result<OpenedMessage, DecryptError> {
    open_with(message, pieces, |request, rng| {
        let certificate = pair.certificate();
        let index = request
            .candidates
            .iter()
            .position(|candidate| candidate.matches(&certificate));
        let secret = index.and_then(|index| pair.operate(&request.candidates[index].operation()));
        request.content_key(index.unwrap_or(usize::MAX), secret.map(Zeroizing::new), rng)
    })
}

/// Opens a message; `answer` gives the key. Checks on the way that AES-GCM releases nothing before the tag was checked.
pub fn open_with(
    message: &[u8],
    pieces: &[usize],
    answer: impl Fn(&KeyRequest, &mut TestRng) -> chancery_smime::decrypt::ContentKey,
) -> Result<OpenedMessage, DecryptError> {
    let mut rng = TestRng::new(message.len() as u64);
    let mut decrypting = Decrypting::begin(Limits::default());
    let mut out = Output::default();
    let (mut plaintext, mut held, mut authenticated, mut operation) = (Vec::new(), Vec::new(), false, String::new());
    let mut rest = message;
    for length in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*length).min(rest.len()));
        rest = later;
        if let Progress::NeedsKey(request) = decrypting.push(piece, &mut out)? {
            authenticated = request.content_encryption.is_authenticated();
            operation = request.candidates.iter().map(describe).collect::<Vec<_>>().join(" ");
            decrypting.answer(answer(&request, &mut rng), &mut out)?;
        }
        plaintext.append(&mut out.plaintext);
        held.append(&mut out.held);
        assert!(
            !authenticated || plaintext.is_empty(),
            "plaintext came out before the tag was checked"
        );
    }
    let finished = decrypting.finish(&mut out);
    if finished.is_err() && authenticated {
        assert!(out.plaintext.is_empty(), "plaintext came out although the tag is wrong");
    }
    let opened = match finished? {
        Finished::Done(opened) => {
            plaintext.append(&mut out.plaintext);
            opened
        }
        Finished::Release(mut release) => {
            plaintext.append(&mut out.plaintext);
            held.append(&mut out.held);
            for piece in held.chunks(1000) {
                release.push(piece, &mut plaintext)?;
            }
            release.finish()
        }
    };
    Ok(OpenedMessage {
        plaintext,
        opened,
        operation,
    })
}

fn describe(candidate: &Candidate) -> String {
    match candidate.operation() {
        TokenOperation::Decrypt {
            scheme:
                RsaScheme::Oaep {
                    digest,
                    mgf1_digest,
                    label,
                },
            ..
        } => {
            format!("OAEP({digest},{mgf1_digest},{})", label.len())
        }
        _ => candidate.key_management().to_string(),
    }
}
