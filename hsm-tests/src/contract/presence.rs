//! Removal and return: the keys stay listed, what is asked meanwhile fails clearly, and nobody has to help afterwards.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chancery_proto::v1::TokenState;
use tonic::Code;

use super::{
    Bench, TokenUnderTest,
    pins::has_reason,
    signing::{a_signer, an_input, every_key_signs, sign_something, verify_all},
};
use crate::daemon::Pin;

/// Within this the daemon knows that it has gone or come.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

/// What a call may fail with while the token is being pulled out. Modules hang then (OpenSC 0.23, for good), and are replaced.
const WHILE_IT_GOES: [&str; 6] = [
    "TOKEN_ABSENT",
    "TOKEN_FAILED",
    "TOKEN_ERROR",
    "TOKEN_TIMEOUT",
    "MODULE_ENDED",
    "DEADLINE_EXCEEDED",
];

/// After this a module that hangs has been replaced.
const SOON: &str = "call_deadline = \"3s\"\ncall_grace = \"1s\"";

/// Calls that are in flight when the token goes.
const IN_FLIGHT: usize = 60;

/// Twice: gone, it is absent and its keys are listed as not available; back, it is ready and every key works.
pub fn it_comes_back_by_itself<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Right)?;
    let listed = bench.caller.keys()?;
    for _ in 0..2 {
        every_key_signs::<T>(&mut bench.caller)?;
        bench.token.remove()?;
        let (shown, noticed) = bench.caller.wait_for(TokenState::Absent)?;
        ensure!(noticed < NOTICED_WITHIN, "it took {noticed:?} to see that it is gone");
        let words = T::ROW.removal.context("the table says that it stays")?;
        ensure!(words.contains(&shown.last_error.as_str()), "{shown:?}");
        ensure!(!shown.detail.is_empty(), "{shown:?}");
        let absent = bench.caller.keys()?;
        ensure!(absent.len() == listed.len(), "{absent:#?}");
        for (before, after) in listed.iter().zip(&absent) {
            ensure!(before.name == after.name && before.certificates == after.certificates);
            ensure!(after.replicas.iter().all(|replica| !replica.available), "{after:#?}");
        }
        let refusal = has_reason(sign_something::<T>(&mut bench.caller)?, "TOKEN_ABSENT")?;
        ensure!(refusal.code == Code::Unavailable, "{refusal:?}");
        bench.token.insert()?;
        let (shown, noticed) = bench.caller.wait_for(TokenState::Ready)?;
        ensure!(noticed < NOTICED_WITHIN, "it took {noticed:?} to see that it is back");
        ensure!(shown.last_error.is_empty(), "{shown:?}");
        ensure!(bench.caller.keys()? == listed);
    }
    every_key_signs::<T>(&mut bench.caller)
}

/// Every call in flight has one outcome: a valid signature, or an error that says what happened.
pub fn what_is_asked_of_it_while_it_goes_fails_clearly<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start_with(token, Pin::Right, |setup| setup.configure("limits", SOON))?;
    let (row, algorithm) = a_signer(T::ROW.keys)?;
    let (key, input) = (row.files().key()?, an_input(algorithm)?);
    let mut calls = bench.caller.begin_signing(&key, algorithm, &input, IN_FLIGHT);
    let first = bench.caller.first_of(&mut calls)?;
    bench.token.remove()?;
    let mut answers = bench.caller.rest_of(calls);
    answers.push(first);
    ensure!(answers.len() == IN_FLIGHT);
    let mut signatures = Vec::new();
    for answer in answers {
        match answer {
            Ok(signature) => signatures.push(signature),
            Err(refusal) => ensure!(WHILE_IT_GOES.contains(&refusal.reason.as_str()), "{refusal:?}"),
        }
    }
    ensure!(
        !signatures.is_empty() && signatures.len() < IN_FLIGHT,
        "{} signatures",
        signatures.len()
    );
    verify_all(row, algorithm, signatures)?;
    bench.caller.wait_for(TokenState::Absent)?;
    bench.token.insert()?;
    bench.caller.wait_for(TokenState::Ready)?;
    every_key_signs::<T>(&mut bench.caller)
}
