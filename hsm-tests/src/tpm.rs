//! A TPM in software with a PKCS#11 token in it: swtpm, tpm2-abrmd on a D-Bus of its own, and tpm2-pkcs11's store.
//!
//! swtpm is spoken to by TCP and serves one connection, so the resource manager stands between it and everybody, as on real
//! machines. Both run in a network namespace of their own, which takes root; only the bus is reached from outside, by its
//! socket's file.
//!
//! ```text
//!  the module in chanceryd ─► Unix socket ─► dbus-daemon ─► tpm2-abrmd ─► TCP, inside the network namespace ─► swtpm
//! ```

use std::{
    fs::{self, File},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    command::{program, run},
    people::KeyPair,
};

/// The port inside the namespace; the next one is for control.
const PORT: u16 = 2321;

/// Longer than anything here takes on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a wait looks.
const TICK: Duration = Duration::from_millis(20);

/// A TPM with one token in it. Gone when dropped.
#[derive(Debug)]
pub struct Tpm {
    processes: Vec<Running>,
    label: String,
    pin: String,
    directory: TempDir,
}

impl Tpm {
    /// Starts a TPM and makes an empty token in it.
    ///
    /// # Errors
    /// Without root, or one of the programs.
    pub fn start(label: &str, pin: &str) -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "a network namespace of one's own takes root"
        );
        for (name, package) in [
            ("ip", "iproute2"),
            ("nsenter", "util-linux"),
            ("tpm2_ptool", "libtpm2-pkcs11-tools"),
            ("tpm2_getcap", "tpm2-tools"),
        ] {
            program(name, package)?;
        }
        let mut tpm = Self {
            processes: Vec::new(),
            label: label.to_owned(),
            pin: pin.to_owned(),
            directory: tempfile::Builder::new().prefix("tpm-").tempdir()?,
        };
        for name in ["state", "store"] {
            fs::create_dir(tpm.path(name))?;
        }
        tpm.start_bus()?;
        tpm.start_tpm()?;
        tpm.ptool(&["init"])?;
        let so_pin: String = pin.chars().rev().collect();
        let (user, officer) = (format!("--userpin={pin}"), format!("--sopin={so_pin}"));
        let name = format!("--label={label}");
        tpm.ptool(&["addtoken", "--pid=1", &name, &user, &officer])?;
        Ok(tpm)
    }

    /// Puts a key pair and its certificate on the token: RSA-2048, P-256 or P-384.
    pub fn import(&self, pair: &KeyPair, algorithm: Algorithm) -> Result<()> {
        let (label, user) = (format!("--label={}", self.label), format!("--userpin={}", self.pin));
        let key_label = format!("--key-label={}", pair.name());
        let key = format!("--privkey={}", pair.private_key_file().display());
        let algorithm = match algorithm {
            Algorithm::Rsa => "--algorithm=rsa",
            Algorithm::Ecc => "--algorithm=ecc",
        };
        self.ptool(&["import", &label, &user, &key_label, &key, algorithm])?;
        let certificate = pair.certificate_file().display().to_string();
        self.ptool(&["addcert", &label, &key_label, &certificate])
    }

    /// What tpm2-pkcs11 needs in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let store = self.path("store").display().to_string();
        [
            ("TPM2_PKCS11_STORE", store),
            ("TPM2_PKCS11_TCTI", "tabrmd:bus_type=session".to_owned()),
            ("TPM2TOOLS_TCTI", "tabrmd:bus_type=session".to_owned()),
            ("DBUS_SESSION_BUS_ADDRESS", self.bus()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn start_bus(&mut self) -> Result<()> {
        let configuration = self.path("bus.conf");
        fs::write(&configuration, bus_configuration(&self.bus()))?;
        let mut command = Command::new(program("dbus-daemon", "dbus-daemon")?);
        command.arg("--config-file").arg(configuration);
        command.arg("--nofork");
        let socket = self.path("bus");
        self.spawn("dbus-daemon", command)?;
        self.wait_until("the bus", || UnixStream::connect(&socket).is_ok())
    }

    fn start_tpm(&mut self) -> Result<()> {
        let script = "ip link set lo up && exec \"$@\"";
        let mut swtpm = Command::new(program("unshare", "util-linux")?);
        swtpm.args(["--net", "--", "sh", "-c", script, "sh"]);
        swtpm.arg(program("swtpm", "swtpm")?).args(["socket", "--tpm2"]);
        swtpm.args(["--tpmstate", &format!("dir={}", self.path("state").display())]);
        swtpm.args(["--server", &format!("type=tcp,port={PORT},bindaddr=127.0.0.1")]);
        swtpm.args(["--ctrl", &format!("type=tcp,port={},bindaddr=127.0.0.1", PORT + 1)]);
        swtpm.args(["--flags", "not-need-init,startup-clear"]);
        let swtpm = self.spawn("swtpm", swtpm)?;
        // Its own namespace's sockets, as soon as it has one.
        let (comm, sockets) = (format!("/proc/{swtpm}/comm"), format!("/proc/{swtpm}/net/tcp"));
        let listens = format!("0100007F:{PORT:04X} 00000000:0000 0A");
        self.wait_until("swtpm", || {
            let name = fs::read_to_string(&comm).unwrap_or_default();
            name == "swtpm\n" && fs::read_to_string(&sockets).unwrap_or_default().contains(&listens)
        })?;
        let mut abrmd = Command::new("nsenter");
        abrmd.arg(format!("--net=/proc/{swtpm}/ns/net"));
        abrmd.arg(program("tpm2-abrmd", "tpm2-abrmd")?);
        abrmd.args(["--session", "--allow-root"]);
        abrmd.arg(format!("--tcti=swtpm:host=127.0.0.1,port={PORT}"));
        self.spawn("tpm2-abrmd", abrmd)?;
        let environment = self.environment();
        self.wait_until("tpm2-abrmd", || {
            let mut asked = Command::new("tpm2_getcap");
            asked.arg("properties-fixed").envs(environment.clone());
            run(&mut asked, b"").is_ok_and(|finished| finished.code == 0)
        })
    }

    /// Starts a part of it; returns its process id.
    fn spawn(&mut self, name: &'static str, mut command: Command) -> Result<u32> {
        let log = File::create(self.path(&format!("{name}.log")))?;
        let child = command
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        let id = child.id();
        self.processes.push(Running { name, child });
        Ok(id)
    }

    fn wait_until(&mut self, what: &str, ready: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while !ready() {
            for Running { name, child } in &mut self.processes {
                if let Some(status) = child.try_wait()? {
                    let log = fs::read_to_string(self.directory.path().join(format!("{name}.log")))?;
                    bail!("{name} ended with {status}: {log}");
                }
            }
            ensure!(Instant::now() < deadline, "{what} is not ready in {DEADLINE:?}");
            std::thread::park_timeout(TICK);
        }
        Ok(())
    }

    fn ptool(&self, arguments: &[&str]) -> Result<()> {
        let (command, rest) = arguments.split_first().context("tpm2_ptool COMMAND")?;
        let mut tool = Command::new("tpm2_ptool");
        tool.arg(command).arg("--path").arg(self.path("store")).args(rest);
        run(tool.envs(self.environment()), b"")?.success()?;
        Ok(())
    }

    fn bus(&self) -> String {
        format!("unix:path={}", self.path("bus").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// What kind of key is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA-2048.
    Rsa,
    /// P-256 or P-384.
    Ecc,
}

/// The PKCS#11 module, where distributions put it.
///
/// # Errors
/// It is not there.
pub fn module() -> Result<&'static Path> {
    const MODULES: [&str; 3] = [
        "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
        "/usr/lib64/pkcs11/libtpm2_pkcs11.so",
    ];
    let module = MODULES.map(Path::new).into_iter().find(|file| file.exists());
    module.context("there is no libtpm2_pkcs11.so: install libtpm2-pkcs11-1")
}

/// Everybody may do everything: the socket is in a directory that nobody else may enter.
fn bus_configuration(address: &str) -> String {
    format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context=\"default\">
    <allow send_destination=\"*\" eavesdrop=\"true\"/>
    <allow eavesdrop=\"true\"/>
    <allow own=\"*\"/>
  </policy>
</busconfig>
"
    )
}

/// A part that runs, killed when dropped.
#[derive(Debug)]
struct Running {
    name: &'static str,
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _done = self.child.kill();
        let _done = self.child.wait();
    }
}
