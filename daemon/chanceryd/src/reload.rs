//! What SIGHUP does: grants, certificates, which tokens are in maintenance, the files of TLS and the log level are taken from
//! the file anew, and the audit trail is opened anew. All of it or none, but for the trail, which must follow a rotation
//! whatever the file says.

use std::path::PathBuf;
use std::sync::Arc;

use chancery_token::Reviver;

use crate::audit::Trail;
use crate::certificates::{self, CertificatesError};
use crate::config::{Config, ConfigError};
use crate::listen::{LiveTls, TlsError};
use crate::logging::LevelHandle;
use crate::maintenance;
use crate::ops::Context;

/// Why nothing was changed. Trying again helps once the files have been put right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificates cannot be read.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What a reload reaches.
#[derive(Debug)]
pub struct Reload {
    /// The configuration's file.
    pub file: PathBuf,
    /// What was in it when the daemon was started; the settings that a reload does not change are still these.
    pub started_with: Config,
    /// The log level.
    pub level: LevelHandle,
    /// Grants, directory and trail.
    pub context: Arc<Context>,
    /// The modules that were left alone.
    pub reviver: Reviver,
    /// The certificates of the TLS listener, if there is one.
    pub tls: Option<LiveTls>,
}

impl Reload {
    /// Does it, and says in the log and in the audit trail how it went. Blocks on files.
    pub fn run(&self) {
        let audit = &self.context.audit;
        if let Err(error) = audit.reopen() {
            tracing::error!(%error, "the audit trail could not be opened anew");
        }
        // Whatever the file says: this is how an operator says that a module has been put right.
        self.reviver.revive();
        match self.apply() {
            Ok(()) => {
                tracing::info!(file = %self.file.display(), "configuration reloaded");
                record(audit, "reloaded", "");
            }
            Err(error) => {
                let error = error.to_string();
                tracing::error!(error, "the configuration was not reloaded; the old one stays in force");
                record(audit, "reload-refused", &error);
            }
        }
    }

    fn apply(&self) -> Result<(), ReloadError> {
        let new = Config::load(&self.file)?;
        let certificates = read_certificates(&new)?;
        if let (Some(live), Some(tls)) = (&self.tls, &new.listen.tls) {
            live.reload(tls)?;
        }
        // From here on nothing can fail.
        for setting in self.started_with.needs_restart_for(&new) {
            tracing::warn!(setting, "this setting has changed and needs a restart");
        }
        let directory = &self.context.directory;
        for token in directory.tokens() {
            token.set_certificates(certificates.clone());
        }
        directory.set_certificates(&certificates);
        maintenance::apply(&new.tokens, directory.tokens(), &self.context.audit);
        self.context.grants.replace(new.grants);
        self.level.set(new.log.level);
        Ok(())
    }
}

/// The certificates that the configuration names.
///
/// # Errors
/// When there is a directory and it cannot be read or trusted.
pub fn read_certificates(config: &Config) -> Result<Vec<Vec<u8>>, CertificatesError> {
    config
        .certificates
        .as_deref()
        .map_or(Ok(Vec::new()), certificates::read_directory)
}

fn record(audit: &Trail, what: &str, detail: &str) {
    // A long list of problems is in the log; a record has its bounds.
    let detail: String = detail.chars().take(4000).collect();
    audit.remark(what, &detail);
}
