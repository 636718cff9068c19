//! `chancery man`

use std::path::Path;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::stdio;

pub(super) fn run(out_dir: Option<&Path>) -> Result<Verdict, CommandError> {
    match out_dir {
        Some(directory) => {
            let failed = |source| CommandError::File {
                what: "write man pages to",
                path: directory.to_owned(),
                source,
            };
            std::fs::create_dir_all(directory).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(CommandError::Stdio)?;
            stdio::print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Verdict::Good)
}
