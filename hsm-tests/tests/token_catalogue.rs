//! What is listed of a token: keys and their certificates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{path::Path, process::Command};

use anyhow::Result;
use chancery_token::{KeyAlgorithm, KeyEntry, KeyId, TokenHandle};
use hsm_tests::{
    command::run,
    softhsm::{Curve, SoftHsm, Usage, in_child, serve},
};

/// A certificate for any public key, by a throw-away authority.
fn certify(directory: &Path, spki: &[u8], key_usage: &str, days: &str) -> Result<Vec<u8>> {
    let file = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| run(Command::new("openssl").args(arguments), b"")?.success();
    std::fs::write(file("spki"), spki)?;
    std::fs::write(file("extensions"), format!("keyUsage={key_usage}\n"))?;
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        &file("ca.key"),
    ])?;
    openssl(&[
        "req",
        "-x509",
        "-key",
        &file("ca.key"),
        "-subj",
        "/CN=CA",
        "-out",
        &file("ca.pem"),
    ])?;
    openssl(&[
        "req",
        "-new",
        "-key",
        &file("ca.key"),
        "-subj",
        "/CN=Subject",
        "-out",
        &file("request"),
    ])?;
    openssl(&[
        "pkey",
        "-pubin",
        "-inform",
        "DER",
        "-in",
        &file("spki"),
        "-out",
        &file("spki.pem"),
    ])?;
    let mut arguments = vec!["x509", "-req", "-days", days, "-outform", "DER"];
    let paths = ["request", "ca.pem", "ca.key", "spki.pem", "extensions", "certificate"].map(file);
    let options = ["-in", "-CA", "-CAkey", "-force_pubkey", "-extfile", "-out"];
    arguments.extend(
        options
            .iter()
            .zip(&paths)
            .flat_map(|(option, path)| [*option, path.as_str()]),
    );
    openssl(&arguments)?;
    Ok(std::fs::read(file("certificate"))?)
}

fn entry(token: &TokenHandle, label: &str) -> KeyEntry {
    token
        .catalogue()
        .lookup(serve::key(token, label).unwrap())
        .unwrap()
        .clone()
}

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    let token = softhsm.init_token("list", "123456")?;
    let keep = |name: &str, spki: &[u8]| std::fs::write(softhsm.directory().join(name), spki);
    keep("rsa", &softhsm.generate_rsa(&token, "rsa", &[1], 2048, Usage::Both)?)?;
    keep(
        "p256",
        &softhsm.generate_ec(&token, "p256", &[2], Curve::P256, Usage::Both)?,
    )?;
    keep(
        "p384",
        &softhsm.generate_ec(&token, "p384", &[3], Curve::P384, Usage::Sign)?,
    )?;
    keep(
        "p521",
        &softhsm.generate_ec(&token, "p521", &[4], Curve::P521, Usage::Decrypt)?,
    )?;
    keep(
        "ed25519",
        &softhsm.generate_ed25519(&token, "ed25519", &[5], Usage::Both)?,
    )?;
    keep("x25519", &softhsm.generate_x25519(&token, "x25519", &[6], Usage::Both)?)?;
    Ok(())
}

#[test]
fn every_key_is_listed_with_its_public_half_and_what_it_can_do() {
    in_child(
        "every_key_is_listed_with_its_public_half_and_what_it_can_do",
        prepare,
        |softhsm| {
            let tokens = serve::start(softhsm, vec![serve::config(&softhsm.token("list")?)])?;
            let token = tokens.handles()[0].clone();
            serve::block_on(serve::ready(&token))??;
            for (label, algorithm, (signs, decrypts), id) in [
                ("rsa", KeyAlgorithm::Rsa { bits: 2048 }, (true, true), 1),
                ("p256", KeyAlgorithm::P256, (true, true), 2),
                ("p384", KeyAlgorithm::P384, (true, false), 3),
                ("p521", KeyAlgorithm::P521, (false, true), 4),
                ("ed25519", KeyAlgorithm::Ed25519, (true, false), 5),
                ("x25519", KeyAlgorithm::X25519, (false, true), 6),
            ] {
                let key = entry(&token, label);
                assert_eq!(key.spki_der, std::fs::read(softhsm.directory().join(label))?, "{label}");
                assert_eq!(
                    (key.algorithm, key.can_sign, key.can_decrypt, key.object_id),
                    (algorithm, signs, decrypts, vec![id]),
                    "{label}"
                );
                assert_eq!(key.id, KeyId::of_spki(&key.spki_der));
            }
            assert_eq!(token.status().key_count, 6);
            Ok(())
        },
    )
    .unwrap();
}

#[test]
fn certificates_on_the_token_and_beside_it_belong_to_their_keys() {
    let with_certificate = |softhsm: &SoftHsm| {
        prepare(softhsm)?;
        let spki = std::fs::read(softhsm.directory().join("rsa"))?;
        let der = certify(softhsm.directory(), &spki, "critical,digitalSignature", "30")?;
        std::fs::write(softhsm.directory().join("on-token"), &der)?;
        // Its CKA_ID is another's: the public key decides.
        softhsm.write_certificate(&softhsm.token("list")?, "certificate", &[9], &der)
    };
    let test = "certificates_on_the_token_and_beside_it_belong_to_their_keys";
    in_child(test, with_certificate, |softhsm| {
        let mut config = serve::config(&softhsm.token("list")?);
        let certify = |key: &str, key_usage: &str| -> Result<Vec<u8>> {
            let spki = std::fs::read(softhsm.directory().join(key))?;
            certify(softhsm.directory(), &spki, key_usage, "30")
        };
        let outside = certify("p256", "critical,keyAgreement")?;
        // What its keyUsage is worth is for others to say, and this one says nothing that can be read.
        let odd = certify("p384", "DER:05:00")?;
        config.certificates = vec![outside.clone(), b"garbage".to_vec(), odd.clone()];
        let tokens = serve::start(softhsm, vec![config])?;
        let token = tokens.handles()[0].clone();
        serve::block_on(async {
            serve::ready(&token).await?;
            let on_token = std::fs::read(softhsm.directory().join("on-token"))?;
            assert_eq!(entry(&token, "rsa").certificates, vec![on_token.clone()]);
            assert_eq!(entry(&token, "p256").certificates, vec![outside]);
            assert_eq!(entry(&token, "p384").certificates, vec![odd]);
            // Others in their place, one of them on the token already.
            token.set_certificates(vec![on_token.clone()]);
            serve::wait_for(&token, |_| entry(&token, "p256").certificates.is_empty()).await?;
            assert_eq!(entry(&token, "rsa").certificates, vec![on_token]);
            tokens.shutdown().await;
            Ok(())
        })?
    })
    .unwrap();
}

#[test]
fn an_rsa_key_needs_no_public_object_and_an_ec_key_finds_its_certificate() {
    let without_public = |softhsm: &SoftHsm| {
        prepare(softhsm)?;
        let token = softhsm.token("list")?;
        for id in [1, 2, 3] {
            softhsm.destroy(&token, &[id], "public")?;
        }
        let spki = std::fs::read(softhsm.directory().join("p256"))?;
        let der = certify(softhsm.directory(), &spki, "digitalSignature", "30")?;
        softhsm.write_certificate(&token, "certificate", &[2], &der)
    };
    let test = "an_rsa_key_needs_no_public_object_and_an_ec_key_finds_its_certificate";
    in_child(test, without_public, |softhsm| {
        let tokens = serve::start(softhsm, vec![serve::config(&softhsm.token("list")?)])?;
        let token = tokens.handles()[0].clone();
        serve::block_on(serve::ready(&token))??;
        for label in ["rsa", "p256"] {
            assert_eq!(
                entry(&token, label).spki_der,
                std::fs::read(softhsm.directory().join(label))?
            );
        }
        // Nothing says what the public half of this one is.
        assert!(serve::key(&token, "p384").is_err());
        Ok(())
    })
    .unwrap();
}
