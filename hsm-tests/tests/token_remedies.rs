//! The table of what each return value leads to, walked row by row against a module that gives it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use chancery_token::{
    Digest, Dispatch, SignInput, SignMechanism, TokenError, TokenHandle, TokenState, TokenStatus,
    remedy::{RULES, Remedy},
};
use cryptoki_sys::*;
use hsm_tests::softhsm::{
    Curve, SoftHsm, Usage,
    fault::{Fault, Faults},
    in_child, serve,
};

/// A value that no table has.
const VENDORS_OWN: (CK_RV, &str) = (CKR_VENDOR_DEFINED | 0x4711, "CKR_VENDOR_DEFINED");

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    let token = softhsm.init_token("frail", "123456")?;
    softhsm.generate_ec(&token, "p256", &[1], Curve::P256, Usage::Sign)?;
    softhsm.generate_ec(&token, "spare", &[2], Curve::P256, Usage::Sign)?;
    Ok(())
}

/// Runs `body` with a token that has one worker, so that a job is done with when the next begins.
fn with_token<F: Future<Output = Result<()>>>(test: &str, body: impl FnOnce(TokenHandle, Faults) -> F) {
    in_child(test, prepare, |softhsm| {
        let mut config = serve::config(&softhsm.token("frail")?);
        config.sessions = 1;
        let tokens = serve::start_faulty(vec![config])?;
        let token = tokens.handles()[0].clone();
        serve::block_on(async {
            serve::ready(&token).await?;
            body(token, Faults::open()?).await?;
            tokens.shutdown().await;
            Ok(())
        })?
    })
    .unwrap();
}

/// Every value of the table with what it leads to, and one that is not in it.
fn rows() -> impl Iterator<Item = (CK_RV, &'static str, Remedy)> {
    let listed = RULES
        .iter()
        .flat_map(|rule| rule.ckrs.iter().map(|(code, name)| (*code, *name, rule.remedy)));
    listed.chain([(VENDORS_OWN.0, VENDORS_OWN.1, Remedy::Examine)])
}

/// One value for each remedy, and one that is not in the table.
fn one_of_each() -> Vec<(CK_RV, &'static str)> {
    let mut chosen: HashMap<Remedy, (CK_RV, &str)> = HashMap::new();
    for rule in RULES {
        chosen.entry(rule.remedy).or_insert(rule.ckrs[0]);
    }
    chosen.into_values().chain([VENDORS_OWN]).collect()
}

/// Whether the caller of a signature was told what the value means.
fn is_told(error: &TokenError, ckr: CK_RV, name: &str, remedy: Remedy) -> bool {
    match (remedy, ckr) {
        (Remedy::Absent, _) => matches!(error, TokenError::Absent { .. }),
        (
            Remedy::Caller,
            CKR_MECHANISM_INVALID
            | CKR_MECHANISM_PARAM_INVALID
            | CKR_ARGUMENTS_BAD
            | CKR_FUNCTION_NOT_SUPPORTED
            | CKR_KEY_TYPE_INCONSISTENT
            | CKR_KEY_SIZE_RANGE
            | CKR_CURVE_NOT_SUPPORTED,
        ) => matches!(error, TokenError::MechanismUnsupported { .. }),
        (Remedy::Caller, CKR_KEY_FUNCTION_NOT_PERMITTED) => matches!(error, TokenError::KeyRole { .. }),
        (Remedy::Caller, CKR_DATA_INVALID | CKR_DATA_LEN_RANGE) => matches!(error, TokenError::InputRefused { .. }),
        _ => matches!(error, TokenError::Ckr { .. }) && error.ckr() == Some(name),
    }
}

/// The token serves, with nothing left of what has happened.
async fn serves_again(token: &TokenHandle) -> Result<()> {
    // It may look well until the anchor has got round to looking at it.
    loop {
        serve::ready(token).await?;
        match serve::sign(token).await {
            Err(TokenError::Absent { .. } | TokenError::Failed { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    // What a worker found out is in the status soon after the answer.
    serve::wait_for(token, |status| {
        status.state == TokenState::Ready && status.last_error.is_none()
    })
    .await?;
    Ok(())
}

#[test]
fn every_value_has_its_remedy_when_it_comes_once() {
    with_token(
        "every_value_has_its_remedy_when_it_comes_once",
        |token, faults| async move {
            serve::sign(&token).await?;
            for (ckr, name, remedy) in rows() {
                for function in ["C_SignInit", "C_Sign"] {
                    if (function, ckr) == ("C_Sign", CKR_BUFFER_TOO_SMALL) {
                        // The call is made again with a larger buffer; the table is not asked.
                        continue;
                    }
                    let at = || format!("{function} answered {name} ({remedy:?})");
                    let before = Seen::now(&faults)?;
                    faults.put(function, Fault::answer(ckr).once())?;
                    let answer = serve::sign(&token).await;
                    match (remedy, &answer) {
                        (_, Ok(_)) if remedy.tries_again() => {}
                        (_, Err(error)) if remedy.tries_again() => panic!("{}: the caller noticed: {error}", at()),
                        (_, Err(error)) => assert!(is_told(error, ckr, name, remedy), "{}: {error:?}", at()),
                        (_, Ok(_)) => panic!("{}: the caller has a signature", at()),
                    }
                    serves_again(&token).await.with_context(at)?;
                    let now = Seen::now(&faults)?;
                    // One call failed, one more was for the next job.
                    let tries = if answer.is_ok() { 2 } else { 1 };
                    assert_eq!(now.calls - before.calls, tries + 1, "{}: tries", at());
                    assert_eq!(now.logins, before.logins, "{}: logins", at());
                    let replaced = !matches!(remedy, Remedy::LookUp | Remedy::LogIn | Remedy::Caller);
                    assert!(
                        now.sessions > before.sessions || !replaced,
                        "{}: it kept its session",
                        at()
                    );
                }
            }
            Ok(())
        },
    );
}

struct Seen {
    calls: u64,
    logins: u64,
    sessions: u64,
}

impl Seen {
    fn now(faults: &Faults) -> Result<Self> {
        Ok(Self {
            calls: faults.of("C_SignInit")?,
            logins: faults.of("C_Login")?,
            sessions: faults.of("C_OpenSession")?,
        })
    }
}

#[test]
fn a_value_that_keeps_coming_is_an_error_after_three_tries_at_most() {
    let test = "a_value_that_keeps_coming_is_an_error_after_three_tries_at_most";
    with_token(test, |token, faults| async move {
        for (ckr, name, remedy) in rows() {
            let at = || format!("C_SignInit keeps answering {name} ({remedy:?})");
            let calls = faults.of("C_SignInit")?;
            faults.put("C_SignInit", Fault::answer(ckr))?;
            let error = serve::sign(&token).await.unwrap_err();
            assert!(is_told(&error, ckr, name, remedy), "{}: {error:?}", at());
            let tries = faults.of("C_SignInit")? - calls;
            assert_eq!(tries, if remedy.tries_again() { 3 } else { 1 }, "{}", at());
            faults.take_back("C_SignInit")?;
            serves_again(&token).await.with_context(at)?;
        }
        Ok(())
    });
}

/// A value for each remedy from a function of the anchor's, which is led there by other faults.
fn anchor_survives(test: &str, function: &'static str, way: &[(&'static str, CK_RV)]) {
    with_token(test, |token, faults| async move {
        for (ckr, name) in one_of_each() {
            let at = || format!("{function} answered {name}");
            let hits = faults.hits(function)?;
            faults.put(function, Fault::answer(ckr).once())?;
            for (function, ckr) in way {
                faults.put(function, Fault::answer(*ckr).once())?;
            }
            // Nobody is promised anything of this one.
            let _ = serve::sign(&token).await;
            while faults.hits(function)? == hits {
                tokio::task::yield_now().await;
            }
            // The anchor has the answer, and has yet to act on it.
            while matches!(
                serve::sign(&token).await,
                Err(TokenError::Absent { .. } | TokenError::Failed { .. })
            ) {
                serve::ready(&token).await.with_context(at)?;
            }
            serves_again(&token).await.with_context(at)?;
        }
        Ok(())
    });
}

#[test]
fn whatever_get_token_info_answers_once_the_token_serves_again() {
    let test = "whatever_get_token_info_answers_once_the_token_serves_again";
    anchor_survives(test, "C_GetTokenInfo", &[("C_SignInit", CKR_DEVICE_ERROR)]);
}

#[test]
fn whatever_get_session_info_answers_once_the_token_serves_again() {
    let test = "whatever_get_session_info_answers_once_the_token_serves_again";
    anchor_survives(test, "C_GetSessionInfo", &[("C_SignInit", CKR_DEVICE_ERROR)]);
}

#[test]
fn whatever_open_session_answers_once_the_token_serves_again() {
    let test = "whatever_open_session_answers_once_the_token_serves_again";
    anchor_survives(test, "C_OpenSession", &[("C_SignInit", CKR_SESSION_HANDLE_INVALID)]);
}

/// The anchor gives up the token and attaches to it anew.
const LOST: &[(&str, CK_RV)] = &[
    ("C_SignInit", CKR_DEVICE_ERROR),
    ("C_GetSessionInfo", CKR_SESSION_CLOSED),
];

#[test]
fn whatever_get_slot_list_answers_once_the_token_serves_again() {
    let test = "whatever_get_slot_list_answers_once_the_token_serves_again";
    anchor_survives(test, "C_GetSlotList", LOST);
}

#[test]
fn whatever_the_search_for_keys_answers_once_the_token_serves_again() {
    let test = "whatever_the_search_for_keys_answers_once_the_token_serves_again";
    anchor_survives(test, "C_FindObjectsInit", LOST);
}

#[test]
fn a_library_that_lost_its_state_is_initialised_again() {
    with_token(
        "a_library_that_lost_its_state_is_initialised_again",
        |token, faults| async move {
            let initialised = faults.of("C_Initialize")?;
            for function in ["C_SignInit", "C_GetTokenInfo", "C_GetSlotList"] {
                faults.put(function, Fault::answer(CKR_CRYPTOKI_NOT_INITIALIZED).once())?;
            }
            let _ = serve::sign(&token).await;
            serve::wait_for(&token, |_| faults.of("C_Initialize").unwrap() > initialised).await?;
            serves_again(&token).await
        },
    );
}

#[test]
fn a_key_does_not_vanish_because_the_token_fails_when_the_keys_are_listed() {
    let test = "a_key_does_not_vanish_because_the_token_fails_when_the_keys_are_listed";
    with_token(test, |token, faults| async move {
        let keys = token.catalogue();
        for ckr in [CKR_DEVICE_ERROR, CKR_SESSION_HANDLE_INVALID, CKR_DEVICE_REMOVED] {
            let (hits, generation) = (faults.hits("C_GetAttributeValue")?, token.status().generation);
            faults.put("C_GetAttributeValue", Fault::answer(ckr).once())?;
            faults.put("C_SignInit", Fault::answer(CKR_KEY_HANDLE_INVALID).once())?;
            // The handle is stale, and so the keys are looked up; whether that helps in time is another matter.
            let _ = serve::sign(&token).await;
            let listed = |status: &TokenStatus| status.state == TokenState::Ready && status.generation > generation;
            serve::wait_for(&token, listed).await?;
            assert_eq!(faults.hits("C_GetAttributeValue")?, hits + 1);
            assert_eq!(token.catalogue(), keys, "{ckr:#x}");
            serve::sign(&token).await?;
        }
        Ok(())
    });
}

#[test]
fn an_object_that_can_never_be_read_takes_the_token_away_once_and_not_at_every_listing() {
    /// Listings that fail before the object is taken to be the one to blame, and how often it is tried from then on.
    const LISTINGS: u32 = 3;
    const TRIES: u32 = 5;
    let test = "an_object_that_can_never_be_read_takes_the_token_away_once_and_not_at_every_listing";
    with_token(test, |token, faults| async move {
        let relisted = async |faulty: u32| {
            let generation = token.status().generation;
            faults.put("C_GetAttributeValue", Fault::answer(CKR_DEVICE_ERROR).times(faulty))?;
            faults.put("C_SignInit", Fault::answer(CKR_KEY_HANDLE_INVALID).once())?;
            let _ = token
                .sign(
                    token.catalogue().keys[0].id,
                    SignMechanism::Ecdsa(Digest::Sha256),
                    SignInput::Digest(vec![7; 32]),
                    Dispatch::default(),
                )
                .await;
            let listed = |status: &TokenStatus| status.state == TokenState::Ready && status.generation > generation;
            serve::wait_for(&token, listed).await?;
            assert_eq!(token.catalogue().keys.len(), 1);
            anyhow::Ok(())
        };
        // The first of two keys.
        relisted(LISTINGS + TRIES).await?;
        let logins = faults.of("C_Login")?;
        relisted(TRIES).await?;
        assert_eq!(faults.of("C_Login")?, logins);
        Ok(())
    });
}
