//! A token that is there and goes on failing is taken apart rung by rung, until something helps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use anyhow::Result;
use chancery_token::{TokenError, TokenHandle, TokenState};
use cryptoki_sys::*;
use hsm_tests::softhsm::{
    Curve, SoftHsm, Usage,
    fault::{Cure, Fault, Faults},
    in_child, serve,
};

/// Failures in a row that lead to the next rung.
const ENOUGH: usize = 3;

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    for label in ["frail", "sound"] {
        let token = softhsm.init_token(label, "123456")?;
        softhsm.generate_ec(&token, "p256", &[1], Curve::P256, Usage::Sign)?;
    }
    Ok(())
}

/// Runs `body` with these tokens of one module, each with one worker.
fn with_tokens<F: Future<Output = Result<()>>>(
    test: &str,
    labels: &[&str],
    body: impl FnOnce(Vec<TokenHandle>, Faults) -> F,
) {
    in_child(test, prepare, |softhsm| {
        let configs = labels.iter().map(|label| {
            let mut config = serve::config(&softhsm.token(label)?);
            config.sessions = 1;
            Ok(config)
        });
        let tokens = serve::start_faulty(configs.collect::<Result<_>>()?)?;
        let handles = tokens.handles().to_vec();
        serve::block_on(async {
            for token in &handles {
                serve::ready(token).await?;
                serve::sign(token).await?;
            }
            body(handles, Faults::open()?).await?;
            tokens.shutdown().await;
            Ok(())
        })?
    })
    .unwrap();
}

/// How many times in a row it cannot sign.
async fn failures(token: &TokenHandle) -> usize {
    let mut failures = 0;
    while let Err(error) = serve::sign(token).await {
        match error {
            // Its library is started anew: whoever comes meanwhile is told so, and has not failed at the token.
            TokenError::Failed { detail, .. } if detail.contains("its library is started anew") => {
                serve::ready(token).await.unwrap();
                continue;
            }
            error => assert_eq!(error.ckr(), Some("CKR_DEVICE_ERROR"), "{error}"),
        }
        failures += 1;
        assert!(failures < 100, "nothing helps");
    }
    failures
}

/// What has been done anew so far: logins, C_Initialize.
fn done(faults: &Faults) -> (u64, u64) {
    (faults.of("C_Login").unwrap(), faults.of("C_Initialize").unwrap())
}

#[test]
fn what_a_login_cures_is_cured_by_one_and_by_no_more() {
    let test = "what_a_login_cures_is_cured_by_one_and_by_no_more";
    with_tokens(test, &["frail"], |tokens, faults| async move {
        let before = done(&faults);
        faults.put("C_SignInit", Fault::answer(CKR_DEVICE_ERROR).until(Cure::Login))?;
        assert!(failures(&tokens[0]).await >= ENOUGH);
        assert_eq!(done(&faults), (before.0 + 1, before.1));
        Ok(())
    });
}

#[test]
fn what_a_new_start_of_the_library_cures_is_cured_by_one() {
    let test = "what_a_new_start_of_the_library_cures_is_cured_by_one";
    with_tokens(test, &["frail"], |tokens, faults| async move {
        let before = done(&faults);
        faults.put("C_SignInit", Fault::answer(CKR_DEVICE_ERROR).until(Cure::Finalize))?;
        assert!(failures(&tokens[0]).await >= 2 * ENOUGH);
        assert_eq!(done(&faults), (before.0 + 2, before.1 + 1));
        assert_eq!(tokens[0].status().state, TokenState::Ready);
        Ok(())
    });
}

#[test]
fn a_session_that_cannot_be_opened_is_cured_by_a_new_start_of_the_library_as_well() {
    let test = "a_session_that_cannot_be_opened_is_cured_by_a_new_start_of_the_library_as_well";
    with_tokens(test, &["frail"], |tokens, faults| async move {
        let before = done(&faults);
        faults.put("C_OpenSession", Fault::answer(CKR_DEVICE_ERROR).until(Cure::Finalize))?;
        faults.put("C_SignInit", Fault::answer(CKR_DEVICE_ERROR).until(Cure::Finalize))?;
        while tokens[0].status().state == TokenState::Ready {
            let error = serve::sign(&tokens[0]).await.unwrap_err();
            let expected = matches!(error, TokenError::Ckr { .. } | TokenError::Failed { .. });
            assert!(expected, "{error}");
        }
        let status = serve::wait_for(&tokens[0], |status| status.state == TokenState::Failed).await?;
        assert!(
            status.detail.contains("C_OpenSession answered CKR_DEVICE_ERROR"),
            "{status:?}"
        );
        serve::ready(&tokens[0]).await?;
        serve::sign(&tokens[0]).await?;
        assert_eq!(done(&faults), (before.0 + 1, before.1 + 1));
        Ok(())
    });
}

#[test]
fn a_token_that_nothing_helps_is_left_alone_for_longer_and_longer() {
    let test = "a_token_that_nothing_helps_is_left_alone_for_longer_and_longer";
    with_tokens(test, &["frail"], |tokens, faults| async move {
        faults.put("C_SignInit", Fault::answer(CKR_DEVICE_ERROR))?;
        let tried = faults.of("C_SignInit")?;
        // One rest of a second, one of two.
        for seconds in [1, 2] {
            let rests = format!("tried again in {seconds} s");
            let status = loop {
                let _ = serve::sign(&tokens[0]).await;
                let status = tokens[0].status();
                if status.state == TokenState::Failed && status.detail.contains("tried again") {
                    break status;
                }
            };
            assert!(
                status.detail.contains("C_SignInit goes on answering CKR_DEVICE_ERROR"),
                "{status:?}"
            );
            assert!(status.detail.contains(&rests), "{status:?}");
            let refused = serve::sign(&tokens[0]).await;
            assert!(
                matches!(&refused, Err(TokenError::Failed { detail, .. }) if *detail == status.detail),
                "{refused:?}"
            );
            serve::ready(&tokens[0]).await?;
        }
        // Three rungs, and the highest once more, and what was tried before the last failure was heard of.
        let tried = faults.of("C_SignInit")? - tried;
        assert!((12..1000).contains(&tried), "tried {tried} times");
        faults.take_back_all()?;
        serve::sign(&tokens[0]).await?;
        Ok(())
    });
}

#[test]
fn failures_between_which_something_works_are_not_counted_together() {
    let test = "failures_between_which_something_works_are_not_counted_together";
    with_tokens(test, &["frail"], |tokens, faults| async move {
        let before = done(&faults);
        for _ in 0..2 * ENOUGH {
            for _ in 1..ENOUGH {
                faults.put("C_SignInit", Fault::answer(CKR_DEVICE_ERROR).once())?;
                serve::sign(&tokens[0]).await.unwrap_err();
            }
            serve::sign(&tokens[0]).await?;
        }
        assert_eq!(done(&faults), before);
        Ok(())
    });
}

#[test]
fn what_a_caller_or_somebody_at_the_pin_pad_does_is_no_reason_to_climb() {
    let test = "what_a_caller_or_somebody_at_the_pin_pad_does_is_no_reason_to_climb";
    with_tokens(test, &["frail"], |tokens, faults| async move {
        let before = done(&faults);
        for ckr in [CKR_DATA_LEN_RANGE, CKR_FUNCTION_CANCELED, CKR_PIN_INCORRECT] {
            faults.put("C_SignInit", Fault::answer(ckr))?;
            for _ in 0..2 * ENOUGH {
                serve::sign(&tokens[0]).await.unwrap_err();
            }
            faults.take_back_all()?;
            serve::sign(&tokens[0]).await?;
        }
        assert_eq!(done(&faults), before);
        Ok(())
    });
}

#[test]
fn a_login_that_fails_and_says_nothing_of_the_pin_is_tried_once_more_and_then_waits_for_somebody() {
    let test = "a_login_that_fails_and_says_nothing_of_the_pin_is_tried_once_more_and_then_waits_for_somebody";
    with_tokens(test, &["frail"], |tokens, faults| async move {
        let before = done(&faults);
        faults.put("C_SignInit", Fault::answer(CKR_DEVICE_ERROR).until(Cure::Login))?;
        faults.put("C_Login", Fault::answer(CKR_DEVICE_ERROR))?;
        while tokens[0].status().state == TokenState::Ready {
            let _ = serve::sign(&tokens[0]).await;
        }
        let status = serve::wait_for(&tokens[0], |status| status.state == TokenState::Failed).await?;
        assert!(status.detail.contains("says nothing of the PIN"), "{status:?}");
        let status = serve::wait_for(&tokens[0], |status| status.state == TokenState::Locked).await?;
        assert!(status.detail.contains("by hand"), "{status:?}");
        assert_eq!(done(&faults), (before.0 + 2, before.1));
        faults.take_back("C_Login")?;
        tokens[0].unlock(serve::pin("123456")).await?;
        serve::sign(&tokens[0]).await?;
        Ok(())
    });
}

#[test]
fn the_library_is_not_started_anew_under_another_token() {
    let test = "the_library_is_not_started_anew_under_another_token";
    with_tokens(test, &["frail", "sound"], |tokens, faults| async move {
        let [frail, sound] = [&tokens[0], &tokens[1]];
        let (before, generation) = (done(&faults), sound.status().generation);
        faults.put("C_SignInit", Fault::answer(CKR_DEVICE_ERROR))?;
        while frail.status().state == TokenState::Ready {
            let _ = serve::sign(frail).await;
        }
        let status = serve::wait_for(frail, |status| status.state == TokenState::Failed).await?;
        assert!(status.detail.contains("other tokens"), "{status:?}");
        faults.take_back_all()?;
        serve::sign(sound).await?;
        serve::ready(frail).await?;
        serve::sign(frail).await?;
        assert_eq!(done(&faults).1, before.1, "C_Initialize");
        assert_eq!(sound.status().generation, generation);
        Ok(())
    });
}

#[test]
fn a_token_that_fails_only_when_it_is_looked_at_climbs_and_rests_like_another() {
    let test = "a_token_that_fails_only_when_it_is_looked_at_climbs_and_rests_like_another";
    with_tokens(test, &["frail"], |tokens, faults| async move {
        let before = done(&faults);
        faults.put("C_GetSessionInfo", Fault::answer(CKR_DEVICE_ERROR))?;
        let status = serve::wait_for(&tokens[0], |status| {
            status.state == TokenState::Failed && status.detail.contains("C_GetSessionInfo goes on answering")
        })
        .await?;
        assert!(status.detail.contains("tried again in 1 s"), "{status:?}");
        let (logins, initialized) = done(&faults);
        assert_eq!(initialized, before.1 + 1);
        // Each time that it was looked at, and for two rungs.
        assert!((10..=14).contains(&(logins - before.0)), "{logins} logins");
        faults.take_back_all()?;
        serve::ready(&tokens[0]).await?;
        serve::sign(&tokens[0]).await?;
        Ok(())
    });
}
