//! Running the real executable against the fake daemon.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::fake::Fake;

/// How a command ended.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The executable with the daemon's address and nothing of the environment that it reads.
pub(crate) fn command(address: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    for variable in ["CERTIFICATES", "TLS_CERTIFICATE", "TLS_KEY", "TLS_CA"] {
        command.env_remove(format!("CHANCERY_{variable}"));
    }
    command.env("CHANCERY_ADDRESS", address).args(args).kill_on_drop(true);
    command
}

/// Runs a command to its end with this on its stdin.
pub(crate) async fn run(address: &str, args: &[&str], stdin: &[u8]) -> Run {
    let mut child = command(address, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // A command that ends early closes the pipe.
    tokio::spawn(async move { pipe.write_all(&stdin).await });
    let output = child.wait_with_output().await.unwrap();
    Run {
        status: output.status.code().expect("it exits and is not killed"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Fake {
    /// Runs a command with a short message on its stdin.
    pub(crate) async fn run(&self, args: &[&str]) -> Run {
        run(&self.address, args, b"Subject: x\r\n\r\nHello.\r\n").await
    }

    /// A path in the fake's own directory.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    /// Every file in the fake's directory apart from its socket.
    pub(crate) fn files(&self) -> Vec<String> {
        names(self.path())
            .into_iter()
            .filter(|name| name != "chanceryd.sock")
            .collect()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
