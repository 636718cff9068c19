//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config;

const AFTER_HELP: &str = "\
Exit status: 0 done, or stopped when told to; 1 it could not start, could not go on, or the audit trail is not whole; 2 wrong \
usage, or an audit trail that cannot be read; 78 the configuration is wrong, and starting again would not change that.

Signals: SIGHUP reloads the configuration and opens the audit trail anew; SIGTERM and SIGINT let requests finish and stop; a \
second one stops at once.

Files: the configuration explains itself, key by key. By default the daemon listens on /run/chancery/chanceryd.sock, writes its \
audit trail to /var/log/chancery/audit.jsonl and keeps what it must know after a restart in /var/lib/chancery.";

/// Signs and decrypts S/MIME with keys that stay on smart cards and HSMs.
#[derive(Debug, Parser)]
#[command(name = "chanceryd", version, about, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", default_value = config::DEFAULT_PATH, env = "CHANCERYD_CONFIG", global = true)]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until told to stop.
    Run,
    /// Check the configuration, and the PIN sources that can be checked from here, and do nothing else.
    CheckConfig,
    /// Check an audit trail: print every record that was changed, removed or reordered, every outcome without an intent or
    /// after another, and every intent without an outcome. Exits with 1 if something is wrong with the trail; an intent
    /// without an outcome is what a crash leaves, or is being done now.
    VerifyAudit {
        /// The parts of the trail, the oldest first.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Write the manual pages: all of them into a directory, or chanceryd(8) to standard output.
    Man {
        /// The directory.
        #[arg(long, value_name = "DIR")]
        out_dir: Option<PathBuf>,
    },
    /// Serve one module's tokens to the daemon, which starts this.
    #[command(hide = true)]
    ModuleWorker,
}
