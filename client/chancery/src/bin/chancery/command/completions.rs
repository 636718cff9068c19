//! `chancery completions`

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::stdio;

pub(super) fn run(shell: Shell) -> Result<Verdict, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chancery", &mut script);
    stdio::print(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Good)
}
