//! `chanceryd check-config`: everything that can be found wrong without opening a token or a socket.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use super::{EX_CONFIG, fail, say, with_causes};
use crate::config::{Config, MetricsListen, PinSource};
use crate::{certificates, credentials, permissions, state};

/// Checks the file, and the files and directories that it names as far as they can be seen from here.
#[must_use]
pub fn check_config(file: &Path) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => return fail(EX_CONFIG, error),
    };
    let mut problems = Vec::new();
    for token in &config.tokens {
        // Credentials and variables are there only when the daemon runs.
        if let Some(source @ PinSource::File(_)) = &token.pin
            && let Err(error) = credentials::pin(source)
        {
            problems.push(format!("token {}: {}", token.name, with_causes(&error)));
        }
    }
    if let Some(directory) = &config.certificates
        && let Err(error) = certificates::read_directory(directory)
    {
        problems.push(with_causes(&error));
    }
    let metrics = match &config.metrics {
        Some(MetricsListen::Unix(socket)) => Some(socket),
        Some(MetricsListen::Loopback(_)) | None => None,
    };
    let sockets = config.listen.unix.iter().chain(metrics);
    let directories: BTreeSet<_> = sockets.filter_map(|socket| socket.path.parent()).collect();
    for directory in directories {
        if directory.exists()
            && let Err(error) = permissions::trusted_directory(directory)
        {
            problems.push(format!("socket directory: {error}"));
        }
    }
    for module in &config.modules {
        if !module.path.exists() {
            problems.push(format!("module {}: there is no {}", module.name, module.path.display()));
        } else if let Err(error) = permissions::trusted_library(&module.path) {
            problems.push(format!("module {}: {error}", module.name));
        }
    }
    if !config.tokens.is_empty()
        && let Err(error) = state::check_writable(&config.state)
    {
        problems.push(with_causes(&error));
    }
    if problems.is_empty() {
        say(format_args!(
            "{}: fine; {} tokens, {} grants",
            file.display(),
            config.tokens.len(),
            config.grants.len()
        ));
        return ExitCode::SUCCESS;
    }
    fail(EX_CONFIG, problems.join("\nchanceryd: "))
}
