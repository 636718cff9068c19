//! `chancery`, the command line of chanceryd. Everything it does to a message it does through the library of the same
//! name; here are arguments, files, terminals and exit statuses.
#![forbid(unsafe_code)]

mod cli;
mod command;
mod error;
mod exit;
mod files;
mod interrupt;
mod json;
mod progress;
mod prompt;
mod recipients;
mod report;
mod stdio;
mod table;
mod text;
mod words;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(interrupt::or(command::run(cli)));
            // A thread may still wait for a pipe; it has nothing left that matters.
            runtime.shutdown_background();
            outcome
        }
        Err(source) => Err(error::CommandError::Runtime(source)),
    };
    exit::code(outcome)
}
