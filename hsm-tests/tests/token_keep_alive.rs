//! Idle sessions are kept alive, dead ones are replaced before anybody needs them, and no call comes between a PIN and what it
//! is for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::time::{Duration, Instant};

use anyhow::Result;
use chancery_token::{Digest, Dispatch, SignInput, SignMechanism, TokenHandle, TokenState};
use cryptoki_sys::CKR_SESSION_HANDLE_INVALID;
use hsm_tests::softhsm::{
    Curve, SoftHsm, Usage,
    fault::{Fault, Faults},
    in_child, serve,
};

/// Much more often than the anchor looks at the token.
const OFTEN: Duration = Duration::from_millis(20);

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    let token = softhsm.init_token("idle", "123456")?;
    softhsm.generate_ec(&token, "p256", &[1], Curve::P256, Usage::Sign)?;
    softhsm.generate_rsa(&token, "each-time", &[2], 2048, Usage::AlwaysAuthenticate)?;
    Ok(())
}

/// Runs `body` with a token whose workers all have a session.
fn with_token<F: Future<Output = Result<()>>>(
    test: &str,
    keep_alive: Option<Duration>,
    body: impl FnOnce(TokenHandle, Faults) -> F,
) {
    in_child(test, prepare, |softhsm| {
        let mut config = serve::config(&softhsm.token("idle")?);
        config.keep_alive = keep_alive;
        let tokens = serve::start_faulty(vec![config])?;
        let token = tokens.handles()[0].clone();
        serve::block_on(async {
            serve::ready(&token).await?;
            while token.status().sessions < 2 {
                tokio::try_join!(
                    serve::sign(&token),
                    serve::sign(&token),
                    serve::sign(&token),
                    serve::sign(&token)
                )?;
            }
            body(token, Faults::open()?).await?;
            tokens.shutdown().await;
            Ok(())
        })?
    })
    .unwrap();
}

/// Waits until something is so.
async fn until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < serve::PATIENCE, "it does not come about");
        tokio::task::yield_now().await;
    }
}

#[test]
fn idle_sessions_are_asked_about_themselves_again_and_again_and_nothing_else() {
    let test = "idle_sessions_are_asked_about_themselves_again_and_again_and_nothing_else";
    with_token(test, Some(OFTEN), |_token, faults| async move {
        let of = |function| faults.of(function).unwrap();
        let (before, signed, opened) = (of("C_GetSessionInfo"), of("C_SignInit"), of("C_OpenSession"));
        let begun = Instant::now();
        until(|| of("C_GetSessionInfo") >= before + 20).await;
        // The anchor alone would take twenty seconds.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!((of("C_SignInit"), of("C_OpenSession")), (signed, opened));
        Ok(())
    });
}

#[test]
fn without_an_interval_idle_sessions_are_left_alone() {
    let test = "without_an_interval_idle_sessions_are_left_alone";
    with_token(test, None, |_token, faults| async move {
        let of = |function| faults.of(function).unwrap();
        let (asked, looked) = (of("C_GetSessionInfo"), of("C_GetSlotInfo"));
        until(|| of("C_GetSlotInfo") >= looked + 3).await;
        // The anchor looks at both.
        assert!(of("C_GetSessionInfo") <= asked + 4);
        Ok(())
    });
}

#[test]
fn a_session_that_died_while_nobody_used_it_is_replaced_before_anybody_does() {
    let test = "a_session_that_died_while_nobody_used_it_is_replaced_before_anybody_does";
    with_token(test, Some(OFTEN), |token, faults| async move {
        let of = |function| faults.of(function).unwrap();
        loop {
            let (generation, opened, hits) = (
                token.status().generation,
                of("C_OpenSession"),
                faults.hits("C_GetSessionInfo")?,
            );
            faults.put("C_GetSessionInfo", Fault::answer(CKR_SESSION_HANDLE_INVALID).once())?;
            until(|| faults.hits("C_GetSessionInfo").unwrap() > hits && of("C_OpenSession") > opened).await;
            serve::ready(&token).await?;
            // It may have been the anchor's own, which is another story.
            if token.status().generation == generation {
                break;
            }
        }
        let (begun, opened) = (of("C_SignInit"), of("C_OpenSession"));
        for _ in 0..8 {
            serve::sign(&token).await?;
        }
        assert_eq!((of("C_SignInit"), of("C_OpenSession")), (begun + 8, opened));
        Ok(())
    });
}

#[test]
fn nothing_comes_between_the_login_for_one_operation_and_the_operation() {
    let test = "nothing_comes_between_the_login_for_one_operation_and_the_operation";
    with_token(test, Some(OFTEN), |token, faults| async move {
        let key = serve::key(&token, "each-time")?;
        let asked = || faults.of("C_GetSessionInfo").unwrap();
        // From the login on it takes half a second, in which it would be asked fifty times.
        faults.put("C_Sign", Fault::delay(Duration::from_millis(500)))?;
        let hits = faults.hits("C_Sign")?;
        let signing = tokio::spawn({
            let token = token.clone();
            let input = SignInput::Digest(vec![7; 32]);
            async move {
                token
                    .sign(key, SignMechanism::RsaPkcs1(Digest::Sha256), input, Dispatch::default())
                    .await
            }
        });
        until(|| faults.hits("C_Sign").unwrap() > hits).await;
        let before = asked();
        signing.await??;
        let during = asked() - before;
        assert!(during < 10, "asked {during} times");
        // And it goes on.
        until(|| asked() > before + 20).await;
        Ok(())
    });
}

#[test]
fn a_session_that_went_with_its_token_is_not_closed_under_the_next() {
    let test = "a_session_that_went_with_its_token_is_not_closed_under_the_next";
    in_child(test, prepare, |softhsm| {
        let token = softhsm.token("idle")?;
        let tokens = serve::start_faulty(vec![serve::config(&token)])?;
        let handle = tokens.handles()[0].clone();
        serve::block_on(async {
            let faults = Faults::open()?;
            serve::ready(&handle).await?;
            serve::sign(&handle).await?;
            let card = faults.token(&token.serial)?;
            card.pull()?;
            serve::wait_for(&handle, |status| status.state == TokenState::Absent).await?;
            card.put_back()?;
            serve::ready(&handle).await?;
            let closed = faults.of("C_CloseSession")?;
            // The worker has had no job since, and has still the session from before.
            tokens.shutdown().await;
            assert_eq!(faults.of("C_CloseSession")?, closed);
            Ok(())
        })?
    })
    .unwrap();
}
