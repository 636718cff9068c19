//! What a token does to its users, and how it is survived.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use chancery_token::{
    Digest, Dispatch, Priority, SignInput, SignMechanism, TokenConfig, TokenError, TokenHandle, TokenState,
};
use cryptoki_sys::*;
use hsm_tests::softhsm::{
    Curve, SoftHsm, Usage,
    fault::{ALWAYS, Fault, Faults},
    in_child, serve,
};

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    let token = softhsm.init_token("frail", "123456")?;
    softhsm.generate_ec(&token, "p256", &[1], Curve::P256, Usage::Sign)?;
    softhsm.generate_ec(&token, "spare", &[2], Curve::P256, Usage::Sign)?;
    Ok(())
}

fn with_token<F: Future<Output = Result<()>>>(test: &str, body: impl FnOnce(TokenHandle, Faults, SoftHsm) -> F) {
    with_config(test, |config| config, body);
}

fn with_config<F: Future<Output = Result<()>>>(
    test: &str,
    change: impl FnOnce(TokenConfig) -> TokenConfig,
    body: impl FnOnce(TokenHandle, Faults, SoftHsm) -> F,
) {
    in_child(test, prepare, |softhsm| {
        let config = change(serve::config(&softhsm.token("frail")?));
        let tokens = serve::start_faulty(vec![config])?;
        let token = tokens.handles()[0].clone();
        serve::block_on(async {
            serve::ready(&token).await?;
            body(token, Faults::open()?, SoftHsm::from_environment()?).await?;
            tokens.shutdown().await;
            Ok(())
        })?
    })
    .unwrap();
}

async fn sign_with(token: &TokenHandle, label: &str, dispatch: Dispatch) -> Result<Vec<u8>, TokenError> {
    let key = serve::key(token, label).unwrap();
    let input = SignInput::Digest(vec![7; 32]);
    token
        .sign(key, SignMechanism::Ecdsa(Digest::Sha256), input, dispatch)
        .await
}

async fn sign(token: &TokenHandle) -> Result<Vec<u8>, TokenError> {
    sign_with(token, "p256", Dispatch::default()).await
}

#[test]
fn one_dead_session_or_stale_handle_or_lost_login_is_not_noticed_by_the_caller() {
    let test = "one_dead_session_or_stale_handle_or_lost_login_is_not_noticed_by_the_caller";
    with_token(test, |token, counts, _| async move {
        for (function, rv) in [
            ("C_SignInit", CKR_SESSION_HANDLE_INVALID),
            ("C_Sign", CKR_SESSION_HANDLE_INVALID),
            ("C_SignInit", CKR_SESSION_CLOSED),
            ("C_SignInit", CKR_KEY_HANDLE_INVALID),
            ("C_SignInit", CKR_OBJECT_HANDLE_INVALID),
            ("C_Sign", CKR_USER_NOT_LOGGED_IN),
            ("C_SignInit", CKR_OPERATION_ACTIVE),
        ] {
            counts.fail(function, rv)?;
            sign(&token).await?;
        }
        assert_eq!(token.status().state, TokenState::Ready);
        Ok(())
    });
}

#[test]
fn a_stale_handle_makes_the_keys_be_looked_up_again_once() {
    with_token(
        "a_stale_handle_makes_the_keys_be_looked_up_again_once",
        |token, counts, _| async move {
            let (generation, searches) = (token.status().generation, counts.of("C_FindObjectsInit")?);
            counts.fail("C_SignInit", CKR_KEY_HANDLE_INVALID)?;
            sign(&token).await?;
            assert_eq!(token.status().generation, generation + 1);
            assert_eq!(counts.of("C_FindObjectsInit")?, searches + 3);
            assert_eq!(counts.of("C_Login")?, 1);
            Ok(())
        },
    );
}

#[test]
fn a_handle_that_stays_stale_is_an_error_in_the_end() {
    with_token(
        "a_handle_that_stays_stale_is_an_error_in_the_end",
        |token, counts, _| async move {
            counts.fail("C_SignInit", CKR_KEY_HANDLE_INVALID | ALWAYS)?;
            let error = sign(&token).await.unwrap_err();
            assert_eq!(error.ckr(), Some("CKR_KEY_HANDLE_INVALID"));
            assert_eq!(counts.of("C_SignInit")?, 3);
            counts.fail("C_SignInit", 0)?;
            sign(&token).await?;
            Ok(())
        },
    );
}

#[test]
fn a_key_that_was_destroyed_is_no_longer_listed_after_its_first_use() {
    with_token(
        "a_key_that_was_destroyed_is_no_longer_listed_after_its_first_use",
        |token, _, softhsm| async move {
            let key = serve::key(&token, "p256")?;
            softhsm.destroy(&softhsm.token("frail")?, &[1], "all")?;
            assert_eq!(
                sign(&token).await,
                Err(TokenError::KeyNotFound {
                    token: "frail".into(),
                    key
                })
            );
            assert!(token.catalogue().lookup(key).is_none());
            sign_with(&token, "spare", Dispatch::default()).await?;
            Ok(())
        },
    );
}

#[test]
fn a_token_that_forgot_the_login_gets_it_again() {
    with_token(
        "a_token_that_forgot_the_login_gets_it_again",
        |token, counts, softhsm| async move {
            // The login is the process's, so another session of this process can end it.
            let module = cryptoki::context::Pkcs11::new(softhsm.module_path())?;
            let slot = module.get_slots_with_initialized_token()?[0];
            module.open_ro_session(slot)?.logout()?;
            sign(&token).await?;
            assert_eq!(counts.of("C_Login")?, 2);
            Ok(())
        },
    );
}

#[test]
fn a_removed_token_is_absent_with_its_keys_listed_and_comes_back() {
    with_token(
        "a_removed_token_is_absent_with_its_keys_listed_and_comes_back",
        |token, counts, _| async move {
            counts.fail("C_GetTokenInfo", CKR_TOKEN_NOT_PRESENT | ALWAYS)?;
            counts.fail("C_SignInit", CKR_DEVICE_REMOVED)?;
            assert_eq!(sign(&token).await, Err(TokenError::Absent { token: "frail".into() }));
            let status = serve::wait_for(&token, |status| status.state == TokenState::Absent).await?;
            assert_eq!((status.key_count, token.catalogue().keys.len()), (2, 2));
            assert_eq!(sign(&token).await, Err(TokenError::Absent { token: "frail".into() }));
            counts.fail("C_GetTokenInfo", 0)?;
            serve::ready(&token).await?;
            sign(&token).await?;
            Ok(())
        },
    );
}

#[test]
fn a_library_that_did_not_start_again_while_its_tokens_were_away_does_so_when_they_are_back() {
    with_token(
        "a_library_that_did_not_start_again_while_its_tokens_were_away_does_so_when_they_are_back",
        |token, counts, softhsm| async move {
            let (tokens, away) = (softhsm.token_directory(), softhsm.directory().join("away"));
            std::fs::rename(&tokens, &away)?;
            // C_Finalize has worked by then, and C_Initialize has not: that is the cause, not what it did to the other calls.
            let cause = "C_Initialize answered CKR_GENERAL_ERROR";
            serve::wait_for(&token, |status| {
                status.state == TokenState::Failed && status.detail == cause
            })
            .await?;
            let tried = counts.of("C_Initialize")?;
            while counts.of("C_Initialize")? < tried + 2 {
                let detail = token.status().detail;
                assert!(!detail.contains("CKR_CRYPTOKI_NOT_INITIALIZED"), "{detail}");
                tokio::task::yield_now().await;
            }
            std::fs::rename(&away, &tokens)?;
            serve::ready(&token).await?;
            sign(&token).await?;
            Ok(())
        },
    );
}

#[test]
fn a_token_that_vanishes_while_nobody_uses_it_is_noticed() {
    with_token(
        "a_token_that_vanishes_while_nobody_uses_it_is_noticed",
        |token, counts, _| async move {
            counts.fail("C_GetTokenInfo", CKR_TOKEN_NOT_PRESENT | ALWAYS)?;
            serve::wait_for(&token, |status| status.state == TokenState::Absent).await?;
            Ok(())
        },
    );
}

#[test]
fn an_error_that_is_not_the_callers_closes_the_session() {
    with_token(
        "an_error_that_is_not_the_callers_closes_the_session",
        |token, counts, _| async move {
            sign(&token).await?;
            let closed = counts.of("C_CloseSession")?;
            counts.fail("C_Sign", CKR_DEVICE_ERROR)?;
            let error = sign(&token).await.unwrap_err();
            let expected = TokenError::Ckr {
                token: "frail".into(),
                function: "C_Sign".into(),
                ckr: "CKR_DEVICE_ERROR".into(),
            };
            assert_eq!(error, expected);
            let status = serve::wait_for(&token, |status| {
                status.last_error.as_deref() == Some("CKR_DEVICE_ERROR")
            })
            .await?;
            assert_eq!(status.state, TokenState::Ready);
            sign(&token).await?;
            assert_eq!(counts.of("C_CloseSession")?, closed + 1);
            Ok(())
        },
    );
}

#[test]
fn fewer_sessions_than_configured_are_enough() {
    let test = "fewer_sessions_than_configured_are_enough";
    with_config(
        test,
        |config| TokenConfig { sessions: 8, ..config },
        |token, counts, _| async move {
            sign(&token).await?;
            let opened = counts.of("C_OpenSession")?;
            counts.fail("C_OpenSession", CKR_SESSION_COUNT | ALWAYS)?;
            let token = Arc::new(token);
            let jobs: Vec<_> = (0..64)
                .map(|_| {
                    tokio::spawn({
                        let token = Arc::clone(&token);
                        async move { sign(&token).await }
                    })
                })
                .collect();
            for job in jobs {
                job.await??;
            }
            assert!(counts.of("C_OpenSession")? > opened, "no other worker tried");
            Ok(())
        },
    );
}

#[test]
fn a_job_past_its_deadline_is_not_started() {
    with_token(
        "a_job_past_its_deadline_is_not_started",
        |token, counts, _| async move {
            let deadline = Some(Instant::now());
            let dispatch = Dispatch {
                priority: Priority::Interactive,
                deadline,
                ..Dispatch::default()
            };
            let error = sign_with(&token, "p256", dispatch).await;
            assert_eq!(error, Err(TokenError::DeadlineExceeded { token: "frail".into() }));
            assert_eq!(counts.of("C_SignInit")?, 0);
            Ok(())
        },
    );
}

#[test]
fn a_job_that_may_have_been_done_before_its_deadline_is_not_said_to_be_unused() {
    with_token(
        "a_job_that_may_have_been_done_before_its_deadline_is_not_said_to_be_unused",
        |token, faults, _| async move {
            sign(&token).await?;
            faults.put("C_Sign", Fault::answer(CKR_SESSION_HANDLE_INVALID).once())?;
            // The anchor's look at the token, for which the worker waits.
            faults.put("C_GetSessionInfo", Fault::delay(Duration::from_secs(2)))?;
            let dispatch = Dispatch {
                deadline: Some(Instant::now() + Duration::from_secs(1)),
                ..Dispatch::default()
            };
            let error = sign_with(&token, "p256", dispatch).await;
            assert_eq!(error, Err(TokenError::TimedOut { token: "frail".into() }));
            faults.take_back_all()?;
            Ok(())
        },
    );
}

#[test]
fn a_job_whose_caller_has_gone_is_not_started() {
    with_token(
        "a_job_whose_caller_has_gone_is_not_started",
        |token, counts, _| async move {
            for _ in 0..20 {
                // Polled once, which queues it, and dropped.
                let waited = tokio::time::timeout(Duration::ZERO, async {
                    let burst = (0..40).map(|_| sign(&token));
                    for job in burst.map(Box::pin).collect::<Vec<_>>() {
                        tokio::select! { biased; _ = job => {}, () = std::future::ready(()) => {} }
                    }
                    std::future::pending::<()>().await;
                });
                assert!(waited.await.is_err());
            }
            sign(&token).await?;
            let started = counts.of("C_SignInit")?;
            assert!(started < 400, "{started} of 800 abandoned jobs were started");
            Ok(())
        },
    );
}

#[test]
fn a_full_queue_refuses_and_the_others_are_served() {
    let test = "a_full_queue_refuses_and_the_others_are_served";
    with_config(
        test,
        |config| TokenConfig {
            sessions: 1,
            queue: 4,
            ..config
        },
        |token, _, _| async move {
            let jobs: Vec<_> = (0..64)
                .map(|_| {
                    tokio::spawn({
                        let token = token.clone();
                        async move { sign(&token).await }
                    })
                })
                .collect();
            let (mut served, mut refused) = (0, 0);
            for job in jobs {
                match job.await? {
                    Ok(_) => served += 1,
                    Err(TokenError::QueueFull { .. }) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            assert!(served >= 4 && refused > 0, "{served} served, {refused} refused");
            Ok(())
        },
    );
}

#[test]
fn shutting_down_logs_out_and_answers_everybody() {
    in_child("shutting_down_logs_out_and_answers_everybody", prepare, |softhsm| {
        let counts = Faults::open()?;
        let tokens = serve::start_faulty(vec![serve::config(&softhsm.token("frail")?)])?;
        let token = tokens.handles()[0].clone();
        serve::block_on(async {
            serve::ready(&token).await?;
            let jobs: Vec<_> = (0..32)
                .map(|_| {
                    tokio::spawn({
                        let token = token.clone();
                        async move { sign(&token).await }
                    })
                })
                .collect();
            tokens.shutdown().await;
            for job in jobs {
                assert!(matches!(
                    job.await?,
                    Ok(_) | Err(TokenError::Shutdown { .. } | TokenError::Absent { .. })
                ));
            }
            assert!(sign(&token).await.is_err());
            assert!(matches!(
                token.unlock(serve::pin("123456")).await,
                Err(TokenError::Shutdown { .. })
            ));
            assert_eq!((counts.of("C_Logout")?, counts.of("C_Finalize")?), (1, 1));
            Ok(())
        })?
    })
    .unwrap();
}
