//! A daemon process of one's own: directory, configuration, socket, service manager.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::{Channel, Endpoint, Error};

/// Nothing that is waited for takes longer on a machine that works.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The exit status for a configuration that is wrong, as sysexits.h has it.
pub(crate) const EX_CONFIG: i32 = 78;

/// What the daemon finds: a directory with its configuration, and a place for everything it makes.
pub(crate) struct Scene(tempfile::TempDir);

impl Scene {
    pub(crate) fn new(configuration: &str) -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        scene.configure(configuration);
        scene
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.directory().join("chanceryd.toml")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory().join("s")
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.directory().join("audit.jsonl")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory().join("log")).unwrap_or_default()
    }

    /// Writes the configuration: what is given, before it that there is no more, and after it the tables without which the daemon
    /// would leave its directory.
    pub(crate) fn configure(&self, configuration: &str) {
        self.configure_beside(configuration);
    }

    /// The same with `{directory}` filled in.
    pub(crate) fn configure_beside(&self, configuration: &str) {
        let without: Vec<&str> = ["token", "grant"]
            .into_iter()
            .filter(|table| !configuration.contains(&format!("[[{table}]]")))
            .collect();
        let configuration = format!("without = {without:?}\n{configuration}");
        let mut text = configuration.replace("{directory}", &self.directory().display().to_string());
        for (table, key, name) in [
            ("listen", "unix", "s"),
            ("audit", "file", "audit.jsonl"),
            ("mail", "spool_directory", "spool"),
            ("state", "directory", "state"),
        ] {
            if !text.contains(&format!("[{table}]")) {
                text.push_str(&format!(
                    "[{table}]\n{key} = \"{}\"\n",
                    self.directory().join(name).display()
                ));
            }
        }
        fs::write(self.configuration(), text).unwrap();
        fs::set_permissions(self.configuration(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) async fn connect(&self) -> Result<Channel, Error> {
        let path = self.socket();
        let connect = tower::service_fn(move |_| {
            let path = path.clone();
            async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://chanceryd")
            .connect_with_connector(connect)
            .await
    }

    pub(crate) fn wait_until_gone(&self, path: PathBuf) {
        let deadline = Instant::now() + DEADLINE;
        while path.exists() {
            assert!(
                Instant::now() < deadline,
                "{} is still there; the log:\n{}",
                path.display(),
                self.log()
            );
            std::thread::yield_now();
        }
    }
}

/// A daemon that has said READY=1. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    manager: UnixDatagram,
}

impl Daemon {
    pub(crate) fn start(scene: &Scene) -> Self {
        Self::start_with(scene, |command| command)
    }

    pub(crate) fn start_with(scene: &Scene, prepare: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        Self::start_by(scene, &[], prepare)
    }

    /// Through another program, which is given the daemon's command line as its last arguments.
    pub(crate) fn start_by(
        scene: &Scene,
        starter: &[&str],
        prepare: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let address = scene.directory().join("notify");
        let _ = fs::remove_file(&address);
        let manager = UnixDatagram::bind(&address).unwrap();
        manager.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let log = File::create(scene.directory().join("log")).unwrap();
        let mut command = command(scene, starter, "run");
        prepare(command.env("NOTIFY_SOCKET", address).stdout(Stdio::null()).stderr(log));
        let mut daemon = Self {
            child: command.spawn().unwrap(),
            manager,
        };
        daemon
            .try_wait_for("READY=1")
            .unwrap_or_else(|why| panic!("{why}; the log:\n{}", scene.log()));
        daemon
    }

    /// Expects it not to start; what it ends with and what it says.
    pub(crate) fn fail(scene: &Scene) -> (Option<i32>, String) {
        Self::fail_by(scene, &[], |command| command)
    }

    pub(crate) fn fail_by(
        scene: &Scene,
        starter: &[&str],
        prepare: impl FnOnce(&mut Command) -> &mut Command,
    ) -> (Option<i32>, String) {
        let mut command = command(scene, starter, "run");
        let output = prepare(&mut command).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    pub(crate) fn run_to_the_end(scene: &Scene, subcommand: &str) -> (Option<i32>, String) {
        let output = command(scene, &[], subcommand).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for a message with this line and returns the whole message.
    pub(crate) fn wait_for(&mut self, line: &str) -> String {
        self.try_wait_for(line).unwrap()
    }

    fn try_wait_for(&mut self, line: &str) -> Result<String, String> {
        let deadline = Instant::now() + DEADLINE;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            match self.manager.recv(&mut buffer) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    if text.lines().any(|said| said == line) {
                        return Ok(text);
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if let Some(status) = self.child.try_wait().unwrap() {
                        return Err(format!("ended with {status} before {line}"));
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
        Err(format!("no {line} in {DEADLINE:?}"))
    }

    /// Waits for the end; its exit status.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        let mut buffer = [0; 4096];
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "still running after {DEADLINE:?}");
            // The read timeout is the pause between two looks.
            let _ = self.manager.recv(&mut buffer);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(scene: &Scene, starter: &[&str], subcommand: &str) -> Command {
    let daemon = env!("CARGO_BIN_EXE_chanceryd");
    let mut command = match starter {
        [] => Command::new(daemon),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(daemon);
            command
        }
    };
    command.arg("--config").arg(scene.configuration()).arg(subcommand);
    for variable in [
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "JOURNAL_STREAM",
        "WATCHDOG_USEC",
        "CHANCERYD_CONFIG",
    ] {
        command.env_remove(variable);
    }
    command
}
