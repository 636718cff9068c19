//! PINs: one try each, never a second time, and nothing automatic when it matters.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use anyhow::Result;
use chancery_token::{
    Digest, Dispatch, PinStatus, SignInput, SignMechanism, TokenConfig, TokenError, TokenHandle, TokenState,
};
use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_PIN_LOCKED, CKR_USER_NOT_LOGGED_IN};
use hsm_tests::softhsm::{
    Curve, SoftHsm, Usage,
    fault::{ALWAYS, Faults},
    in_child, serve,
};

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    let token = softhsm.init_token("pins", "123456")?;
    softhsm.generate_ec(&token, "p256", &[1], Curve::P256, Usage::Sign)?;
    softhsm.generate_ec(&token, "careful", &[2], Curve::P256, Usage::AlwaysAuthenticate)?;
    Ok(())
}

/// Runs `body` with a token behind the fault module, configured with this PIN.
fn with_token<F: Future<Output = Result<()>>>(
    test: &str,
    pin: Option<&str>,
    body: impl FnOnce(TokenHandle, Faults) -> F,
) {
    in_child(test, prepare, |softhsm| {
        let config = serve::config(&softhsm.token("pins")?);
        let tokens = serve::start_faulty(vec![TokenConfig {
            pin: pin.map(serve::pin),
            ..config
        }])?;
        serve::block_on(body(tokens.handles()[0].clone(), Faults::open()?))?
    })
    .unwrap();
}

async fn sign(token: &TokenHandle, label: &str) -> Result<Vec<u8>, TokenError> {
    let key = serve::key(token, label).unwrap();
    let input = SignInput::Digest(vec![7; 32]);
    token
        .sign(key, SignMechanism::Ecdsa(Digest::Sha256), input, Dispatch::default())
        .await
}

async fn locked(token: &TokenHandle) -> Result<()> {
    serve::wait_for(token, |status| status.state == TokenState::Locked)
        .await
        .map(drop)
}

#[test]
fn a_token_without_a_pin_waits_for_one() {
    with_token(
        "a_token_without_a_pin_waits_for_one",
        None,
        |token, counts| async move {
            locked(&token).await?;
            assert_eq!(counts.of("C_Login")?, 0);
            token.unlock(serve::pin("123456")).await?;
            serve::ready(&token).await?;
            sign(&token, "p256").await?;
            Ok(())
        },
    );
}

#[test]
fn a_wrong_configured_pin_is_tried_once_and_never_again() {
    with_token(
        "a_wrong_configured_pin_is_tried_once_and_never_again",
        Some("000000"),
        |token, counts| async move {
            locked(&token).await?;
            assert_eq!(counts.of("C_Login")?, 1);
            assert_eq!(token.status().last_error.as_deref(), Some("CKR_PIN_INCORRECT"));
            assert_eq!(token.status().pin, PinStatus::CountLow);
            let refused = TokenError::PinAlreadyFailed { token: "pins".into() };
            assert_eq!(token.unlock(serve::pin("000000")).await, Err(refused));
            assert_eq!(counts.of("C_Login")?, 1);
            token.unlock(serve::pin("123456")).await?;
            sign(&token, "p256").await?;
            assert_eq!(token.status().pin, PinStatus::Ok);
            Ok(())
        },
    );
}

#[test]
fn each_wrong_pin_by_hand_spends_one_try() {
    with_token(
        "each_wrong_pin_by_hand_spends_one_try",
        None,
        |token, counts| async move {
            locked(&token).await?;
            for (number, pin) in (1..).zip(["111111", "222222", "333333"]) {
                let error = token.unlock(serve::pin(pin)).await.unwrap_err();
                assert_eq!(
                    error,
                    TokenError::PinIncorrect {
                        token: "pins".into(),
                        ckr: "CKR_PIN_INCORRECT".into()
                    }
                );
                assert_eq!(counts.of("C_Login")?, number);
                token.unlock(serve::pin(pin)).await.unwrap_err();
                assert_eq!(counts.of("C_Login")?, number);
            }
            Ok(())
        },
    );
}

#[test]
fn a_locked_token_keeps_its_keys_listed_and_forgets_the_pin() {
    with_token(
        "a_locked_token_keeps_its_keys_listed_and_forgets_the_pin",
        Some("123456"),
        |token, counts| async move {
            serve::ready(&token).await?;
            token.lock().await?;
            let status = token.status();
            assert_eq!((status.state, status.key_count), (TokenState::Locked, 2));
            assert_eq!(
                sign(&token, "p256").await,
                Err(TokenError::Locked { token: "pins".into() })
            );
            assert_eq!((counts.of("C_Login")?, counts.of("C_Logout")?), (1, 1));
            token.unlock(serve::pin("123456")).await?;
            sign(&token, "p256").await?;
            assert!(token.status().generation > 1);
            Ok(())
        },
    );
}

#[test]
fn unlocking_twice_needs_no_second_login() {
    with_token(
        "unlocking_twice_needs_no_second_login",
        Some("123456"),
        |token, counts| async move {
            serve::ready(&token).await?;
            token.unlock(serve::pin("123456")).await?;
            let error = token.unlock(serve::pin("654321")).await.unwrap_err();
            assert!(matches!(error, TokenError::InputRefused { .. }), "{error}");
            assert_eq!(counts.of("C_Login")?, 1);
            Ok(())
        },
    );
}

#[test]
fn a_pin_that_the_token_locked_is_said_to_be() {
    with_token(
        "a_pin_that_the_token_locked_is_said_to_be",
        None,
        |token, counts| async move {
            locked(&token).await?;
            counts.fail("C_Login", CKR_PIN_LOCKED | ALWAYS)?;
            assert_eq!(
                token.unlock(serve::pin("123456")).await,
                Err(TokenError::PinLocked { token: "pins".into() })
            );
            Ok(())
        },
    );
}

#[test]
fn logins_without_a_verdict_are_not_repeated_without_end() {
    with_token(
        "logins_without_a_verdict_are_not_repeated_without_end",
        Some("123456"),
        |token, counts| async move {
            serve::ready(&token).await?;
            counts.fail("C_Login", CKR_DEVICE_ERROR | ALWAYS)?;
            for _ in 0..6 {
                counts.fail("C_SignInit", CKR_USER_NOT_LOGGED_IN)?;
                let _ = sign(&token, "careful").await;
            }
            // The first login, and the context-specific ones up to the limit.
            assert_eq!(counts.of("C_Login")?, 3);
            counts.fail("C_Login", 0)?;
            counts.fail("C_SignInit", 0)?;
            token.unlock(serve::pin("123456")).await?;
            sign(&token, "careful").await?;
            Ok(())
        },
    );
}

#[test]
fn a_pin_changed_behind_our_back_is_tried_once_for_a_key_that_wants_it_each_time() {
    let test = "a_pin_changed_behind_our_back_is_tried_once_for_a_key_that_wants_it_each_time";
    with_token(test, Some("123456"), |token, counts| async move {
        serve::ready(&token).await?;
        sign(&token, "careful").await?;
        assert_eq!(counts.of("C_Login")?, 2);
        counts.fail("C_Login", cryptoki_sys::CKR_PIN_INCORRECT)?;
        let error = sign(&token, "careful").await.unwrap_err();
        assert!(matches!(error, TokenError::PinIncorrect { .. }), "{error}");
        assert_eq!(counts.of("C_Login")?, 3);
        assert_eq!(
            sign(&token, "careful").await,
            Err(TokenError::Locked { token: "pins".into() })
        );
        assert_eq!(counts.of("C_Login")?, 3);
        // Other keys stay usable: the login itself stands.
        sign(&token, "p256").await?;
        Ok(())
    });
}
