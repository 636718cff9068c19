//! How tokens come into service: all of them are started at once, and one that hangs holds up neither the others nor, for longer
//! than a few seconds, the word that the daemon is ready.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chancery_token::{Backlog, Launch, Loads, ModuleConfig, Pin, TokenConfig, TokenHandle, TokenState, Tokens};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{StreamExt as _, StreamMap};

use super::AppError;
use crate::audit::head_path;
use crate::config::{Config, PinSource};
use crate::{credentials, permissions, state};

/// How long the start waits for tokens to be looked at before it says that it is ready, so that who was waiting for that finds
/// their keys. A slower one is served when it is there.
const TOKENS_START: Duration = Duration::from_secs(5);

/// Once one token can be used, the others have that long before callers are let in.
const MOMENT: Duration = Duration::from_secs(1);

/// The command of [`crate::cli`] that a module's process is started with.
const MODULE_WORKER: &str = "module-worker";

/// Starts the tokens of the configuration, and waits for none of them.
pub(super) async fn tokens(
    config: &Config,
    file: &Path,
    certificates: &[Vec<u8>],
    backlog: Backlog,
) -> Result<(Tokens, Loads), AppError> {
    for module in config.modules.iter().filter(|module| module.path.exists()) {
        permissions::trusted_library(&module.path).map_err(|source| AppError::Module {
            module: module.name.clone(),
            source,
        })?;
    }
    let hidden = hidden_from_modules(config, file);
    let modules = config.modules.iter();
    let modules = modules
        .map(|module| ModuleConfig {
            name: module.name.clone(),
            path: module.path.clone(),
            environment: module.environment.clone(),
            network: module.network,
            programs: module.programs,
            hidden: hidden.clone(),
            load_time: config.limits.module_load,
        })
        .collect::<Vec<_>>();
    // Without a token nothing is remembered.
    let any = !config.tokens.is_empty();
    let pin_memory = any.then(|| state::pin_memory(&config.state)).transpose()?;
    let mut tokens = Vec::with_capacity(config.tokens.len());
    for token in &config.tokens {
        let pin = token.pin.as_ref().map(credentials::pin).transpose();
        let pin = pin.map_err(|source| AppError::Pin {
            token: token.name.clone(),
            source,
        })?;
        tokens.push(TokenConfig {
            name: token.name.clone(),
            module: token.module.clone(),
            selector: token.selector.clone(),
            sessions: token.sessions,
            queue: token.queue,
            pin: pin.map(Pin::new),
            pin_pad: token.pin_pad,
            pin_memory: pin_memory.clone(),
            certificates: certificates.to_vec(),
            call_deadline: config.limits.call_deadline,
            call_grace: config.limits.call_grace,
            keep_alive: token.keep_alive,
        });
    }
    let launch = Launch::this_program([MODULE_WORKER]);
    Ok(spawn_blocking(move || Tokens::begin(&modules, tokens, &launch, &backlog)).await??)
}

/// Returns once every module has loaded and every token has been looked at, or they have had their time.
///
/// # Errors
/// When a module cannot be loaded.
pub(super) async fn settle(loads: Loads, tokens: Vec<TokenHandle>) -> Result<(), AppError> {
    let loaded = async { Ok(spawn_blocking(move || loads.wait()).await??) };
    let seen = async {
        if timeout(TOKENS_START, looked_at(&tokens)).await.is_err() {
            tracing::warn!("a token has not been looked at yet; the others are served meanwhile");
        }
        Ok(())
    };
    tokio::try_join!(loaded, seen).map(drop)
}

/// Returns once whoever connects finds something to use: one token can be used, and the others have had a moment.
pub(super) async fn worth_serving(tokens: &[TokenHandle]) {
    let changes = tokens.iter().map(|token| WatchStream::from_changes(token.changes()));
    let mut changes: StreamMap<usize, WatchStream<u64>> = changes.enumerate().collect();
    let is_ready = |token: &TokenHandle| token.status().state == TokenState::Ready;
    while !tokens.iter().any(is_ready) && changes.next().await.is_some() {}
    sleep(MOMENT).await;
}

/// Returns once it is known of every token how it stands.
async fn looked_at(tokens: &[TokenHandle]) {
    for token in tokens {
        let mut changes = token.changes();
        // Without anybody to change it, it stays as it is.
        while token.status().state == TokenState::Starting && changes.changed().await.is_ok() {}
    }
}

/// What is the daemon's own business: a module has nothing to look for there.
fn hidden_from_modules(config: &Config, file: &Path) -> Vec<PathBuf> {
    let mut hidden = vec![
        file.to_owned(),
        state::pins(&config.state),
        config.mail.spool_directory.clone(),
    ];
    hidden.extend(trail(&config.audit.file, std::env::var_os("LOGS_DIRECTORY")));
    hidden.extend(config.listen.tls.as_ref().map(|tls| tls.key.clone()));
    hidden.extend(credentials::directory());
    hidden.extend(config.tokens.iter().filter_map(|token| match &token.pin {
        Some(PinSource::File(file)) => Some(file.clone()),
        _ => None,
    }));
    // A relative path is that of a trial; nothing that a service manager starts has one.
    hidden.retain(|path| path.is_absolute());
    hidden
}

/// The audit trail: with all that was rotated away if it is in the directory that systemd has made for the daemon's logs
/// (`LogsDirectory=`), and otherwise what stands there under its names.
fn trail(file: &Path, logs: Option<OsString>) -> Vec<PathBuf> {
    let own =
        logs.and_then(|logs| std::env::split_paths(&logs).find(|logs| logs.is_absolute() && file.starts_with(logs)));
    own.map_or_else(|| vec![file.to_owned(), head_path(file)], |own| vec![own])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_directory_is_hidden_if_it_is_the_one_for_the_daemons_logs() {
        let file = Path::new("/var/log/chancery/audit.jsonl");
        let both = [file.to_owned(), head_path(file)];
        assert_eq!(
            trail(file, Some("/var/log/chancery".into())),
            [Path::new("/var/log/chancery")]
        );
        assert_eq!(
            trail(file, Some("/var/log/other:/var/log/chancery".into())),
            [Path::new("/var/log/chancery")]
        );
        assert_eq!(trail(file, Some("/var/log/other".into())), both);
        assert_eq!(trail(file, Some("".into())), both);
        assert_eq!(trail(file, None), both);
    }
}
