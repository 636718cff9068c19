//! What a token's answers must not give away: how a ciphertext was padded, and what the PIN is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::process::Command;

use anyhow::{Result, ensure};
use chancery_token::{DecryptScheme, Digest, Dispatch, SignInput, SignMechanism, TokenConfig, TokenError, TokenHandle};
use cryptoki_sys::{
    CKR_ARGUMENTS_BAD, CKR_DATA_INVALID, CKR_ENCRYPTED_DATA_INVALID, CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR,
    CKR_VENDOR_DEFINED,
};
use hsm_tests::softhsm::{Curve, SoftHsm, Usage, fault::Faults, in_child, serve};

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    let token = softhsm.init_token("oracle", "123456")?;
    softhsm.generate_rsa(&token, "rsa", &[1], 2048, Usage::Decrypt)?;
    softhsm.generate_ec(&token, "p256", &[2], Curve::P256, Usage::Sign)?;
    Ok(())
}

/// Runs `body` with a token behind the fault module that has one worker, so that a job is done with when the next begins.
fn with_token<F: Future<Output = Result<()>>>(test: &str, body: impl FnOnce(TokenHandle, Faults) -> F) {
    in_child(test, prepare, |softhsm| {
        let config = serve::config(&softhsm.token("oracle")?);
        let tokens = serve::start_faulty(vec![TokenConfig { sessions: 1, ..config }])?;
        serve::block_on(async {
            let token = tokens.handles()[0].clone();
            serve::ready(&token).await?;
            body(token, Faults::open()?).await
        })?
    })
    .unwrap();
}

async fn decrypt(token: &TokenHandle) -> Result<(), TokenError> {
    let key = serve::key(token, "rsa").unwrap();
    let mut ciphertext = vec![0x42; 256];
    ciphertext[0] = 0;
    let result = token.decrypt(key, DecryptScheme::RsaPkcs1, ciphertext, Dispatch::default());
    result.await.map(drop)
}

/// What `openssl pkeyutl` encrypts for the key with PKCS #1 v1.5.
fn encrypted(token: &TokenHandle) -> Result<Vec<u8>> {
    let key = serve::key(token, "rsa")?;
    let directory = tempfile::tempdir()?;
    let (public, plain) = (directory.path().join("public.der"), directory.path().join("plain"));
    std::fs::write(&public, &token.catalogue().lookup(key).unwrap().spki_der)?;
    std::fs::write(&plain, b"a content-encryption key")?;
    let output = Command::new("openssl")
        .args(["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey"])
        .arg(&public)
        .arg("-in")
        .arg(&plain)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

async fn sign(token: &TokenHandle) -> Result<(), TokenError> {
    let key = serve::key(token, "p256").unwrap();
    let input = SignInput::Digest(vec![7; 32]);
    let result = token.sign(key, SignMechanism::Ecdsa(Digest::Sha256), input, Dispatch::default());
    result.await.map(drop)
}

#[test]
fn however_a_module_words_it_a_ciphertext_that_does_not_decrypt_shows_in_the_answer_alone() {
    let test = "however_a_module_words_it_a_ciphertext_that_does_not_decrypt_shows_in_the_answer_alone";
    with_token(test, |token, counts| async move {
        let failed = TokenError::DecryptionFailed { token: "oracle".into() };
        // Opens the worker's session.
        sign(&token).await?;
        let before = token.status();
        let opened = counts.of("C_OpenSession")?;
        let words = [
            // SoftHSM's own.
            0,
            CKR_ENCRYPTED_DATA_INVALID,
            CKR_DATA_INVALID,
            CKR_FUNCTION_FAILED,
            CKR_GENERAL_ERROR,
            CKR_ARGUMENTS_BAD,
            CKR_VENDOR_DEFINED | 0x17,
        ];
        for word in words {
            counts.fail("C_Decrypt", word)?;
            assert_eq!(decrypt(&token).await, Err(failed.clone()), "{word:#x}");
            // The module was not asked, so its operation is still active; SoftHSM's own failure ends it.
            assert_eq!(decrypt(&token).await, Err(failed.clone()), "after {word:#x}");
            assert_eq!(token.status(), before, "{word:#x}");
        }
        // Only the operations that the fault module left active cost a session.
        let left_active = words.iter().filter(|word| **word != 0).count() as u64;
        assert_eq!(counts.of("C_OpenSession")? - opened, left_active);
        Ok(())
    });
}

#[test]
fn the_module_is_called_as_often_whether_a_ciphertext_decrypts_or_not() {
    let test = "the_module_is_called_as_often_whether_a_ciphertext_decrypts_or_not";
    with_token(test, |token, counts| async move {
        const TIMES: u64 = 20;
        let key = serve::key(&token, "rsa")?;
        let good = encrypted(&token)?;
        // At least as often: the anchor may ask as well.
        let asked = counts.of("C_GetSessionInfo")?;
        for _ in 0..TIMES {
            token
                .decrypt(key, DecryptScheme::RsaPkcs1, good.clone(), Dispatch::default())
                .await?;
        }
        let asked_again = counts.of("C_GetSessionInfo")?;
        assert!(asked_again - asked >= TIMES, "after a success");
        for _ in 0..TIMES {
            decrypt(&token).await.unwrap_err();
        }
        assert!(counts.of("C_GetSessionInfo")? - asked_again >= TIMES, "after a failure");
        Ok(())
    });
}

#[test]
fn the_last_error_is_gone_after_a_decryption_whether_that_succeeded_or_not() {
    let test = "the_last_error_is_gone_after_a_decryption_whether_that_succeeded_or_not";
    with_token(test, |token, faults| async move {
        let key = serve::key(&token, "rsa")?;
        let good = encrypted(&token)?;
        for is_good in [true, false] {
            faults.fail("C_Sign", CKR_FUNCTION_FAILED)?;
            sign(&token).await.unwrap_err();
            serve::wait_for(&token, |status| status.last_error.is_some()).await?;
            match is_good {
                true => drop(
                    token
                        .decrypt(key, DecryptScheme::RsaPkcs1, good.clone(), Dispatch::default())
                        .await?,
                ),
                false => drop(decrypt(&token).await.unwrap_err()),
            }
            serve::wait_for(&token, |status| status.last_error.is_none()).await?;
        }
        Ok(())
    });
}

#[test]
fn the_last_error_is_gone_after_a_success() {
    with_token("the_last_error_is_gone_after_a_success", |token, counts| async move {
        counts.fail("C_Sign", CKR_FUNCTION_FAILED)?;
        sign(&token).await.unwrap_err();
        let failing = serve::wait_for(&token, |status| status.last_error.is_some()).await?;
        assert_eq!(failing.last_error.as_deref(), Some("CKR_FUNCTION_FAILED"));
        sign(&token).await?;
        serve::wait_for(&token, |status| status.last_error.is_none()).await?;
        Ok(())
    });
}

#[test]
fn an_unlocked_token_is_no_place_to_guess_its_pin() {
    with_token(
        "an_unlocked_token_is_no_place_to_guess_its_pin",
        |token, counts| async move {
            let logins = counts.of("C_Login")?;
            token.unlock(serve::pin("123456")).await?;
            for guess in 0..3 {
                token.unlock(serve::pin(&format!("00000{guess}"))).await.unwrap_err();
            }
            // From now on a right guess looks like a wrong one.
            let wrong = token.unlock(serve::pin("000009")).await.unwrap_err();
            let right = token.unlock(serve::pin("123456")).await.unwrap_err();
            assert_eq!(wrong, right);
            assert_eq!(counts.of("C_Login")?, logins);
            // Whoever logs in anew spends a try of the token's.
            token.lock().await?;
            token.unlock(serve::pin("123456")).await?;
            token.unlock(serve::pin("123456")).await?;
            assert_eq!(counts.of("C_Login")?, logins + 1);
            Ok(())
        },
    );
}
