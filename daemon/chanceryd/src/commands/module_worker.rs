//! `chanceryd module-worker`: the process that has a module in it. The daemon starts it; nobody else can.

use std::path::Path;
use std::process::ExitCode;

use super::{fail, with_causes};
use crate::{hardening, logging, permissions};

/// Serves a module's tokens to the daemon until it says so or ends.
#[must_use]
pub fn module_worker() -> ExitCode {
    logging::start_for_the_daemon();
    if let Err(error) = hardening::apply() {
        return fail(1, format_args!("core dumps cannot be switched off: {error}"));
    }
    // The daemon has looked before, but this process may be a later one.
    let may_load = |module: &Path| permissions::trusted_library(module).map_err(|error| error.to_string());
    match chancery_token::serve_module(may_load) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, with_causes(&error)),
    }
}
