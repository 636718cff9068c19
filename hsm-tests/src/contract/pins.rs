//! PINs: a wrong one costs one try, whoever gave it, and the token can be locked and unlocked.

use anyhow::{Context as _, Result, ensure};
use chancery_proto::v1::{PinStatus, TokenState};
use tonic::Code;

use super::{
    Bench, TokenUnderTest,
    caller::Refusal,
    signing::{every_key_signs, sign_something},
};
use crate::daemon::{PIN, Pin, WRONG_PIN};

/// The daemon is configured with a wrong one: it is tried once, however much is asked of the token and whoever repeats it.
pub fn a_wrong_pin_costs_one_try<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Wrong)?;
    let (shown, _) = bench.caller.wait_for(TokenState::Locked)?;
    ensure!(shown.last_error == T::ROW.pin.wrong, "{shown:?}");
    ensure!(shown.pin_status() == T::ROW.pin.after_one_wrong, "{shown:?}");
    ensure!(!shown.detail.is_empty(), "{shown:?}");
    for _ in 0..5 {
        is_refused_a_signature(&mut bench)?;
    }
    bench.daemon.reload()?;
    is_refused_a_signature(&mut bench)?;
    has_reason(bench.caller.unlock(WRONG_PIN), "PIN_ALREADY_FAILED")?;
    ensure!(bench.logins()? == 1, "{} tries", bench.logins()?);
    unlocks(&mut bench)
}

/// Somebody gives a wrong one: it is one try, the same one again is none, and another wrong one is the second.
pub fn a_wrong_pin_by_hand_costs_one_try<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::None)?;
    bench.caller.wait_for(TokenState::Locked)?;
    for (pin, reason, tries) in [
        (WRONG_PIN, "PIN_INCORRECT", 1),
        (WRONG_PIN, "PIN_ALREADY_FAILED", 1),
        ("222222", "PIN_INCORRECT", 2),
        (WRONG_PIN, "PIN_ALREADY_FAILED", 2),
    ] {
        has_reason(bench.caller.unlock(pin), reason)?;
        ensure!(bench.logins()? == tries, "{pin}: {} tries", bench.logins()?);
        let shown = bench.caller.token()?;
        ensure!(shown.state() == TokenState::Locked, "{shown:?}");
    }
    unlocks(&mut bench)
}

/// So many as the table says, by hand, and each is told; then the right one is refused as well. A token that cannot be
/// locked takes the right one after any number.
pub fn wrong_pins_in_a_row_lock_it_where_the_table_says_so<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::None)?;
    bench.caller.wait_for(TokenState::Locked)?;
    let tries = T::ROW.pin.tries;
    for number in 1..=tries.unwrap_or(5) {
        let reason = match tries {
            Some(tries) if number == tries => T::ROW.pin.last_wrong,
            _ => "PIN_INCORRECT",
        };
        has_reason(bench.caller.unlock(&format!("22222{number}")), reason).with_context(|| format!("try {number}"))?;
        ensure!(bench.logins()? == u64::from(number), "{} tries", bench.logins()?);
    }
    if tries.is_none() {
        return unlocks(&mut bench);
    }
    let shown = bench.caller.token()?;
    ensure!(shown.pin_status() == T::ROW.pin.when_locked, "{shown:?}");
    let before = bench.logins()?;
    has_reason(bench.caller.unlock(PIN), "PIN_LOCKED")?;
    // A token that does not say that it is locked is asked.
    let asked = u64::from(T::ROW.pin.when_locked != PinStatus::Locked);
    ensure!(bench.logins()? == before + asked, "a locked PIN was tried");
    Ok(())
}

/// Nothing is tried, and the right one by hand is all that it needs.
pub fn without_a_pin_it_waits_for_one<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::None)?;
    let (shown, _) = bench.caller.wait_for(TokenState::Locked)?;
    ensure!(shown.last_error.is_empty(), "{shown:?}");
    ensure!(shown.pin_status() == PinStatus::Unspecified, "{shown:?}");
    is_refused_a_signature(&mut bench)?;
    ensure!(bench.logins()? == 0, "{} tries", bench.logins()?);
    unlocks(&mut bench)?;
    let mut bench = bench.restart()?;
    let (shown, _) = bench.caller.wait_for(TokenState::Locked)?;
    ensure!(shown.last_error.is_empty(), "{shown:?}");
    unlocks(&mut bench)
}

/// Its keys are there, and nothing can be done with them until it is unlocked again.
pub fn a_locked_token_keeps_its_keys_listed<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Right)?;
    every_key_signs::<T>(&mut bench.caller)?;
    for _ in 0..2 {
        let before = bench.caller.keys()?;
        let locked = bench.caller.lock().map_err(unexpected)?;
        ensure!(locked.state() == TokenState::Locked, "{locked:?}");
        let tries = bench.logins()?;
        let after = bench.caller.keys()?;
        ensure!(before.len() == after.len(), "{after:#?}");
        for (before, after) in before.iter().zip(&after) {
            ensure!(before.name == after.name && before.roles == after.roles, "{after:#?}");
            ensure!(after.replicas.iter().all(|replica| !replica.available), "{after:#?}");
        }
        let refusal = has_reason(sign_something::<T>(&mut bench.caller)?, "TOKEN_LOCKED")?;
        ensure!(refusal.code == Code::FailedPrecondition, "{refusal:?}");
        ensure!(bench.logins()? == tries, "a locked token was logged in to");
        unlocks(&mut bench)?;
    }
    Ok(())
}

/// The right PIN opens it, and every key signs.
fn unlocks<T: TokenUnderTest>(bench: &mut Bench<T>) -> Result<()> {
    let unlocked = bench.caller.unlock(PIN).map_err(unexpected)?;
    ensure!(unlocked.state() == TokenState::Ready, "{unlocked:?}");
    ensure!(unlocked.pin_status() == PinStatus::Unspecified, "{unlocked:?}");
    ensure!(unlocked.last_error.is_empty(), "{unlocked:?}");
    every_key_signs::<T>(&mut bench.caller)
}

fn is_refused_a_signature<T: TokenUnderTest>(bench: &mut Bench<T>) -> Result<()> {
    let answer = sign_something::<T>(&mut bench.caller)?;
    // Before the first login nobody knows what keys a token has.
    let refusal = answer.err().context("it signed")?;
    ensure!(
        ["TOKEN_LOCKED", "KEY_NOT_FOUND", "NOT_PERMITTED"].contains(&refusal.reason.as_str()),
        "{refusal:?}"
    );
    Ok(())
}

/// The refusal that this is.
pub(super) fn has_reason<A>(answer: std::result::Result<A, Refusal>, reason: &str) -> Result<Refusal> {
    let refusal = answer.err().with_context(|| format!("no {reason}"))?;
    ensure!(refusal.reason == reason, "{refusal:?}, where {reason} is expected");
    Ok(refusal)
}

fn unexpected(refusal: Refusal) -> anyhow::Error {
    anyhow::anyhow!("{refusal:?}")
}
