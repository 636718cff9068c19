//! Ctrl-C and its relatives end a command by dropping it, so that what it holds (a temporary file, a terminal without
//! echo, a call at the daemon) is given back first.

use std::future::{Future, pending};

use tokio::signal::unix::{SignalKind, signal};

use crate::error::CommandError;

/// Runs a command until it is done or a signal comes.
pub(crate) async fn or<T>(command: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::select! {
        outcome = command => outcome,
        number = any_of([SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]) => {
            Err(CommandError::Interrupted { signal: u8::try_from(number).unwrap_or(u8::MAX) })
        }
    }
}

async fn any_of([first, second, third]: [SignalKind; 3]) -> i32 {
    tokio::select! {
        () = one(first) => first.as_raw_value(),
        () = one(second) => second.as_raw_value(),
        () = one(third) => third.as_raw_value(),
    }
}

/// Ends when the signal comes. Where it cannot be awaited it keeps its default effect.
async fn one(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => pending().await,
    }
}
