//! What the machine's services and systemd say about them, line by line as it happens.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::Machine;

/// Longer than anything here takes on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(60);
/// Lines that wait to be looked at.
const LINES: usize = 1024;

/// Follows until its standard input is closed. Killed from outside it would leave `journalctl` to nobody, and the machine
/// could not end before somebody had noticed.
const FOLLOW: &str = "journalctl --follow --lines=all --output=cat & read -r _; kill $!; wait";

/// The machine's journal from the boot on, followed.
#[derive(Debug)]
pub struct Journal {
    process: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Journal {
    /// All of it: `journalctl` can miss the first lines of a unit that has said nothing yet.
    pub(super) fn follow(machine: &Machine) -> Result<Self> {
        let mut process = machine
            .command(["sh", "-c", FOLLOW])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("nsenter could not be started")?;
        let output = process.stdout.take().context("the child has a standard output")?;
        let (sender, lines) = sync_channel(LINES);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            process,
            lines,
            seen: Vec::new(),
        })
    }

    /// Waits for a line with this in it, after the one that was waited for last; returns the line.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                bail!(
                    "the journal did not say {text:?} in {DEADLINE:?}:\n{}",
                    self.seen.join("\n")
                );
            };
            let found = line.contains(text);
            self.seen.push(line.clone());
            if found {
                return Ok(line);
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}
