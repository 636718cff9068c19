//! `chanceryd run`: the process around [`crate::app`].

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::{EX_CONFIG, fail, with_causes};
use crate::config::Config;
use crate::listen::Activated;
use crate::traces::Exporter;
use crate::wire::{self, BeforeSleep};
use crate::{app, hardening, logging};

/// Serves until told to stop.
#[must_use]
pub fn run(file: &Path) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => return fail(EX_CONFIG, error),
    };
    let activated = Activated::from_environment();
    let before_sleep = Arc::new(BeforeSleep::default());
    let runtime = match wire::runtime(&before_sleep) {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, format_args!("the runtime cannot be started: {error}")),
    };
    let within = runtime.enter();
    let exporter = match config.traces.as_ref().map(Exporter::new).transpose() {
        Ok(exporter) => exporter,
        Err(error) => return fail(EX_CONFIG, error),
    };
    let level = match logging::start(config.log, exporter.as_ref()) {
        Ok(level) => level,
        Err(error) => {
            return fail(
                1,
                format_args!("the journal cannot be reached: {error}; set log.format = \"text\""),
            );
        }
    };
    if let Err(error) = hardening::apply() {
        return fail(1, format_args!("core dumps cannot be switched off: {error}"));
    }
    let served = runtime.block_on(app::serve(config, file, level, activated, &before_sleep));
    if let Some(exporter) = exporter {
        exporter.finish();
    }
    drop(within);
    // Drops what the drain's deadline left; each such request still records in the audit trail that it was abandoned.
    runtime.shutdown_timeout(app::LAST_WORDS);
    if let Some(audit) = before_sleep.audit() {
        audit.finish();
        if served.is_ok()
            && let Err(error) = audit.note("stopped", "")
        {
            tracing::error!(%error, "the end could not be recorded");
        }
        audit.flush();
    }
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = with_causes(&error);
            tracing::error!(error, "cannot go on");
            fail(1, error)
        }
    }
}
