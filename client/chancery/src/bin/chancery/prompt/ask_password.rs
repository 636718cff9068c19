//! systemd-ask-password, for where there is no terminal: whoever sits at the machine (the console, the desktop) is asked, and
//! the answer comes through a pipe.

use std::process::Stdio;

use chancery::Pin;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::line;
use crate::error::CommandError;

const PROGRAM: &str = "systemd-ask-password";

/// The most of what the program has to say that is repeated.
const MAX_COMPLAINT: u64 = 512;

/// Asks, and waits for the answer as long as the program does (a minute and a half).
pub(super) async fn ask(text: &str, token: &str) -> Result<Pin, CommandError> {
    let child = Command::new(PROGRAM)
        .args(["--no-tty", "--icon=dialog-password"])
        .arg(format!("--id=chancery:{token}"))
        .args(["--", text])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(CommandError::NobodyToAsk)?;
    let mut asking = Asking(child);
    let answer = asking.0.stdout.take().map(|stdout| stdout.into_owned_fd());
    let (Some(answer), Some(complaint)) = (answer.transpose().map_err(CommandError::Stdio)?, asking.0.stderr.take())
    else {
        return Err(CommandError::NotAnswered("there is no pipe to it".to_owned()));
    };
    let (pin, complaint) = tokio::join!(line::read(answer), first_words(complaint));
    let status = asking.0.wait().await.map_err(CommandError::Stdio)?;
    if status.success() {
        pin
    } else if complaint.is_empty() {
        Err(CommandError::NotAnswered(status.to_string()))
    } else {
        Err(CommandError::NotAnswered(complaint))
    }
}

async fn first_words(complaint: impl AsyncRead + Unpin) -> String {
    let mut words = Vec::new();
    // What cannot be read is not there.
    let _ = complaint.take(MAX_COMPLAINT).read_to_end(&mut words).await;
    String::from_utf8_lossy(words.trim_ascii()).into_owned()
}

/// The program while it runs. When a signal drops it, it is told to take its question back.
struct Asking(Child);

impl Drop for Asking {
    fn drop(&mut self) {
        // There is no id once it has ended.
        let pid = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended just now.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}
