//! The only wiring: everything is made here, in the order in which it must be there, and taken down in the other.
//!
//! ```text
//!   audit trail → certificates, PINs → tokens → directory → listeners → gRPC → READY=1
//!   SIGHUP: reload        SIGTERM, SIGINT: drain with a deadline → tokens → trail
//! ```

mod chores;
mod signals;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chancery_token::{Backlog, Launch, ModuleConfig, Pin, StartError, TokenConfig, TokenHandle, TokenState, Tokens};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::audit::{AuditError, Trail, head_path};
use crate::certificates::CertificatesError;
use crate::config::{Config, Mail, PinSource};
use crate::credentials::{self, CredentialError};
use crate::directory::Directory;
use crate::listen::{Activated, ListenError, Listeners};
use crate::logging::LevelHandle;
use crate::metrics::{Endpoint, Metrics, Requests, Sources};
use crate::ops::{Context, Settings};
use crate::policy::Live;
use crate::reload::{Reload, read_certificates};
use crate::spool::SpoolSettings;
use crate::state::{self, StateError};
use crate::wire::BeforeSleep;
use crate::{grpc, health, maintenance, notify, server};
use chores::{keep_alive, keep_status, keep_trail, record_notices, summary};
use signals::{Heard, Signals};

/// How long the start waits for tokens to be looked at, so that whoever connects first finds their keys. A slower one is served
/// when it is there.
const TOKENS_START: Duration = Duration::from_secs(5);

/// How long tokens may take to finish what they are at and log out.
const TOKENS_STOP: Duration = Duration::from_secs(10);

/// The command of [`crate::cli`] that a module's process is started with.
const MODULE_WORKER: &str = "module-worker";

/// Why the daemon could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// No record, no operation.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The certificates cannot be read.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// What the daemon has to know after a restart cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A PIN is not where it should be.
    #[error("token {token}: {source}")]
    Pin {
        /// The token.
        token: String,
        /// Why.
        source: CredentialError,
    },
    /// A module or token cannot be started.
    #[error(transparent)]
    Tokens(#[from] StartError),
    /// Nobody could connect.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system has no randomness.
    #[error("the system has no randomness to give: {0}")]
    Random(getrandom::Error),
    /// Signals cannot be heard.
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
    /// The descriptors for reflection are broken.
    #[error("the descriptors of the contract cannot be read: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A part of the daemon panicked.
    #[error("a part of the daemon has failed: {0}")]
    Task(#[from] JoinError),
}

/// Starts everything, serves until told to stop, drains. What is returned is the trail, for the last record.
///
/// # Errors
/// When anything that was configured cannot be started, or the server fails.
pub async fn serve(
    config: Config,
    file: &Path,
    level: LevelHandle,
    activated: Activated,
    before_sleep: &BeforeSleep,
) -> Result<Trail, AppError> {
    // Before anything else: a reload or a stop during the start must not kill the process.
    let mut signals = Signals::listen().map_err(AppError::Signals)?;
    let audit = Trail::open(&config.audit.file, config.audit.sync)?;
    before_sleep.settle(&audit);
    audit.note("started", concat!("chanceryd ", env!("CARGO_PKG_VERSION")))?;
    let certificates = read_certificates(&config)?;
    let mut tokens = start_tokens(&config, file, &certificates, before_sleep.backlog().clone()).await?;
    let handles = tokens.handles().to_vec();
    maintenance::apply(&config.tokens, &handles, &audit);
    if tokio::time::timeout(TOKENS_START, looked_at(&handles)).await.is_err() {
        tracing::warn!("a token has not been looked at yet; the others are served meanwhile");
    }
    let directory = Directory::new(handles.clone(), &certificates);
    let grants = Live::new(config.grants.clone());
    let context = Context::new(directory, grants, audit.clone(), settings(&config)).map_err(AppError::Random)?;
    let context = Arc::new(context);
    prepare_spool(&config.mail);

    let listeners = Listeners::bind(&config.listen, activated)?;
    let endpoint = config.metrics.as_ref().map(Endpoint::bind).transpose()?;
    let requests = Requests::new();
    let (addresses, tls) = (listeners.addresses(), listeners.tls());
    let (routes, reporter) = server::with_health_and_reflection(grpc::services(Arc::clone(&context)))?;
    let (incoming, pulse) = listeners.accept(&config.limits);
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let mut serving = tokio::spawn(server::serve(
        routes,
        incoming,
        config.limits.clone(),
        requests.clone(),
        stopped,
    ));

    let mut tasks = health::follow(&reporter, audit.is_open(), &handles);
    if let Some(endpoint) = endpoint {
        tracing::info!(address = endpoint.address(), "serving the metrics");
        let sources = Sources {
            requests,
            tokens: handles.clone(),
            audit: audit.clone(),
        };
        tasks.spawn(endpoint.serve(Metrics::new(sources)));
    }
    tasks.spawn(keep_trail(audit.clone()));
    if let Some(notices) = tokens.take_notices() {
        tasks.spawn(record_notices(audit.clone(), notices));
    }
    tasks.spawn(keep_alive(audit.clone(), pulse));
    tasks.spawn({
        let context = Arc::clone(&context);
        async move { context.directory.follow().await }
    });

    tasks.spawn(keep_status(handles.clone()));

    let drain = config.limits.drain;
    let reload = Arc::new(Reload {
        reviver: tokens.reviver(),
        file: file.to_owned(),
        started_with: config,
        level,
        context,
        tls,
    });
    tracing::info!(addresses = addresses.join(" "), tokens = handles.len(), "serving");
    notify::ready(&summary(&handles));
    let reason = loop {
        tokio::select! {
            ended = &mut serving => return Err(ended.map_or_else(AppError::Task, |()| ended_early())),
            heard = signals.next() => match heard {
                Heard::Reload => {
                    notify::reloading();
                    let reload = Arc::clone(&reload);
                    spawn_blocking(move || reload.run()).await?;
                    notify::ready(&summary(&handles));
                }
                Heard::Stop(reason) => break reason,
            },
        }
    };
    reload.context.stop();
    drain_requests(stop, serving, &mut signals, &audit, reason, drain).await?;
    // What is left now only says that nobody is served any more.
    drop(tasks);
    if tokio::time::timeout(TOKENS_STOP, tokens.shutdown()).await.is_err() {
        tracing::warn!("a token did not finish in time; it is left as it is");
    }
    Ok(audit)
}

async fn drain_requests(
    stop: oneshot::Sender<()>,
    mut serving: JoinHandle<()>,
    signals: &mut Signals,
    audit: &Trail,
    reason: &'static str,
    deadline: Duration,
) -> Result<(), AppError> {
    tracing::info!(reason, ?deadline, "stopping; requests that run may finish");
    notify::stopping(deadline + TOKENS_STOP);
    if let Err(error) = audit.note("stopping", reason) {
        tracing::error!(%error, "the stop could not be recorded");
    }
    // The server may have ended by itself just now.
    let _ = stop.send(());
    let again = async {
        loop {
            if let Heard::Stop(reason) = signals.next().await {
                return reason;
            }
        }
    };
    tokio::select! {
        ended = tokio::time::timeout(deadline, &mut serving) => match ended {
            Ok(ended) => ended?,
            Err(_) => tracing::warn!("requests were still running at the deadline; they are given up"),
        },
        reason = again => tracing::warn!(reason, "told again; requests that were still running are given up"),
    }
    Ok(())
}

async fn start_tokens(
    config: &Config,
    file: &Path,
    certificates: &[Vec<u8>],
    backlog: Backlog,
) -> Result<Tokens, AppError> {
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
    Ok(spawn_blocking(move || Tokens::start(&modules, tokens, &launch, &backlog)).await??)
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
        config.audit.file.clone(),
        head_path(&config.audit.file),
        state::pins(&config.state),
        config.mail.spool_directory.clone(),
    ];
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

fn settings(config: &Config) -> Settings {
    Settings {
        message_bytes: config.limits.message_bytes,
        mail_streams: config.limits.mail_streams,
        mail_streams_per_caller: config.limits.mail_streams_per_caller,
        stream_idle: config.limits.stream_idle,
        request_bytes: config.limits.request_bytes,
        limits: config.limits.message.clone(),
        digest: config.mail.digest,
        content_encryption: config.mail.content_encryption,
        mail_priority: config.mail.priority,
        call_deadline: config.limits.call_deadline,
        absent_wait: config.limits.absent_wait,
        pin_sources: pin_sources(config),
        spool: SpoolSettings {
            directory: config.mail.spool_directory.clone(),
            hold_in_memory: config.mail.hold_in_memory,
            memory: Arc::new(Semaphore::new(config.limits.held_bytes)),
        },
    }
}

fn pin_sources(config: &Config) -> HashMap<String, String> {
    let tokens = config.tokens.iter();
    let sources = tokens.filter_map(|token| Some((token.name.clone(), token.pin.as_ref()?.to_string())));
    sources.collect()
}

/// Makes the spool directory, readable by nobody else. Small messages do without it, so its absence is no end.
fn prepare_spool(mail: &Mail) {
    let directory = &mail.spool_directory;
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => {
            let directory = directory.display();
            tracing::warn!(%directory, %error, "no spool directory: encrypted messages beyond mail.hold_in_memory are refused");
        }
    }
}

fn ended_early() -> AppError {
    AppError::Listen(ListenError::Io {
        place: "all".to_owned(),
        action: "accept",
        source: io::Error::other("the accept loops have ended"),
    })
}
