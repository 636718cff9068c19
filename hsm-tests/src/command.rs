//! Running somebody's program to its end, with bytes for its standard input.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// The exit status; 128 + the signal if one killed it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, as far as it is UTF-8.
    pub stderr: String,
    command: String,
}

impl Finished {
    /// Standard output, if the exit status is 0; else an error with what the program said.
    pub fn success(self) -> Result<Vec<u8>> {
        ensure!(
            self.code == 0,
            "{} ended with status {}:\n{}{}",
            self.command,
            self.code,
            self.stderr,
            String::from_utf8_lossy(self.stdout.get(..self.stdout.len().min(2000)).unwrap_or_default()),
        );
        Ok(self.stdout)
    }
}

/// Runs `command` to its end. A program that does not read all of `input` is no error here.
pub fn run(command: &mut Command, input: &[u8]) -> Result<Finished> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} could not be started"))?;
    let mut stdin = child.stdin.take().context("the child has a standard input")?;
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output()
    })?;
    Ok(Finished {
        code: exit_code(output.status),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        command: name,
    })
}

/// The file of a program that the package `package` brings; an error that names the package if it is not there.
pub fn program(name: &str, package: &str) -> Result<PathBuf> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&places)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|place| place.join(name))
        .find(|file| file.exists())
        .with_context(|| format!("there is no {name}: install {package}"))
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
