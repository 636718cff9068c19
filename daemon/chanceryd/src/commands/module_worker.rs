//! `chanceryd module-worker`: the process that has a module in it. The daemon starts it; nobody else can.

use std::process::ExitCode;

use super::{fail, with_causes};
use crate::{hardening, logging};

/// Serves a module's tokens to the daemon until it says so or ends.
#[must_use]
pub fn module_worker() -> ExitCode {
    logging::start_for_the_daemon();
    if let Err(error) = hardening::apply() {
        return fail(1, format_args!("core dumps cannot be switched off: {error}"));
    }
    match chancery_token::serve_module() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, with_causes(&error)),
    }
}
