//! The peer of KeyService: p11-kit's remoting, a server in front of the same module and its client module in the driver.

use std::{
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hsm_tests::daemon::Daemon;

use crate::world::TOKEN;

const CLIENT_MODULES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/pkcs11/p11-kit-client.so",
];

/// A running `p11-kit server`.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    /// In front of the daemon's token.
    pub(crate) fn start(daemon: &Daemon) -> Result<Self> {
        let socket = daemon.directory().join("p11-kit.sock");
        let child = Command::new("p11-kit")
            .args(["server", "--foreground", "--name"])
            .arg(&socket)
            .arg("--provider")
            .arg(daemon.softhsm().module_path())
            .arg(format!("pkcs11:token={TOKEN}"))
            .env("SOFTHSM2_CONF", daemon.softhsm().conf_path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("p11-kit could not be run: install p11-kit")?;
        let server = Self { child, socket };
        let deadline = Instant::now() + Duration::from_secs(10);
        // The file is there a moment before it can be connected to.
        while UnixStream::connect(&server.socket).is_err() {
            ensure!(Instant::now() < deadline, "p11-kit server did not open its socket");
            thread::yield_now();
        }
        Ok(server)
    }

    /// The module that forwards to it.
    pub(crate) fn client_module() -> Result<&'static Path> {
        CLIENT_MODULES
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
            .context("p11-kit-client.so was not found: install p11-kit-modules")
    }

    /// What the client module wants in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", self.socket.display()))]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            println!("p11-kit server could not be stopped: {error}");
        }
    }
}
