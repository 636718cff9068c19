//! The Chancery daemon. Everything is in the library; here is where the process begins and ends.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chanceryd::cli::{Cli, Command};
use chanceryd::commands;
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Run => commands::run(&cli.config),
        Command::CheckConfig => commands::check_config(&cli.config),
        Command::VerifyAudit { files } => commands::verify_audit(&files),
        Command::Man { out_dir } => commands::man(out_dir.as_deref()),
        Command::ModuleWorker => commands::module_worker(),
    }
}
