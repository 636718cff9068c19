//! The process of a daemon: started, awaited through the notification socket, stopped by its id.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::softhsm::beside_executable;

/// Longer than anything here takes on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often a wait looks whether the process has ended.
const TICK: Duration = Duration::from_millis(20);

/// A `chanceryd` that has said READY. Stopped when dropped; its log is printed if the test is failing.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    notifications: UnixDatagram,
    log: PathBuf,
}

impl Process {
    pub(super) fn start(configuration: &Path, directory: &Path) -> Result<Self> {
        let notify = directory.join("notify.sock");
        match fs::remove_file(&notify) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let notifications = UnixDatagram::bind(&notify)?;
        notifications.set_read_timeout(Some(TICK))?;
        let log = directory.join("chanceryd.log");
        let log_file = OpenOptions::new().create(true).append(true).open(&log)?;
        let child = command(configuration, &notify, log_file)?
            .spawn()
            .context("chanceryd could not be started")?;
        let mut process = Self {
            child,
            notifications,
            log,
        };
        process.wait_for("READY=1")?;
        Ok(process)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    pub(super) fn reload(&mut self) -> Result<()> {
        self.signal(Signal::HUP)?;
        self.wait_for("RELOADING=1")?;
        self.wait_for("READY=1")
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            self.signal(Signal::TERM)?;
        }
        let status = self.wait_for_the_end()?;
        ensure!(
            status.success(),
            "chanceryd ended with {status}; its log:\n{}",
            self.log()?
        );
        Ok(())
    }

    /// Ends it with SIGKILL.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Makes VmHWM start anew from what is resident now (proc(5), clear_refs).
    pub(super) fn reset_peak_memory(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.pid()), "5")?)
    }

    /// A line of `/proc/PID/status` that is given in kB, in bytes.
    pub(super) fn status_bytes(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .and_then(|value| value.split_whitespace().next())
            .with_context(|| format!("no {field} in /proc/{}/status", self.pid()))?;
        Ok(kilobytes.parse::<u64>()? * 1024)
    }

    /// The ids of its child processes, whichever of its threads started them.
    pub(super) fn children(&self) -> Result<Vec<u32>> {
        let mut children = Vec::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            // A thread may end while it is looked at.
            let Ok(listed) = fs::read_to_string(thread?.path().join("children")) else {
                continue;
            };
            for id in listed.split_whitespace() {
                children.push(id.parse()?);
            }
        }
        children.sort_unstable();
        Ok(children)
    }

    /// How many descriptors it has open.
    pub(super) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }

    /// Waits for a datagram with this line; an error if the process ends first or the deadline passes.
    fn wait_for(&mut self, line: &str) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            match self.notifications.recv(&mut buffer) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
                    if text.lines().any(|each| each == line) {
                        return Ok(());
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if let Some(status) = self.child.try_wait()? {
                        bail!("chanceryd ended with {status} before {line}; its log:\n{}", self.log()?);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        bail!(
            "chanceryd did not say {line} in {DEADLINE:?}; its log:\n{}",
            self.log()?
        )
    }

    fn wait_for_the_end(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + DEADLINE;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            // What it says on the way out is no news; the time-out of the socket is the pause between two looks.
            let _news = self.notifications.recv(&mut buffer);
        }
        self.child.kill()?;
        self.child.wait()?;
        bail!(
            "chanceryd did not end in {DEADLINE:?} and was killed; its log:\n{}",
            self.log()?
        )
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("chanceryd could not be signalled")
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "part of the failing test's own output")]
    fn drop(&mut self) {
        let stopped = self.stop();
        if std::thread::panicking() {
            eprintln!("chanceryd's log:\n{}", self.log().unwrap_or_default());
            if let Err(error) = stopped {
                eprintln!("{error:#}");
            }
        }
    }
}

fn command(configuration: &Path, notify: &Path, log: File) -> Result<Command> {
    let mut command = Command::new(beside_executable("chanceryd")?);
    command
        .arg("--config")
        .arg(configuration)
        .arg("run")
        .env("NOTIFY_SOCKET", notify)
        .env_remove("LISTEN_FDS")
        .env_remove("CREDENTIALS_DIRECTORY")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}
