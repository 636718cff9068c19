//! A booted container: its processes, and commands run among them.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::ErrorKind,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::{cgroup::Cgroup, tree};
use crate::command::{Finished, run};

/// It boots in half a second on a machine that has nothing else to do.
const BOOT: Duration = Duration::from_secs(60);
/// How long the container may take to end before everything in it is killed once more.
const END: Duration = Duration::from_secs(10);
/// How often a wait looks whether the process has ended.
const TICK: Duration = Duration::from_millis(20);
/// Joins the cgroup, then becomes the command.
const JOIN: &str = r#"echo 0 >"$0" && exec "$@""#;
/// Hides where `systemd-nspawn` leaves its notes, so that it leaves them nowhere, then becomes the command.
const HIDE: &str = r#"mkdir -p /run/systemd && mount -t tmpfs "$0" /run/systemd && exec "$@""#;
/// What a service may confine itself with, and `systemd-nspawn` of Debian 12 does not know yet.
const LANDLOCK: &str = "landlock_create_ruleset landlock_add_rule landlock_restrict_self";

/// A Debian with a running systemd, ended when dropped.
#[derive(Debug)]
pub struct Machine {
    process: Child,
    cgroup: Cgroup,
    notifications: UnixDatagram,
    files: TempDir,
    leader: i32,
}

impl Machine {
    /// A booted machine, or `None` and a word on standard error why none can be had here: it takes root, and a kernel that lets
    /// a container have its own namespaces and cgroup.
    #[expect(clippy::print_stderr, reason = "part of the test's own output")]
    #[must_use]
    pub fn boot_or_skip() -> Option<Self> {
        match Self::boot() {
            Ok(machine) => Some(machine),
            Err(error) => {
                eprintln!("SKIPPED: no systemd can be booted here: {error:#}");
                None
            }
        }
    }

    /// Boots a machine and waits until it is up.
    pub fn boot() -> Result<Self> {
        let tree = tree::ready()?;
        let files = tempfile::Builder::new().prefix("nspawn-").tempdir()?;
        let notify = files.path().join("notify.sock");
        let notifications = UnixDatagram::bind(&notify)?;
        notifications.set_read_timeout(Some(TICK))?;
        let console = File::create(files.path().join("console"))?;
        let cgroup = Cgroup::create()?;
        let process = container(&tree, &cgroup, &notify, console)?
            .spawn()
            .context("sh could not be started")?;
        let mut machine = Self {
            process,
            cgroup,
            notifications,
            files,
            leader: 0,
        };
        machine.wait_until_up()?;
        machine.leader = machine.cgroup.leader()?;
        Ok(machine)
    }

    /// The machine's file system, for reading and writing from outside.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.leader))
    }

    /// A file of the machine, named by its absolute path there. Links on the way must be relative.
    #[must_use]
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root().join(absolute.trim_start_matches('/'))
    }

    /// Writes a file of root's, with the directories that it needs.
    pub fn write(&self, absolute: &str, mode: u32, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(absolute);
        fs::create_dir_all(path.parent().context("a file has a directory")?)?;
        fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    }

    /// A command that root runs on the machine, with an environment of its own.
    pub fn command<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .args(["--target", &self.leader.to_string(), "--all", "--"])
            .args(words);
        command
    }

    /// Runs a command as root to its end.
    pub fn run<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>, input: &[u8]) -> Result<Finished> {
        run(&mut self.command(words), input)
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let deadline = Instant::now() + BOOT;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            match self.notifications.recv(&mut buffer) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
                    if text.lines().any(|line| line == "READY=1") {
                        return Ok(());
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if let Some(status) = self.process.try_wait()? {
                        bail!("systemd-nspawn ended with {status}: {}", self.console());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        bail!("the container was not up after {BOOT:?}: {}", self.console())
    }

    fn console(&self) -> String {
        fs::read_to_string(self.files.path().join("console")).unwrap_or_default()
    }

    fn end(&mut self) -> Result<()> {
        self.cgroup.kill_payload();
        let deadline = Instant::now() + END;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            if self.process.try_wait()?.is_some() {
                return Ok(());
            }
            // The time-out of the socket is the pause between two looks.
            let _news = self.notifications.recv(&mut buffer);
        }
        self.cgroup.kill();
        let status = self.process.wait()?;
        ensure!(status.success(), "the container had to be killed: {}", self.console());
        Ok(())
    }
}

impl Drop for Machine {
    #[expect(clippy::print_stderr, reason = "part of the failing test's own output")]
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error:#}");
        }
    }
}

/// `systemd-nspawn` as the first process of a process table of its own: if this process is killed, so is that one, and with
/// it everything in the table, the container too.
fn container(tree: &Path, cgroup: &Cgroup, notify: &Path, console: File) -> Result<Command> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", JOIN])
        .arg(cgroup.door())
        .args(["setpriv", "--pdeathsig", "KILL"])
        .args([
            "unshare",
            "--mount",
            "--pid",
            "--mount-proc",
            "--fork",
            "--kill-child=KILL",
        ])
        .args(["sh", "-c", HIDE, "nspawn"])
        .args(["systemd-nspawn", "--quiet", "--boot", "--volatile=overlay"])
        .args(["--register=no", "--keep-unit", "--private-network", "--link-journal=no"])
        .args(["--notify-ready=yes", "--console=pipe"])
        .arg(format!("--system-call-filter={LANDLOCK}"))
        .arg(format!("--machine={}", cgroup.name()?))
        .arg("--directory")
        .arg(tree)
        .env("NOTIFY_SOCKET", notify)
        // Where the host still has the older hierarchies too, the container does without.
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console);
    Ok(command)
}
