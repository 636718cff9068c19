//! `chanceryd.toml`: read once, into values that need no further check. Nothing is opened here but the file itself.
//!
//! ```text
//!   text ──► raw (serde, unknown keys refused) ──► check ──► Config
//!                     all that is wrong is said at once, each with file, line and key
//! ```

mod check;
mod environment;
mod locate;
mod names;
mod raw;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chancery_smime::algorithm::{ContentEncryptionAlgorithm, DigestAlgorithm};
use chancery_token::{Priority, TokenSelector};

use crate::audit;
use crate::permissions::{self, PermissionError};
use crate::policy::Grants;

/// Where the configuration is if nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/chancery/chanceryd.toml";

/// A longer file is no configuration.
const MAX_BYTES: u64 = 16 << 20;

/// Everything the daemon is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// The audit trail.
    pub audit: Audit,
    /// The directory for what the daemon has to know after a restart.
    pub state: PathBuf,
    /// The log.
    pub log: Log,
    /// Bounds.
    pub limits: Limits,
    /// Defaults for messages.
    pub mail: Mail,
    /// Where the metrics are served, if anywhere.
    pub metrics: Option<MetricsListen>,
    /// Where traces are sent, if anywhere.
    pub traces: Option<Traces>,
    /// The directory of certificates that are not on the tokens.
    pub certificates: Option<PathBuf>,
    /// PKCS#11 modules.
    pub modules: Vec<Module>,
    /// Tokens, by unique name.
    pub tokens: Vec<Token>,
    /// Who may do what.
    pub grants: Grants,
}

/// Where the daemon listens. Sockets that systemd passes take the place of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The Unix socket.
    pub unix: Option<UnixSocket>,
    /// TCP with mutual TLS.
    pub tls: Option<Tls>,
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocket {
    /// Its path.
    pub path: PathBuf,
    /// Its mode, such as 0o660.
    pub mode: u32,
    /// The group that it is given to.
    pub group: Option<String>,
}

/// TCP with mutual TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Address and port.
    pub address: SocketAddr,
    /// PEM: the server's certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM: the server's private key.
    pub key: PathBuf,
    /// PEM: the authorities whose clients are let in.
    pub client_ca: PathBuf,
}

/// The audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The file.
    pub file: PathBuf,
    /// When it is flushed.
    pub sync: audit::Sync,
}

/// The log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// How much of the daemon's own is said; other crates say warnings and errors only.
    pub level: tracing::Level,
    /// How.
    pub format: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// As text on standard error, with priorities in place of times if the journal reads it.
    Auto,
    /// Text on standard error.
    Text,
    /// One JSON object a line on standard error.
    Json,
    /// To journald itself, with a journal field for each field.
    Journald,
}

/// Bounds on what callers can make the daemon hold or wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A whole message, in bytes.
    pub message_bytes: u64,
    /// One gRPC message, in bytes.
    pub request_bytes: usize,
    /// HTTP/2 header fields of one request, in bytes.
    pub metadata_bytes: u32,
    /// Connections at once, over all listeners.
    pub connections: usize,
    /// Connections at once of one user, or of one client certificate's key.
    pub connections_per_caller: usize,
    /// Requests at once on one connection.
    pub concurrent_streams: u32,
    /// Calls of `MailService` at once, over all connections.
    pub mail_streams: usize,
    /// Of these, those of one user, or of one client certificate's key.
    pub mail_streams_per_caller: usize,
    /// How long a caller of `MailService` may neither send nor take anything while it is its turn.
    pub stream_idle: Duration,
    /// Ciphertext that all messages together may hold in memory, in bytes.
    pub held_bytes: usize,
    /// How long a client may take, once it is connected, to begin to speak HTTP/2; a TLS handshake included.
    pub preface: Duration,
    /// How long a TLS handshake may take.
    pub tls_handshake: Duration,
    /// After this long without a sign of life a connection is asked for one.
    pub keepalive_interval: Duration,
    /// After this long without an answer it is closed.
    pub keepalive_timeout: Duration,
    /// How long a job may take at a token, or at several that have its key, whatever its caller would wait.
    pub call_deadline: Duration,
    /// How much longer a module may be silent before its process is ended.
    pub call_grace: Duration,
    /// How long a module may take to load and initialise before its process is taken to hang.
    pub module_load: Duration,
    /// How long a request waits for a token that is absent to come back.
    pub absent_wait: Duration,
    /// How long requests may go on after SIGTERM.
    pub drain: Duration,
    /// What a message may be made of.
    pub message: chancery_smime::limits::Limits,
}

/// Defaults for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The digest of signatures.
    pub digest: DigestAlgorithm,
    /// The content encryption.
    pub content_encryption: ContentEncryptionAlgorithm,
    /// The queue that message operations wait in.
    pub priority: Priority,
    /// Where ciphertext is held until its tag has been checked.
    pub spool_directory: PathBuf,
    /// How much of it is held in memory first, in bytes.
    pub hold_in_memory: usize,
}

/// Where the metrics are served. Nobody from another machine can connect there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsListen {
    /// A Unix socket.
    Unix(UnixSocket),
    /// An address of the loopback, and a port.
    Loopback(SocketAddr),
}

/// Where traces are sent: to a collector on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// `unix:/PATH`, or `http://` with an address of the loopback and a port.
    pub endpoint: String,
    /// Of how many requests, between 0 and 1, if their callers have not decided it.
    pub sample_ratio: f64,
}

/// A PKCS#11 module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name, unique.
    pub name: String,
    /// The shared library.
    pub path: PathBuf,
    /// The environment of its process, and nothing else is in it.
    pub environment: BTreeMap<String, String>,
    /// Its process may use the network.
    pub network: bool,
    /// Its process may start programs.
    pub programs: bool,
}

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its name, unique: `tokens/{name}`.
    pub name: String,
    /// Its module's name.
    pub module: String,
    /// How it is recognised.
    pub selector: TokenSelector,
    /// Worker sessions.
    pub sessions: usize,
    /// Jobs that may wait.
    pub queue: usize,
    /// How long a session may be idle before it is kept alive, if it is.
    pub keep_alive: Option<Duration>,
    /// Where its PIN comes from; without one it waits for UnlockToken.
    pub pin: Option<PinSource>,
    /// It takes no new work.
    pub maintenance: bool,
    /// Whether somebody is asked at its PIN pad as soon as it is there.
    pub pin_pad: bool,
}

/// Where a PIN comes from. The PIN itself is never in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinSource {
    /// A systemd credential: a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// A file that nobody else can read.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
}

impl fmt::Display for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "the systemd credential {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// Why there is no configuration. Only a change of the file or its permissions helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {}: {source}; name another with --config", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can change the file.
    #[error("configuration: {0}")]
    Permissions(#[from] PermissionError),
    /// What it says is wrong.
    #[error("{}", Listed(file, problems))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong, ordered by line.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; of the nearest table if the key is missing.
    pub line: usize,
    /// The key, such as `token[0].uri`; empty if there is none.
    pub key: String,
    /// What is wrong with it and what to do.
    pub message: String,
}

struct Listed<'a>(&'a Path, &'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.1.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{}: ", self.0.display(), problem.line)?;
            match problem.key.as_str() {
                "" => write!(f, "{}", problem.message)?,
                key => write!(f, "{key}: {}", problem.message)?,
            }
        }
        Ok(())
    }
}

impl Config {
    /// Reads and checks a file that nobody but root and the daemon's own user can change.
    ///
    /// # Errors
    /// When it cannot be read, others can write to it or its directory, or anything in it is wrong.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        use std::io::Read as _;
        let read = |source| ConfigError::Read {
            file: file.to_owned(),
            source,
        };
        let opened = permissions::open_trusted(file)?;
        let mut text = String::new();
        opened.take(MAX_BYTES).read_to_string(&mut text).map_err(read)?;
        Self::parse(&text, file)
    }

    /// Checks the text of a file. Looks at nothing but the text; `file` is for the messages.
    ///
    /// # Errors
    /// When anything in it is wrong.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let problems = match toml::from_str(text) {
            Ok(raw) => match check::check(raw) {
                Ok(config) => return Ok(config),
                Err(problems) => locate::problems(text, problems),
            },
            Err(error) => vec![locate::syntax(text, &error)],
        };
        Err(ConfigError::Invalid {
            file: file.to_owned(),
            problems,
        })
    }

    /// The names of the top-level settings that differ and that a reload does not change.
    #[must_use]
    pub fn needs_restart_for(&self, new: &Self) -> Vec<&'static str> {
        let tokens = |config: &Self| {
            let mut tokens = config.tokens.clone();
            tokens.iter_mut().for_each(|token| token.maintenance = false);
            format!("{tokens:?}")
        };
        let differs = [
            ("listen", self.listen != new.listen),
            ("audit", self.audit != new.audit),
            ("state", self.state != new.state),
            ("log.format", self.log.format != new.log.format),
            ("limits", self.limits != new.limits),
            ("mail", self.mail != new.mail),
            ("metrics", self.metrics != new.metrics),
            ("traces", self.traces != new.traces),
            ("module", self.modules != new.modules),
            ("token", tokens(self) != tokens(new)),
        ];
        differs
            .into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}

#[cfg(test)]
mod tests;
