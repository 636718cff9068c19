//! Every operation of a token's keys, on SoftHSM, judged by OpenSSL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

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
fn openssl_accepts_rsa_signatures_of_both_paddings() {
    with_token("openssl_accepts_rsa_signatures_of_both_paddings", |bench| async move {
        for (digest, name) in DIGESTS {
            let value = hash(digest, b"message");
            let option = format!("digest:{name}");
            let signature = bench
                .sign("rsa", SignMechanism::RsaPkcs1(digest), SignInput::Digest(value.clone()))
                .await?;
            bench.verify("rsa", &value, &signature, &[&option])?;
            // Hashing on this side comes to the same.
            let again = bench
                .sign(
                    "rsa",
                    SignMechanism::RsaPkcs1(digest),
                    SignInput::Data(b"message".to_vec()),
                )
                .await?;
            assert_eq!(again, signature);
            let signature = bench
                .sign("rsa", SignMechanism::RsaPss(digest), SignInput::Digest(value.clone()))
                .await?;
            let pss = [option.as_str(), "rsa_padding_mode:pss", "rsa_pss_saltlen:digest"];
            bench.verify("rsa", &value, &signature, &pss)?;
            let other = hash(digest, b"another message");
            bench.verify("rsa", &other, &signature, &pss).unwrap_err();
        }
        Ok(())
    });
}

#[test]
fn openssl_accepts_ecdsa_signatures_with_every_digest_on_every_curve() {
    with_token(
        "openssl_accepts_ecdsa_signatures_with_every_digest_on_every_curve",
        |bench| async move {
            for label in ["p256", "p384", "p521"] {
                for (digest, _) in DIGESTS {
                    let value = hash(digest, b"message");
                    for _ in 0..4 {
                        let input = SignInput::Digest(value.clone());
                        let signature = bench.sign(label, SignMechanism::Ecdsa(digest), input).await?;
                        bench.verify(label, &value, &signature, &[])?;
                    }
                }
            }
            Ok(())
        },
    );
}

#[test]
fn openssl_accepts_ed25519_signatures() {
    with_token("openssl_accepts_ed25519_signatures", |bench| async move {
        let data = SignInput::Data(b"message".to_vec());
        let signature = bench.sign("ed25519", SignMechanism::Ed25519, data).await?;
        bench.verify("ed25519", b"message", &signature, &["-rawin"])?;
        bench
            .verify("ed25519", b"massage", &signature, &["-rawin"])
            .unwrap_err();
        Ok(())
    });
}

#[test]
fn what_openssl_encrypted_with_rsa_is_decrypted() {
    with_token("what_openssl_encrypted_with_rsa_is_decrypted", |bench| async move {
        let plain = b"0123456789abcdef0123456789abcdef";
        let ciphertext = bench.encrypt("rsa", plain, &["rsa_padding_mode:pkcs1"]);
        assert_eq!(bench.decrypt("rsa", DecryptScheme::RsaPkcs1, &ciphertext).await?, plain);
        let digests = [(Digest::Sha1, "sha1"), DIGESTS[0], DIGESTS[1], DIGESTS[2]];
        for (digest, name) in digests {
            for (mgf1, mgf1_name) in digests {
                for label in [&b""[..], b"label"] {
                    let mut options = vec![
                        "rsa_padding_mode:oaep".to_owned(),
                        format!("rsa_oaep_md:{name}"),
                        format!("rsa_mgf1_md:{mgf1_name}"),
                    ];
                    if !label.is_empty() {
                        options.push("rsa_oaep_label:6c6162656c".to_owned());
                    }
                    let options: Vec<&str> = options.iter().map(String::as_str).collect();
                    let ciphertext = bench.encrypt("rsa", plain, &options);
                    let scheme = DecryptScheme::RsaOaep {
                        digest,
                        mgf1,
                        label: label.to_vec(),
                    };
                    assert_eq!(bench.decrypt("rsa", scheme, &ciphertext).await?, plain, "{options:?}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn whatever_is_wrong_with_a_ciphertext_gives_one_error() {
    with_token(
        "whatever_is_wrong_with_a_ciphertext_gives_one_error",
        |bench| async move {
            let failed = TokenError::DecryptionFailed { token: "ops".into() };
            let oaep = |digest| DecryptScheme::RsaOaep {
                digest,
                mgf1: digest,
                label: vec![],
            };
            let schemes = [
                DecryptScheme::RsaPkcs1,
                oaep(Digest::Sha1),
                oaep(Digest::Sha256),
                oaep(Digest::Sha512),
            ];
            for scheme in schemes {
                for filler in [0x11, 0x42, 0x7f] {
                    let mut ciphertext = vec![filler; 256];
                    ciphertext[0] = 0;
                    let error = bench.decrypt("rsa", scheme.clone(), &ciphertext).await.unwrap_err();
                    assert_eq!(error, failed, "{scheme:?}");
                }
                // Of the right length, but not smaller than the modulus.
                let error = bench.decrypt("rsa", scheme.clone(), &[0xff; 256]).await.unwrap_err();
                assert_eq!(error, failed, "{scheme:?}");
            }
            let error = bench
                .decrypt("rsa", DecryptScheme::RsaPkcs1, &[1; 255])
                .await
                .unwrap_err();
            assert!(matches!(error, TokenError::InputRefused { .. }));
            // The token serves on.
            let ciphertext = bench.encrypt("rsa", b"key", &["rsa_padding_mode:pkcs1"]);
            assert_eq!(
                bench.decrypt("rsa", DecryptScheme::RsaPkcs1, &ciphertext).await?,
                b"key"
            );
            assert_eq!(bench.token.status().generation, 1);
            Ok(())
        },
    );
}

#[test]
fn both_sides_of_a_key_agreement_get_the_same_secret() {
    with_token(
        "both_sides_of_a_key_agreement_get_the_same_secret",
        |bench| async move {
            for (label, algorithm, point_len, secret_len) in [
                ("p256", "EC:P-256", 65, 32),
                ("p384", "EC:P-384", 97, 48),
                ("p521", "EC:P-521", 133, 66),
                ("x25519", "X25519", 32, 32),
            ] {
                let peer = bench.directory.join("peer.pem").to_str().unwrap().to_owned();
                match algorithm.strip_prefix("EC:") {
                    Some(curve) => {
                        let option = format!("ec_paramgen_curve:{curve}");
                        openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", &option, "-out", &peer])?;
                    }
                    None => drop(openssl(&["genpkey", "-algorithm", algorithm, "-out", &peer])?),
                }
                let peer_spki = openssl(&["pkey", "-in", &peer, "-pubout", "-outform", "DER"])?;
                let point = peer_spki[peer_spki.len() - point_len..].to_vec();
                let key = serve::key(&bench.token, label)?;
                let secret = bench.token.agree(key, point, Dispatch::default()).await?;
                let public = bench.public(label);
                let theirs = openssl(&[
                    "pkeyutl",
                    "-derive",
                    "-inkey",
                    &peer,
                    "-peerkey",
                    &public,
                    "-peerform",
                    "DER",
                ])?;
                assert_eq!(*secret, theirs, "{label}");
                assert_eq!(secret.len(), secret_len);
            }
            Ok(())
        },
    );
}

#[test]
fn points_that_are_no_public_keys_are_refused() {
    with_token("points_that_are_no_public_keys_are_refused", |bench| async move {
        let off_curve = [&[4][..], &[1; 64]].concat();
        let short = vec![4; 64];
        let infinity = vec![0];
        for (label, peer) in [
            ("p256", off_curve),
            ("p256", short),
            ("p256", infinity),
            ("x25519", vec![0; 32]),
        ] {
            let key = serve::key(&bench.token, label)?;
            let error = bench
                .token
                .agree(key, peer.clone(), Dispatch::default())
                .await
                .unwrap_err();
            // SoftHSM itself refuses the X25519 point of small order, with an error that says nothing.
            let expected = matches!(error, TokenError::InputRefused { .. })
                || (label == "x25519" && matches!(error, TokenError::Ckr { .. }));
            assert!(expected, "{label}: {error}");
        }
        Ok(())
    });
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
