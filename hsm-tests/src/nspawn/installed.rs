//! Chancery on a machine: put there by `scripts/install.sh`, with the shipped units and the shipped example of a configuration,
//! which serves one token, Alice's, on SoftHSM.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use fault_module::{FILE_VARIABLE, MODULE_VARIABLE};

use super::{Journal, Machine};
use crate::{
    command::{Finished, run},
    daemon::{PIN, WRONG_PIN, make_token, wait_for_tokens},
    people::{Person, intermediate_certificate, root_certificate},
    softhsm::{SoftHsm, Token, beside_executable, built_library, fault::Faults},
};

/// The service.
pub const SERVICE: &str = "chanceryd.service";
/// Where callers knock.
const SOCKET: &str = "/run/chancery/chanceryd.sock";
/// The configuration.
const CONFIGURATION: &str = "/etc/chancery/chanceryd.toml";
/// The one token of the shipped example, and what it calls the PIN.
const TOKEN: &str = "alice";
/// The module, where the shipped example and Debian have it.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const TOKENS: &str = "/var/lib/chancery/tokens";
/// Who is on the machine. The shipped example grants Alice her own mail; Bob may connect, and nothing else.
const PEOPLE: &str = "g chancery-admin -\nu alice - \"Alice\" /\nu bob - \"Bob\" /\n\
    m alice chancery-users\nm bob chancery-users\n";

/// A machine with Chancery. When the test fails, its journal is printed.
#[derive(Debug)]
pub struct Installed {
    machine: Machine,
    token: Token,
}

impl Installed {
    /// Installs everything and starts nothing. The token has these people's keys, and the daemon nothing yet to open it with.
    pub fn on(machine: Machine, people: &[Person]) -> Result<Self> {
        install(&machine.root())?;
        // What is installed as the configuration has no token and no grant.
        let example = fs::read(machine.path("/usr/share/doc/chancery/chanceryd.toml"))?;
        machine.write(CONFIGURATION, 0o644, example)?;
        let softhsm = SoftHsm::new()?;
        let token = make_token(&softhsm, TOKEN, people)?;
        copy_tree(&softhsm.token_directory(), &machine.path(TOKENS))?;
        let configuration = format!("directories.tokendir = {TOKENS}\nobjectstore.backend = file\nlog.level = ERROR\n");
        machine.write("/etc/chancery/softhsm2.conf", 0o644, configuration)?;
        for file in [root_certificate(), intermediate_certificate()] {
            let name = file.file_name().and_then(OsStr::to_str).context("a file has a name")?;
            machine.write(&format!("/etc/chancery/certificates/{name}"), 0o644, fs::read(&file)?)?;
        }
        machine.write("/etc/sysusers.d/people.conf", 0o644, PEOPLE)?;
        let site = Self { machine, token };
        // As `scripts/install.sh` says at its end.
        site.succeed(["systemd-sysusers"])?;
        site.succeed(["chown", "-R", "chancery:chancery", "/var/lib/chancery"])?;
        site.succeed(["systemd-tmpfiles", "--create"])?;
        site.systemctl(["daemon-reload"])?;
        Ok(site)
    }

    /// Gives the daemon the PIN as the unit's comment says, from a file that only root can read.
    pub fn with_pin(self) -> Result<Self> {
        self.pin_file(PIN)?;
        Ok(self)
    }

    /// The same with another PIN than the token's.
    pub fn with_wrong_pin(self) -> Result<Self> {
        self.pin_file(WRONG_PIN)?;
        Ok(self)
    }

    /// Gives the daemon the PIN encrypted for this machine; nothing on its disk shows it.
    pub fn with_encrypted_pin(self) -> Result<Self> {
        self.succeed(["install", "-d", "-m", "700", "/etc/credstore.encrypted"])?;
        let file = "/etc/credstore.encrypted/alice-pin";
        let words = [
            "systemd-creds",
            "encrypt",
            "--name=alice-pin",
            "--with-key=host",
            "-",
            file,
        ];
        self.machine.run(words, PIN.as_bytes())?.success()?;
        self.drop_in("pin", &format!("[Service]\nLoadCredentialEncrypted=alice-pin:{file}\n"))?;
        Ok(self)
    }

    /// Puts the fault module in front of SoftHSM; what is returned tells it what to do. Before the first start.
    pub fn behind_the_fault_module(&self) -> Result<Faults> {
        let module = "/usr/local/lib/libfault_module.so";
        self.machine
            .write(module, 0o755, fs::read(built_library("fault_module")?)?)?;
        let directory = "/var/lib/chancery/faults";
        self.succeed(["install", "-d", "-o", "chancery", "-g", "chancery", directory])?;
        let control = format!("{directory}/control");
        let faults = Faults::create(&self.machine.path(&control))?;
        self.succeed(["chown", "chancery:chancery", &control])?;

        let shipped = fs::read_to_string(self.configuration_file())?;
        let changed = shipped
            .replace(&format!("path = \"{MODULE}\""), &format!("path = \"{module}\""))
            .replace(
                "environment = { ",
                &format!("environment = {{ {FILE_VARIABLE} = \"{control}\", {MODULE_VARIABLE} = \"{MODULE}\", "),
            );
        ensure!(
            changed.contains(module) && changed.contains(FILE_VARIABLE),
            "the configuration names no module"
        );
        fs::write(self.configuration_file(), changed)?;
        Ok(faults)
    }

    /// A drop-in for the service, as `systemctl edit` writes it.
    pub fn drop_in(&self, name: &str, text: &str) -> Result<()> {
        let file = format!("/etc/systemd/system/{SERVICE}.d/{name}.conf");
        self.machine.write(&file, 0o644, text)?;
        self.systemctl(["daemon-reload"]).map(drop)
    }

    /// Starts the socket and the service, and waits until the token can be used.
    pub fn start(&self) -> Result<()> {
        self.systemctl(["start", "chanceryd.socket", SERVICE])?;
        self.wait_for_token()
    }

    /// Waits until the token can be used. Knocking at the socket starts a service that is down.
    pub fn wait_for_token(&self) -> Result<()> {
        wait_for_tokens(&self.socket(), &[TOKEN])
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The socket, seen from outside.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.machine.path(SOCKET)
    }

    /// The configuration, the shipped example, to be read or changed.
    #[must_use]
    pub fn configuration_file(&self) -> PathBuf {
        self.machine.path(CONFIGURATION)
    }

    /// The audit trail.
    #[must_use]
    pub fn audit_file(&self) -> PathBuf {
        self.machine.path("/var/log/chancery/audit.jsonl")
    }

    /// Runs `systemctl`; returns what it prints.
    pub fn systemctl<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Result<String> {
        let words: Vec<_> = words.into_iter().collect();
        let all = [OsStr::new("systemctl"), OsStr::new("--no-pager")].into_iter();
        self.succeed(all.chain(words.iter().map(AsRef::as_ref)))
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.systemctl(["show", "--value", "--property", name, unit])
    }

    /// The daemon's process id on the machine.
    pub fn main_pid(&self) -> Result<u32> {
        let pid = self.property(SERVICE, "MainPID")?.parse()?;
        ensure!(pid != 0, "{SERVICE} has no process");
        Ok(pid)
    }

    /// The machine's journal.
    pub fn journal(&self) -> Result<Journal> {
        Journal::follow(&self.machine)
    }

    /// Runs the command line as one of the machine's users.
    pub fn chancery<A: AsRef<OsStr>>(
        &self,
        user: &str,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Result<Finished> {
        run(self.chancery_command(user).args(arguments), input)
    }

    /// The command line as one of the machine's users, for tests that need more than [`Installed::chancery`].
    #[must_use]
    pub fn chancery_command(&self, user: &str) -> Command {
        let become_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--"];
        self.machine.command(become_user.into_iter().chain(["chancery"]))
    }

    /// Runs a command as root, which must succeed; returns what it prints, without the last line end.
    pub fn succeed<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Result<String> {
        let output = self.machine.run(words, b"")?.success()?;
        Ok(String::from_utf8(output)?.trim_end().to_owned())
    }

    fn pin_file(&self, pin: &str) -> Result<()> {
        let file = "/etc/chancery/pins/alice-pin";
        self.machine.write(file, 0o600, pin)?;
        self.drop_in("pin", &format!("[Service]\nLoadCredential=alice-pin:{file}\n"))
    }
}

impl Drop for Installed {
    #[expect(clippy::print_stderr, reason = "part of the failing test's own output")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let words = ["journalctl", "--no-pager", "--lines=200", "--output=short-monotonic"];
            let said = self.machine.run(words, b"").and_then(Finished::success);
            eprintln!("the journal:\n{}", String::from_utf8_lossy(&said.unwrap_or_default()));
        }
    }
}

/// `make install` with what was built for the tests in place of a release.
fn install(root: &Path) -> Result<()> {
    let built = beside_executable("chanceryd")?;
    let target = tempfile::tempdir()?;
    symlink(built.parent().context("target/PROFILE")?, target.path().join("release"))?;
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/install.sh"));
    script
        .env("CARGO_TARGET_DIR", target.path())
        .env("DESTDIR", root)
        .env("PREFIX", "/usr")
        .env_remove("SYSCONFDIR");
    run(&mut script, b"")?.success().map(drop)
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}
