//! OpenSSL on the other side of single keys: verifies, encrypts and agrees with a certificate, and knows nothing of tokens.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use chancery_proto::v1::{DigestAlgorithm, SignatureAlgorithm};
use tempfile::TempDir;

use crate::{command::run, people::KeyPair};

/// The name of the digest that an algorithm is about; none for Ed25519.
pub(super) fn digest_of(algorithm: SignatureAlgorithm) -> Option<&'static str> {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 | SignatureAlgorithm::RsaPssSha256 | SignatureAlgorithm::EcdsaSha256 => {
            Some("sha256")
        }
        SignatureAlgorithm::RsaPkcs1Sha384 | SignatureAlgorithm::RsaPssSha384 | SignatureAlgorithm::EcdsaSha384 => {
            Some("sha384")
        }
        SignatureAlgorithm::RsaPkcs1Sha512 | SignatureAlgorithm::RsaPssSha512 | SignatureAlgorithm::EcdsaSha512 => {
            Some("sha512")
        }
        SignatureAlgorithm::Ed25519 | SignatureAlgorithm::Unspecified => None,
    }
}

/// The digest of some data.
pub(super) fn digest(name: &str, data: &[u8]) -> Result<Vec<u8>> {
    run(
        Command::new("openssl").args(["dgst", "-binary", &format!("-{name}")]),
        data,
    )?
    .success()
}

/// An error if this is not the key's signature over the data.
pub(super) fn verify(pair: &KeyPair, algorithm: SignatureAlgorithm, data: &[u8], signature: &[u8]) -> Result<()> {
    let files = Files::new()?;
    let mut command = pkeyutl("-verify", pair);
    command.arg("-sigfile").arg(files.write("signature", signature)?);
    match digest_of(algorithm) {
        Some(name) => {
            command.arg("-in").arg(files.write("digest", &digest(name, data)?)?);
            command.args(["-pkeyopt", &format!("digest:{name}")]);
        }
        None => {
            command.arg("-rawin").arg("-in").arg(files.write("data", data)?);
        }
    }
    if matches!(
        algorithm,
        SignatureAlgorithm::RsaPssSha256 | SignatureAlgorithm::RsaPssSha384 | SignatureAlgorithm::RsaPssSha512
    ) {
        command.args(["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]);
    }
    run(&mut command, b"")?
        .success()
        .with_context(|| format!("{} {algorithm:?}", pair.name()))?;
    Ok(())
}

/// Encrypts to an RSA key by v1.5.
pub(super) fn encrypt_pkcs1(pair: &KeyPair, secret: &[u8]) -> Result<Vec<u8>> {
    run(&mut pkeyutl("-encrypt", pair), secret)?.success()
}

/// Encrypts to an RSA key by OAEP, one digest for the label and the mask.
pub(super) fn encrypt_oaep(pair: &KeyPair, digest: DigestAlgorithm, label: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
    let name = match digest {
        DigestAlgorithm::Sha1 => "sha1",
        DigestAlgorithm::Sha256 => "sha256",
        DigestAlgorithm::Sha384 => "sha384",
        DigestAlgorithm::Sha512 => "sha512",
        DigestAlgorithm::Unspecified => bail!("OAEP needs a digest"),
    };
    let mut command = pkeyutl("-encrypt", pair);
    command.args(["-pkeyopt", "rsa_padding_mode:oaep"]);
    command.args(["-pkeyopt", &format!("rsa_oaep_md:{name}")]);
    command.args(["-pkeyopt", &format!("rsa_mgf1_md:{name}")]);
    if !label.is_empty() {
        let hex: String = label.iter().map(|byte| format!("{byte:02x}")).collect();
        command.args(["-pkeyopt", &format!("rsa_oaep_label:{hex}")]);
    }
    run(&mut command, secret)?.success()
}

/// Somebody's ephemeral key on the curve of a key: the public point, and the secret that both come to.
pub(super) struct Agreement {
    pub(super) point: Vec<u8>,
    pub(super) secret: Vec<u8>,
}

/// Agrees with a key from the other side.
pub(super) fn agree(pair: &KeyPair) -> Result<Agreement> {
    let files = Files::new()?;
    let theirs = pair.spki()?;
    let their_key = files.write("theirs", &theirs)?;
    let pem = run(
        Command::new("openssl")
            .args(["pkey", "-pubin", "-inform", "DER", "-in"])
            .arg(&their_key),
        b"",
    )?
    .success()?;
    let their_key = files.write("theirs.pem", &pem)?;
    // The parameters of their key are ours.
    let ours = files.path("ours.pem");
    let mut generate = Command::new("openssl");
    generate.arg("genpkey").arg("-out").arg(&ours);
    // An X25519 key is 44 bytes and has none; the points on the curves are 65, 97 and 133 bytes.
    let (curve, point_len) = match theirs.len() {
        44 => (None, 32),
        91 => (Some("P-256"), 65),
        120 => (Some("P-384"), 97),
        158 => (Some("P-521"), 133),
        other => bail!("no curve has a public key of {other} bytes"),
    };
    match curve {
        None => generate.args(["-algorithm", "X25519"]),
        Some(curve) => generate.args(["-algorithm", "EC", "-pkeyopt", &format!("ec_paramgen_curve:{curve}")]),
    };
    run(&mut generate, b"")?.success()?;
    let mut public = Command::new("openssl");
    public.args(["pkey", "-pubout", "-outform", "DER", "-in"]).arg(&ours);
    let public = run(&mut public, b"")?.success()?;
    let mut derive = Command::new("openssl");
    derive.args(["pkeyutl", "-derive", "-inkey"]).arg(&ours);
    derive.arg("-peerkey").arg(their_key);
    Ok(Agreement {
        point: public
            .get(public.len().saturating_sub(point_len)..)
            .unwrap_or_default()
            .to_vec(),
        secret: run(&mut derive, b"")?.success()?,
    })
}

fn pkeyutl(operation: &str, pair: &KeyPair) -> Command {
    let mut command = Command::new("openssl");
    command.args(["pkeyutl", operation, "-certin", "-inkey"]);
    command.arg(pair.certificate_file());
    command
}

/// Files for one run of a program that reads more than its standard input.
struct Files(TempDir);

impl Files {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, content)?;
        Ok(path)
    }
}
