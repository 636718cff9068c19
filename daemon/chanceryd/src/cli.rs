//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config;

/// Signs and decrypts S/MIME with keys that stay on smart cards and HSMs.
#[derive(Debug, Parser)]
#[command(name = "chanceryd", version, about, arg_required_else_help = true)]
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
    /// Serve one module's tokens to the daemon, which starts this.
    #[command(hide = true)]
    ModuleWorker,
}
