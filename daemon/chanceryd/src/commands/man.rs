//! `chanceryd man`: the manual pages, made from what `--help` says.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::fail;
use crate::cli::Cli;

/// Where manual pages of daemons are.
const SECTION: &str = "8";

/// Writes chanceryd(8) and a page for each command into the directory, or the first of them to standard output.
#[must_use]
pub fn man(out_dir: Option<&Path>) -> ExitCode {
    let (place, written) = match out_dir {
        Some(directory) => (directory.display().to_string(), write_to(directory)),
        None => ("standard output".to_owned(), page(whole()).render(&mut io::stdout())),
    };
    match written.and_then(|()| io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, format_args!("manual pages cannot be written to {place}: {error}")),
    }
}

fn write_to(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let whole = whole();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    for command in commands.filter(|command| command.get_name() != "help").chain([&whole]) {
        page(command.clone()).generate_to(directory)?;
    }
    Ok(())
}

fn whole() -> Command {
    let mut whole = Cli::command();
    // With the names of its commands as they are called.
    whole.build();
    whole
}

fn page(command: Command) -> Man {
    Man::new(command).section(SECTION).manual("Chancery")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fs;

    use super::*;

    #[test]
    fn every_command_that_people_call_has_a_page_and_chanceryd_names_them_all() {
        let directory = tempfile::tempdir().unwrap();
        write_to(directory.path()).unwrap();
        let files = fs::read_dir(&directory).unwrap();
        let mut names: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = ["-check-config", "-man", "-run", "-verify-audit", ""].map(|end| format!("chanceryd{end}.8"));
        assert_eq!(names, expected);
        let whole = fs::read_to_string(directory.path().join("chanceryd.8")).unwrap();
        for said in ["verify\\-audit(8)", "CHANCERYD_CONFIG", "SIGHUP", "78"] {
            assert!(whole.contains(said), "{said}: {whole}");
        }
    }
}
