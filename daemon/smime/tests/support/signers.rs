//! The keys and certificates of `tests/fixtures/sign`, signing like a token does, and messages signed with them.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use chancery_smime::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use chancery_smime::certificate::Certificate;
use chancery_smime::limits::Limits;
use chancery_smime::report::SignedReport;
use chancery_smime::sign::{Form, Options, SignerOptions, Signing, ToBeSigned};
use chancery_smime::verify::{self, Content, VerifyError, Verifying};
use p256::pkcs8::DecodePrivateKey;
use rand_core::{TryCryptoRng, TryRng};
use rsa::traits::SignatureScheme;
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
use signature::Signer as _;
use signature::hazmat::PrehashSigner;

pub const SHA256: DigestAlgorithm = DigestAlgorithm::Sha256;
pub const SHA384: DigestAlgorithm = DigestAlgorithm::Sha384;
pub const SHA512: DigestAlgorithm = DigestAlgorithm::Sha512;

/// A Monday in 2027.
pub const SIGNING_TIME: Duration = Duration::from_secs(1_800_000_000);

/// Every kind of key with every signature algorithm that it is used with here.
pub const EVERY_ALGORITHM: [(&str, SignatureAlgorithm); 12] = [
    ("rsa", SignatureAlgorithm::RsaPkcs1(SHA256)),
    ("rsa", SignatureAlgorithm::RsaPkcs1(SHA384)),
    ("rsa", SignatureAlgorithm::RsaPkcs1(SHA512)),
    ("rsa", SignatureAlgorithm::RsaPss(SHA256)),
    ("rsa", SignatureAlgorithm::RsaPss(SHA512)),
    ("p256", SignatureAlgorithm::Ecdsa(SHA256)),
    ("p256", SignatureAlgorithm::Ecdsa(SHA512)),
    ("p384", SignatureAlgorithm::Ecdsa(SHA256)),
    ("p384", SignatureAlgorithm::Ecdsa(SHA384)),
    ("p521", SignatureAlgorithm::Ecdsa(SHA256)),
    ("p521", SignatureAlgorithm::Ecdsa(SHA512)),
    ("ed25519", SignatureAlgorithm::Ed25519),
];

pub const P256: (&str, SignatureAlgorithm) = ("p256", SignatureAlgorithm::Ecdsa(SHA256));
pub const MESSAGE: &str = "From: Alice <alice@example.org>\r\nSubject: Terms\r\nMIME-Version: 1.0\r\n\
                       Content-Type: text/plain; charset=utf-8\r\n\r\nWe agree.\r\n";
pub const FORMS: [Form; 2] = [Form::Clear, Form::Opaque];

pub fn path(file: &str) -> String {
    format!("{}/tests/fixtures/sign/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn pem(file: &str) -> Vec<u8> {
    let text = std::fs::read(path(file)).unwrap();
    der::pem::decode_vec(&text).unwrap().1
}

pub fn certificate(name: &str) -> Certificate {
    Certificate::from_der(&pem(&format!("{name}.pem"))).unwrap()
}

/// The signature that the key of `name` makes.
pub fn sign_with(name: &str, wanted: &ToBeSigned) -> Vec<u8> {
    let key = pem(&format!("{name}.key"));
    let digest = wanted.digest();
    let rsa = |padding: Pkcs1v15Sign| {
        RsaPrivateKey::from_pkcs8_der(&key)
            .unwrap()
            .sign(padding, &digest)
            .unwrap()
    };
    match (wanted.algorithm, name) {
        (SignatureAlgorithm::RsaPkcs1(SHA384), _) => rsa(Pkcs1v15Sign::new::<sha2::Sha384>()),
        (SignatureAlgorithm::RsaPkcs1(SHA512), _) => rsa(Pkcs1v15Sign::new::<sha2::Sha512>()),
        (SignatureAlgorithm::RsaPkcs1(_), _) => rsa(Pkcs1v15Sign::new::<sha2::Sha256>()),
        (SignatureAlgorithm::RsaPss(hash), _) => {
            let key = RsaPrivateKey::from_pkcs8_der(&key).unwrap();
            match hash {
                SHA384 => Pss::<sha2::Sha384>::new().sign(Some(&mut Counter(1)), &key, &digest),
                SHA512 => Pss::<sha2::Sha512>::new().sign(Some(&mut Counter(1)), &key, &digest),
                _ => Pss::<sha2::Sha256>::new().sign(Some(&mut Counter(1)), &key, &digest),
            }
            .unwrap()
        }
        (SignatureAlgorithm::Ecdsa(_), "p384") => {
            let key = p384::ecdsa::SigningKey::from_pkcs8_der(&key).unwrap();
            let signature: p384::ecdsa::Signature = key.sign_prehash(&padded(&digest, 48)).unwrap();
            signature.to_der().as_bytes().to_vec()
        }
        (SignatureAlgorithm::Ecdsa(_), "p521") => {
            let key = p521::ecdsa::SigningKey::from_pkcs8_der(&key).unwrap();
            let signature: p521::ecdsa::Signature = key.sign_prehash(&padded(&digest, 66)).unwrap();
            signature.to_der().as_bytes().to_vec()
        }
        (SignatureAlgorithm::Ecdsa(_), _) => {
            let key = p256::ecdsa::SigningKey::from_pkcs8_der(&key).unwrap();
            let signature: p256::ecdsa::Signature = key.sign_prehash(&digest).unwrap();
            signature.to_der().as_bytes().to_vec()
        }
        (SignatureAlgorithm::Ed25519, _) => {
            let secret: [u8; 32] = key[key.len() - 32..].try_into().unwrap();
            ed25519_dalek::SigningKey::from_bytes(&secret)
                .sign(&wanted.bytes)
                .to_bytes()
                .to_vec()
        }
    }
}

/// A digest shorter than the curve's order stands for the same number with zeros before it.
fn padded(digest: &[u8], length: usize) -> Vec<u8> {
    let zeros = vec![0; length.saturating_sub(digest.len())];
    [zeros, digest.to_vec()].concat()
}

pub fn signer(name: &str, algorithm: SignatureAlgorithm) -> SignerOptions {
    SignerOptions {
        certificate: certificate(name),
        algorithm,
        encryption_certificate: None,
    }
}

pub fn options(form: Form, signers: &[(&str, SignatureAlgorithm)]) -> Options {
    Options {
        form,
        signers: signers
            .iter()
            .map(|(name, algorithm)| signer(name, *algorithm))
            .collect(),
        certificates: vec![certificate("ca")],
        signing_time: SystemTime::UNIX_EPOCH + SIGNING_TIME,
        limits: Limits::default(),
    }
}

/// The whole of signing, with the message cut into pieces of `piece` bytes.
pub fn sign_as(options: Options, names: &[&str], message: &[u8], piece: usize) -> Vec<u8> {
    let mut signing = Signing::begin(options, &mut Counter(message.len() as u64)).unwrap();
    let mut out = Vec::new();
    for input in message.chunks(piece) {
        signing.push(input, &mut out).unwrap();
    }
    let (awaiting, wanted) = signing.end(&mut out).unwrap();
    let signatures = names
        .iter()
        .zip(&wanted)
        .map(|(name, wanted)| sign_with(name, wanted))
        .collect();
    awaiting.finish(signatures, &mut out).unwrap();
    out
}

pub fn sign(form: Form, signers: &[(&str, SignatureAlgorithm)], message: &[u8]) -> Vec<u8> {
    let names: Vec<_> = signers.iter().map(|(name, _)| *name).collect();
    sign_as(options(form, signers), &names, message, usize::MAX)
}

/// The whole of verifying: the report and the content.
pub fn verify_in_pieces(message: &[u8], piece: usize) -> Result<(SignedReport, Vec<u8>), VerifyError> {
    let options = verify::Options {
        content: Content::Emit,
        limits: Limits::default(),
    };
    let mut verifying = Verifying::begin(options);
    let mut out = Vec::new();
    for input in message.chunks(piece) {
        verifying.push(input, &mut out)?;
    }
    Ok((verifying.finish(&mut out)?, out))
}

pub fn verify(message: &[u8]) -> Result<SignedReport, VerifyError> {
    verify_in_pieces(message, usize::MAX).map(|(report, _)| report)
}

/// Numbers that are not random at all, which is all that boundaries and salts need in tests.
pub struct Counter(pub u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Ok(mixed ^ (mixed >> 27))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        for octet in octets {
            *octet = self.try_next_u64()?.to_le_bytes()[0];
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}
