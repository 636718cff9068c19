//! What reaches the module on the path of every operation, counted by a module in between.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::HashMap;

use anyhow::Result;
use chancery_token::{Digest, Dispatch, SignInput, SignMechanism, TokenHandle};
use hsm_tests::softhsm::{Curve, SoftHsm, Usage, fault::Faults, in_child, serve};

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    let token = softhsm.init_token("hot", "123456")?;
    softhsm.generate_rsa(&token, "rsa", &[1], 2048, Usage::Sign)?;
    softhsm.generate_ec(&token, "p256", &[2], Curve::P256, Usage::Both)?;
    softhsm.generate_ed25519(&token, "ed25519", &[3], Usage::Sign)?;
    Ok(())
}

async fn sign(token: &TokenHandle, label: &str) -> Result<Vec<u8>> {
    let (mechanism, input) = match label {
        "rsa" => (SignMechanism::RsaPkcs1(Digest::Sha256), SignInput::Digest(vec![7; 32])),
        "ed25519" => (SignMechanism::Ed25519, SignInput::Data(vec![7; 100])),
        _ => (SignMechanism::Ecdsa(Digest::Sha256), SignInput::Digest(vec![7; 32])),
    };
    Ok(token
        .sign(serve::key(token, label)?, mechanism, input, Dispatch::default())
        .await?)
}

/// The calls that `count` signatures with each key cause, once every worker has its session.
fn calls_of_signing(count: u64) -> Result<HashMap<&'static str, u64>> {
    let counts = Faults::open()?;
    let softhsm = SoftHsm::from_environment()?;
    let tokens = serve::start_faulty(vec![serve::config(&softhsm.token("hot")?)])?;
    let token = tokens.handles()[0].clone();
    serve::block_on(async {
        serve::ready(&token).await?;
        while token.status().sessions < 2 {
            tokio::try_join!(sign(&token, "rsa"), sign(&token, "rsa"), sign(&token, "rsa"))?;
        }
        let before: HashMap<_, _> = counts.all()?.into_iter().collect();
        for _ in 0..count {
            tokio::try_join!(sign(&token, "rsa"), sign(&token, "p256"), sign(&token, "ed25519"))?;
        }
        let after = counts.all()?;
        let difference = after
            .into_iter()
            .map(|(name, calls)| (name, calls - before.get(name).unwrap_or(&0)));
        Ok(difference.filter(|(_, calls)| *calls > 0).collect())
    })?
}

#[test]
fn a_signature_is_one_init_and_one_sign_and_nothing_else() {
    in_child("a_signature_is_one_init_and_one_sign_and_nothing_else", prepare, |_| {
        let mut calls = calls_of_signing(50)?;
        assert_eq!(calls.remove("C_SignInit"), Some(150));
        assert_eq!(calls.remove("C_Sign"), Some(150));
        // The anchor may have asked meanwhile whether the token is still there.
        calls.remove("C_GetTokenInfo");
        calls.remove("C_GetSessionInfo");
        assert_eq!(calls, HashMap::new());
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_agreement_makes_reads_and_destroys_one_secret() {
    in_child("an_agreement_makes_reads_and_destroys_one_secret", prepare, |softhsm| {
        let counts = Faults::open()?;
        let tokens = serve::start_faulty(vec![serve::config(&softhsm.token("hot")?)])?;
        let token = tokens.handles()[0].clone();
        serve::block_on(async {
            serve::ready(&token).await?;
            let key = serve::key(&token, "p256")?;
            let spki = token.catalogue().lookup(key).unwrap().spki_der.clone();
            let before = counts.of("C_GetAttributeValue")?;
            token.agree(key, &spki[spki.len() - 65..], Dispatch::default()).await?;
            assert_eq!(counts.of("C_DeriveKey")?, 1);
            assert_eq!(counts.of("C_GetAttributeValue")? - before, 1);
            assert_eq!(counts.of("C_DestroyObject")?, 1);
            Ok(())
        })?
    })
    .unwrap();
}

#[test]
fn starting_searches_each_class_once_and_logs_in_once() {
    in_child(
        "starting_searches_each_class_once_and_logs_in_once",
        prepare,
        |softhsm| {
            let counts = Faults::open()?;
            let tokens = serve::start_faulty(vec![serve::config(&softhsm.token("hot")?)])?;
            serve::block_on(serve::ready(&tokens.handles()[0]))??;
            assert_eq!(counts.of("C_FindObjectsInit")?, 3);
            assert_eq!(counts.of("C_Login")?, 1);
            Ok(())
        },
    )
    .unwrap();
}
