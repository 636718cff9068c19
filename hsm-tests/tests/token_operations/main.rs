//! Every operation of a token's keys, on SoftHSM, judged by OpenSSL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod agree;
mod decrypt;
mod sign;

use std::{fs, path::PathBuf, process::Command};

use anyhow::Result;
use chancery_token::{DecryptScheme, Digest, Dispatch, SignInput, SignMechanism, TokenError, TokenHandle};
use hsm_tests::{
    command::run,
    softhsm::{Curve, SoftHsm, Usage, in_child, serve},
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

const DIGESTS: [(Digest, &str); 3] = [
    (Digest::Sha256, "sha256"),
    (Digest::Sha384, "sha384"),
    (Digest::Sha512, "sha512"),
];

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    let token = softhsm.init_token("ops", "123456")?;
    softhsm.generate_rsa(&token, "rsa", &[1], 2048, Usage::Both)?;
    softhsm.generate_ec(&token, "p256", &[2], Curve::P256, Usage::Both)?;
    softhsm.generate_ec(&token, "p384", &[3], Curve::P384, Usage::Both)?;
    softhsm.generate_ec(&token, "p521", &[4], Curve::P521, Usage::Both)?;
    softhsm.generate_ed25519(&token, "ed25519", &[5], Usage::Sign)?;
    softhsm.generate_x25519(&token, "x25519", &[6], Usage::Decrypt)?;
    softhsm.generate_rsa(&token, "careful", &[7], 2048, Usage::AlwaysAuthenticate)?;
    Ok(())
}

/// Runs `body` with a token of all kinds of keys.
fn with_token<F: Future<Output = Result<()>>>(test: &str, body: impl FnOnce(Bench) -> F) {
    in_child(test, prepare, |softhsm| {
        let tokens = serve::start(softhsm, vec![serve::config(&softhsm.token("ops")?)])?;
        let token = tokens.handles()[0].clone();
        serve::block_on(async {
            serve::ready(&token).await?;
            body(Bench {
                token,
                directory: softhsm.directory().to_owned(),
            })
            .await?;
            tokens.shutdown().await;
            Ok(())
        })?
    })
    .unwrap();
}

#[derive(Clone)]
struct Bench {
    token: TokenHandle,
    directory: PathBuf,
}

impl Bench {
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.directory.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn public(&self, label: &str) -> String {
        let key = serve::key(&self.token, label).unwrap();
        self.file("public.der", &self.token.catalogue().lookup(key).unwrap().spki_der)
    }

    async fn sign(&self, label: &str, mechanism: SignMechanism, input: SignInput) -> Result<Vec<u8>, TokenError> {
        self.token
            .sign(
                serve::key(&self.token, label).unwrap(),
                mechanism,
                input,
                Dispatch::default(),
            )
            .await
    }

    async fn decrypt(&self, label: &str, scheme: DecryptScheme, ciphertext: &[u8]) -> Result<Vec<u8>, TokenError> {
        let key = serve::key(&self.token, label).unwrap();
        let plain = self.token.decrypt(key, scheme, ciphertext, Dispatch::default()).await?;
        Ok(plain.to_vec())
    }

    /// `openssl pkeyutl -verify` over a digest.
    fn verify(&self, label: &str, digest: &[u8], signature: &[u8], options: &[&str]) -> Result<()> {
        let public = self.public(label);
        let (digest, signature) = (self.file("digest", digest), self.file("signature", signature));
        let mut arguments = vec!["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", &public];
        arguments.extend(["-in", &digest, "-sigfile", &signature]);
        for option in options {
            arguments.extend(if option.starts_with('-') {
                vec![*option]
            } else {
                vec!["-pkeyopt", *option]
            });
        }
        openssl(&arguments).map(drop)
    }

    fn encrypt(&self, label: &str, plain: &[u8], options: &[&str]) -> Vec<u8> {
        let (public, plain) = (self.public(label), self.file("plain", plain));
        let mut arguments = vec![
            "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", &public, "-in", &plain,
        ];
        arguments.extend(options.iter().flat_map(|option| ["-pkeyopt", *option]));
        openssl(&arguments).unwrap()
    }
}

fn openssl(arguments: &[&str]) -> Result<Vec<u8>> {
    run(Command::new("openssl").args(arguments), b"")?.success()
}

fn hash(digest: Digest, data: &[u8]) -> Vec<u8> {
    match digest {
        Digest::Sha256 => Sha256::digest(data).to_vec(),
        Digest::Sha384 => Sha384::digest(data).to_vec(),
        _ => Sha512::digest(data).to_vec(),
    }
}

#[test]
fn a_key_does_only_what_its_algorithm_and_attributes_allow() {
    with_token(
        "a_key_does_only_what_its_algorithm_and_attributes_allow",
        |bench| async move {
            let input = || SignInput::Digest(vec![0; 32]);
            let error = bench
                .sign("p256", SignMechanism::RsaPkcs1(Digest::Sha256), input())
                .await
                .unwrap_err();
            assert!(matches!(error, TokenError::MechanismUnsupported { .. }), "{error}");
            let error = bench
                .sign("rsa", SignMechanism::Ecdsa(Digest::Sha256), input())
                .await
                .unwrap_err();
            assert!(matches!(error, TokenError::MechanismUnsupported { .. }), "{error}");
            let data = SignInput::Data(vec![]);
            let error = bench.sign("x25519", SignMechanism::Ed25519, data).await.unwrap_err();
            assert!(matches!(error, TokenError::MechanismUnsupported { .. }), "{error}");
            let key = serve::key(&bench.token, "ed25519")?;
            let error = bench
                .token
                .agree(key, vec![9; 32], Dispatch::default())
                .await
                .unwrap_err();
            assert!(matches!(error, TokenError::MechanismUnsupported { .. }), "{error}");
            let unknown = chancery_token::KeyId::from_bytes([7; 32]);
            let mechanism = SignMechanism::Ecdsa(Digest::Sha256);
            let error = bench
                .token
                .sign(unknown, mechanism, input(), Dispatch::default())
                .await
                .unwrap_err();
            assert_eq!(
                error,
                TokenError::KeyNotFound {
                    token: "ops".into(),
                    key: unknown
                }
            );
            Ok(())
        },
    );
}

#[test]
fn a_key_that_wants_the_pin_each_time_gets_it_each_time() {
    with_token(
        "a_key_that_wants_the_pin_each_time_gets_it_each_time",
        |bench| async move {
            let key = serve::key(&bench.token, "careful")?;
            assert!(bench.token.catalogue().lookup(key).unwrap().always_authenticate);
            let value = hash(Digest::Sha256, b"message");
            let mut jobs = tokio::task::JoinSet::new();
            for label in ["careful", "rsa", "careful", "p256", "careful", "careful"] {
                let (bench, value) = (bench.clone(), value.clone());
                let mechanism = match label {
                    "p256" => SignMechanism::Ecdsa(Digest::Sha256),
                    _ => SignMechanism::RsaPkcs1(Digest::Sha256),
                };
                jobs.spawn(async move { (label, bench.sign(label, mechanism, SignInput::Digest(value)).await) });
            }
            while let Some(done) = jobs.join_next().await {
                let (label, signature) = done?;
                let options: &[&str] = if label == "p256" { &[] } else { &["digest:sha256"] };
                bench.verify(label, &value, &signature?, options)?;
            }
            let ciphertext = bench.encrypt("careful", b"key", &["rsa_padding_mode:pkcs1"]);
            assert_eq!(
                bench.decrypt("careful", DecryptScheme::RsaPkcs1, &ciphertext).await?,
                b"key"
            );
            let ciphertext = bench.encrypt("careful", b"key", &["rsa_padding_mode:oaep", "rsa_oaep_md:sha256"]);
            let scheme = DecryptScheme::RsaOaep {
                digest: Digest::Sha256,
                mgf1: Digest::Sha256,
                label: vec![],
            };
            assert_eq!(bench.decrypt("careful", scheme, &ciphertext).await?, b"key");
            Ok(())
        },
    );
}
