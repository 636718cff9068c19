//! The people that the tests write mail between, with fixed keys from `fixtures/people` so that no test waits for a prime.
//!
//! The keys are public and for tests only; `fixtures/people/make.sh` makes them anew. Certificates chain to
//! [`root_certificate`] through [`intermediate_certificate`], and do not expire.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use der::{Document, Encode as _, SecretDocument};
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;

use crate::softhsm::Usage;

/// Somebody with a mailbox and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    /// RSA-2048, a key pair each for signing and encryption.
    Alice,
    /// RSA-3072, two pairs.
    Bob,
    /// P-256, two pairs.
    Carol,
    /// P-384, two pairs.
    Dave,
    /// Ed25519 for signing, X25519 for encryption.
    Erin,
    /// One RSA-2048 pair for both.
    Frank,
    /// P-521, two pairs.
    Grace,
}

impl Person {
    /// Everybody.
    pub const ALL: [Self; 7] = [
        Self::Alice,
        Self::Bob,
        Self::Carol,
        Self::Dave,
        Self::Erin,
        Self::Frank,
        Self::Grace,
    ];

    /// Everybody whose keys OpenSSL 3.0 can use in CMS, which knows neither Ed25519 nor X25519 there.
    pub const OPENSSL: [Self; 6] = [
        Self::Alice,
        Self::Bob,
        Self::Carol,
        Self::Dave,
        Self::Frank,
        Self::Grace,
    ];

    /// Those with RSA keys.
    pub const RSA: [Self; 3] = [Self::Alice, Self::Bob, Self::Frank];

    /// Those with keys on curves that OpenSSL can use in CMS.
    pub const EC: [Self; 3] = [Self::Carol, Self::Dave, Self::Grace];

    /// The local part of the address, and the name of the fixtures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Carol => "carol",
            Self::Dave => "dave",
            Self::Erin => "erin",
            Self::Frank => "frank",
            Self::Grace => "grace",
        }
    }

    /// The mailbox, `NAME@example.org`.
    #[must_use]
    pub fn address(self) -> String {
        format!("{}@example.org", self.name())
    }

    /// What the daemon calls it: `identities/NAME@example.org`.
    #[must_use]
    pub fn identity(self) -> String {
        format!("identities/{}", self.address())
    }

    /// The pair that signs.
    #[must_use]
    pub fn signing(self) -> KeyPair {
        match self {
            Self::Frank => self.pair("both", Usage::Both),
            _ => self.pair("sign", Usage::Sign),
        }
    }

    /// The pair that decrypts.
    #[must_use]
    pub fn encryption(self) -> KeyPair {
        match self {
            Self::Frank => self.pair("both", Usage::Both),
            _ => self.pair("encrypt", Usage::Decrypt),
        }
    }

    /// Every pair once.
    #[must_use]
    pub fn pairs(self) -> Vec<KeyPair> {
        let mut pairs = vec![self.signing(), self.encryption()];
        pairs.dedup();
        pairs
    }

    fn pair(self, which: &str, usage: Usage) -> KeyPair {
        KeyPair {
            name: format!("{}-{which}", self.name()),
            usage,
        }
    }
}

/// A private key and its certificate, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    name: String,
    usage: Usage,
}

impl KeyPair {
    /// Such as `alice-sign`; also its CKA_LABEL when it is on a token.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may do on a token.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// PEM PKCS#8 private key.
    #[must_use]
    pub fn private_key_file(&self) -> PathBuf {
        fixture(&format!("{}.key", self.name))
    }

    /// PEM certificate.
    #[must_use]
    pub fn certificate_file(&self) -> PathBuf {
        fixture(&format!("{}.pem", self.name))
    }

    /// DER PKCS#8 private key.
    pub fn pkcs8(&self) -> Result<SecretDocument> {
        let file = self.private_key_file();
        let pem = read(&file)?;
        let (label, key) = SecretDocument::from_pem(&pem).with_context(|| file.display().to_string())?;
        ensure!(label == "PRIVATE KEY", "{}: {label}", file.display());
        Ok(key)
    }

    /// DER certificate.
    pub fn certificate(&self) -> Result<Vec<u8>> {
        certificate(&self.certificate_file())
    }

    /// DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Result<Vec<u8>> {
        let certificate: Certificate = der::Decode::from_der(&self.certificate()?)?;
        Ok(certificate.tbs_certificate().subject_public_key_info().to_der()?)
    }

    /// What the daemon calls it: `keys/{SHA-256 of the SubjectPublicKeyInfo}`.
    pub fn key(&self) -> Result<String> {
        let mut name = String::from("keys/");
        for byte in Sha256::digest(self.spki()?) {
            write!(name, "{byte:02x}")?;
        }
        Ok(name)
    }
}

/// PEM file of the certificate that everybody's chain ends in.
#[must_use]
pub fn root_certificate() -> PathBuf {
    fixture("root.pem")
}

/// PEM file of the certificate that everybody's certificates are issued by.
#[must_use]
pub fn intermediate_certificate() -> PathBuf {
    fixture("intermediate.pem")
}

fn certificate(file: &Path) -> Result<Vec<u8>> {
    let pem = read(file)?;
    let (label, certificate) = Document::from_pem(&pem).with_context(|| file.display().to_string())?;
    ensure!(label == "CERTIFICATE", "{}: {label}", file.display());
    Ok(certificate.into_vec())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// The directory of everybody's keys and certificates, for what is not written in Rust.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/people")
}

fn fixture(name: &str) -> PathBuf {
    directory().join(name)
}
