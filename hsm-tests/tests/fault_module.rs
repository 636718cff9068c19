//! The fault module does what it is told: what is found out with it rests on that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Result;
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use cryptoki_sys::*;
use fault_module::{FILE_VARIABLE, MODULE_VARIABLE};
use hsm_tests::softhsm::{
    SoftHsm, Token, built_library,
    fault::{Fault, Faults},
    in_child,
};
use rustix::process::Signal;

fn prepare(softhsm: &SoftHsm) -> Result<()> {
    softhsm.init_token("frail", "123456")?;
    softhsm.init_token("sound", "123456").map(drop)
}

/// Runs `body` with the fault module loaded.
fn with_module(test: &str, body: impl FnOnce(&Pkcs11, &Faults, &SoftHsm) -> Result<()>) {
    in_child(test, prepare, |softhsm| {
        let module = Pkcs11::new(built_library("fault_module")?)?;
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        body(&module, &Faults::open()?, softhsm)
    })
    .unwrap();
}

/// A program that logs in through the fault module, and does no more.
fn login(softhsm: &SoftHsm, faults: &Faults, token: &Token, pin: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_token-tool"));
    command
        .arg(built_library("fault_module").unwrap())
        .args(["many", &token.serial, pin, "0"])
        .env("SOFTHSM2_CONF", softhsm.conf_path())
        .env(MODULE_VARIABLE, softhsm.module_path())
        .env(FILE_VARIABLE, faults.path())
        .stderr(Stdio::null());
    command
}

fn slot(module: &Pkcs11, token: &Token) -> Slot {
    let slots = module.get_slots_with_initialized_token().unwrap();
    let is_it = |slot: &Slot| module.get_token_info(*slot).unwrap().serial_number() == token.serial;
    slots.into_iter().find(is_it).unwrap()
}

fn log_in(session: &Session, pin: &str) -> Result<(), RvError> {
    code(session.login(UserType::User, Some(&AuthPin::new(pin.into()))))
}

fn code<T>(result: cryptoki::error::Result<T>) -> Result<T, RvError> {
    result.map_err(|error| match error {
        Error::Pkcs11(code, _) => code,
        other => panic!("{other}"),
    })
}

#[test]
fn a_return_value_is_answered_to_the_calls_it_is_meant_for_and_all_are_counted() {
    let test = "a_return_value_is_answered_to_the_calls_it_is_meant_for_and_all_are_counted";
    with_module(test, |module, faults, softhsm| {
        let slot = slot(module, &softhsm.token("frail")?);
        let before = faults.of("C_GetTokenInfo")?;
        let answers = || [(); 5].map(|()| code(module.get_token_info(slot)).err());
        let removed = Some(RvError::DeviceRemoved);
        faults.put(
            "C_GetTokenInfo",
            Fault::answer(CKR_DEVICE_REMOVED).after_calls(1).times(2),
        )?;
        assert_eq!(answers(), [None, removed, removed, None, None]);
        faults.put("C_GetTokenInfo", Fault::answer(CKR_DEVICE_REMOVED).after_calls(2))?;
        assert_eq!(answers(), [None, None, removed, removed, removed]);
        faults.take_back("C_GetTokenInfo")?;
        assert_eq!(answers(), [None; 5]);
        assert_eq!(faults.of("C_GetTokenInfo")?, before + 15);
        assert_eq!(faults.hits("C_GetTokenInfo")?, 5);
        Ok(())
    });
}

#[test]
fn open_sessions_are_counted_without_those_that_were_said_to_be_gone() {
    let test = "open_sessions_are_counted_without_those_that_were_said_to_be_gone";
    with_module(test, |module, faults, softhsm| {
        let slot = slot(module, &softhsm.token("frail")?);
        let sessions = [(); 3].map(|()| module.open_ro_session(slot).unwrap());
        assert_eq!(faults.sessions()?, 3);
        faults.put("C_GetSessionInfo", Fault::answer(CKR_SESSION_CLOSED).once())?;
        assert_eq!(code(sessions[0].get_session_info()).err(), Some(RvError::SessionClosed));
        assert_eq!(
            code(sessions[0].get_session_info()).err(),
            Some(RvError::SessionHandleInvalid)
        );
        assert_eq!(faults.sessions()?, 2);
        drop(sessions);
        assert_eq!(faults.sessions()?, 0);
        Ok(())
    });
}

#[test]
fn a_call_is_delayed_or_hangs_until_it_may_go_on() {
    with_module(
        "a_call_is_delayed_or_hangs_until_it_may_go_on",
        |module, faults, softhsm| {
            let slot = slot(module, &softhsm.token("frail")?);
            let started = Instant::now();
            faults.put("C_GetTokenInfo", Fault::delay(Duration::from_millis(50)).once())?;
            module.get_token_info(slot)?;
            assert!(started.elapsed() >= Duration::from_millis(50));
            faults.put("C_GetTokenInfo", Fault::hang().once())?;
            std::thread::scope(|scope| {
                let call = scope.spawn(|| module.get_token_info(slot));
                while faults.hits("C_GetTokenInfo")? < 2 {
                    std::thread::yield_now();
                }
                // The module goes on with everything else.
                assert_eq!(module.get_slots_with_initialized_token()?.len(), 2);
                assert!(!call.is_finished());
                faults.go_on("C_GetTokenInfo")?;
                call.join().unwrap()?;
                Ok(())
            })
        },
    );
}

#[test]
fn a_process_crashes_as_it_is_told_and_what_was_counted_outlives_it() {
    let softhsm = SoftHsm::new().unwrap();
    let token = softhsm.init_token("frail", "123456").unwrap();
    let faults = Faults::create(&softhsm.directory().join("faults")).unwrap();
    let watched = faults.token(&token.serial).unwrap();
    let ends = [
        (Fault::segfault(), (Some(Signal::SEGV.as_raw()), None)),
        (Fault::abort(), (Some(Signal::ABORT.as_raw()), None)),
        (Fault::exit(7), (None, Some(7))),
        (Fault::exit(0), (None, Some(0))),
    ];
    let run = |pin| {
        let status = login(&softhsm, &faults, &token, pin).status().unwrap();
        (status.signal(), status.code())
    };
    for (runs, (fault, end)) in (1..).zip(ends) {
        faults.put("C_Login", fault.behind_the_call()).unwrap();
        assert_eq!(run("654321"), end);
        assert_eq!(watched.wrong_pins().unwrap(), runs);
        faults.put("C_Login", fault).unwrap();
        assert_eq!(run("654321"), end);
        assert_eq!(watched.wrong_pins().unwrap(), runs);
        assert_eq!(faults.of("C_Login").unwrap(), 2 * runs);
    }
    faults.take_back_all().unwrap();
    assert_eq!(run("123456"), (None, Some(0)));
}

#[test]
fn a_token_locks_its_pin_and_says_so_beforehand() {
    with_module(
        "a_token_locks_its_pin_and_says_so_beforehand",
        |module, faults, softhsm| {
            let token = softhsm.token("frail")?;
            let (slot, watched) = (slot(module, &token), faults.token(&token.serial)?);
            watched.lock_pin_after(3)?;
            let session = module.open_ro_session(slot)?;
            let flags = || {
                let info = module.get_token_info(slot).unwrap();
                (
                    info.user_pin_count_low(),
                    info.user_pin_final_try(),
                    info.user_pin_locked(),
                )
            };
            assert_eq!(flags(), (false, false, false));
            log_in(&session, "000000").unwrap_err();
            assert_eq!(flags(), (true, false, false));
            log_in(&session, "123456").unwrap();
            assert_eq!(flags(), (false, false, false));
            session.logout()?;
            for expected in [(true, false, false), (true, true, false), (false, false, true)] {
                assert_eq!(log_in(&session, "000000"), Err(RvError::PinIncorrect));
                assert_eq!(flags(), expected);
            }
            assert_eq!(log_in(&session, "123456"), Err(RvError::PinLocked));
            assert_eq!((watched.pin_tries()?, watched.wrong_pins()?), (5, 4));
            watched.reset_pin_tries()?;
            log_in(&session, "123456").unwrap();
            Ok(())
        },
    );
}

#[test]
fn a_pulled_token_is_gone_with_its_sessions_and_its_login_and_the_other_stays() {
    let test = "a_pulled_token_is_gone_with_its_sessions_and_its_login_and_the_other_stays";
    with_module(test, |module, faults, softhsm| {
        let (frail, sound) = (softhsm.token("frail")?, softhsm.token("sound")?);
        let (slot, other) = (slot(module, &frail), slot(module, &sound));
        let watched = faults.token(&frail.serial)?;
        let sessions = [module.open_ro_session(slot)?, module.open_ro_session(slot)?];
        let untouched = module.open_ro_session(other)?;
        log_in(&sessions[0], "123456").unwrap();
        let all = module.get_all_slots()?;

        watched.pull()?;
        assert!(!module.get_slots_with_token()?.contains(&slot));
        assert!(module.get_slots_with_token()?.contains(&other));
        assert_eq!(module.get_all_slots()?, all);
        assert!(!module.get_slot_info(slot)?.token_present());
        assert_eq!(code(module.get_token_info(slot)).err(), Some(RvError::TokenNotPresent));
        assert_eq!(code(module.open_ro_session(slot)).err(), Some(RvError::TokenNotPresent));
        assert_eq!(code(sessions[0].get_session_info()).err(), Some(RvError::DeviceRemoved));
        assert_eq!(
            code(sessions[0].get_session_info()).err(),
            Some(RvError::SessionHandleInvalid)
        );

        watched.put_back()?;
        assert!(module.get_slots_with_token()?.contains(&slot));
        assert_eq!(code(sessions[1].get_session_info()).err(), Some(RvError::DeviceRemoved));
        assert_eq!(
            code(sessions[1].get_session_info()).err(),
            Some(RvError::SessionHandleInvalid)
        );
        let session = module.open_ro_session(slot)?;
        log_in(&session, "123456").unwrap();

        // Out and in again between two calls.
        watched.pull()?;
        watched.put_back()?;
        assert_eq!(code(session.get_session_info()).err(), Some(RvError::DeviceRemoved));
        untouched.get_session_info()?;
        Ok(())
    });
}
