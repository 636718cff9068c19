//! The only wiring: everything is made here, in the order in which it must be there, and taken down in the other.
//!
//! ```text
//!   audit trail → certificates, PINs → tokens → directory → listeners → gRPC → tokens looked at → READY=1
//!   SIGHUP: reload        SIGTERM, SIGINT: drain with a deadline → tokens → trail
//! ```

mod chores;
mod signals;
mod start;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chancery_token::StartError;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::audit::{AuditError, Trail};
use crate::certificates::CertificatesError;
use crate::config::{Config, Mail};
use crate::credentials::CredentialError;
use crate::directory::Directory;
use crate::listen::{Activated, ListenError, Listeners};
use crate::logging::LevelHandle;
use crate::metrics::{Endpoint, Metrics, Requests, Sources};
use crate::ops::{Context, Settings};
use crate::permissions::PermissionError;
use crate::policy::Live;
use crate::reload::{Reload, read_certificates};
use crate::spool::SpoolSettings;
use crate::state::StateError;
use crate::traces::LAST_SPANS;
use crate::wire::BeforeSleep;
use crate::{grpc, health, maintenance, notify, server};
use chores::{keep_alive, keep_status, keep_trail, record_notices, summary};
use signals::{Heard, Signals};

/// How long tokens may take to finish what they are at and log out.
const TOKENS_STOP: Duration = Duration::from_secs(10);

/// How long tasks that are still there after the drain may take to notice that they are cancelled.
pub const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the last records may take to reach the disk.
const LAST_RECORDS: Duration = Duration::from_secs(5);

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
    /// Others could change the library that is loaded as a module.
    #[error("module {module}: {source}")]
    Module {
        /// The module.
        module: String,
        /// Why.
        source: PermissionError,
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

/// Starts everything, serves until told to stop, drains. For the last record the trail is in `before_sleep`.
///
/// # Errors
/// When anything that was configured cannot be started, or the server fails.
pub async fn serve(
    config: Config,
    file: &Path,
    level: LevelHandle,
    activated: Activated,
    before_sleep: &BeforeSleep,
) -> Result<(), AppError> {
    // Before anything else: a reload or a stop during the start must not kill the process.
    let mut signals = Signals::listen().map_err(AppError::Signals)?;
    let audit = Trail::open(&config.audit.file, config.audit.sync)?;
    before_sleep.settle(&audit);
    audit.note("started", concat!("chanceryd ", env!("CARGO_PKG_VERSION")))?;
    let certificates = read_certificates(&config)?;
    let (mut tokens, loads) = start::tokens(&config, file, &certificates, before_sleep.backlog().clone()).await?;
    let handles = tokens.handles().to_vec();
    maintenance::apply(&config.tokens, &handles, &audit);
    let mut settling = tokio::spawn(start::settle(loads, handles.clone()));
    let mut is_ready = tokio::select! {
        settled = &mut settling => settled?.map(|()| true)?,
        () = start::worth_serving(&handles) => false,
    };
    let directory = Directory::new(handles.clone(), &certificates);
    let grants = Live::new(config.grants.clone());
    let context = Context::new(directory, grants, audit.clone(), settings(&config)).map_err(AppError::Random)?;
    let context = Arc::new(context);
    prepare_spool(&config.mail);

    let listeners = Listeners::bind(&config.listen, activated)?;
    let endpoint = config.metrics.as_ref().map(Endpoint::bind).transpose()?;
    let requests = Requests::new();
    let (addresses, tls) = (listeners.addresses(), listeners.tls());
    let (routes, reporter) = grpc::with_health_and_reflection(grpc::services(Arc::clone(&context)), &context)?;
    // Before anybody can ask.
    let mut tasks = health::follow(&reporter, audit.is_open(), &handles).await;
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
    if is_ready {
        notify::ready(&summary(&handles));
    }
    let reason = loop {
        tokio::select! {
            settled = &mut settling, if !is_ready => {
                settled??;
                is_ready = true;
                notify::ready(&summary(&handles));
            }
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
    Ok(())
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
    notify::stopping(deadline + TOKENS_STOP + LAST_SPANS + LAST_WORDS + LAST_RECORDS);
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
