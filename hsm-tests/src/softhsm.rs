//! A SoftHSM of one's own: a temporary token directory, its configuration, tokens, keys and certificates in it.
//!
//! SoftHSM reads `SOFTHSM2_CONF` once, from the environment, and a test process cannot set its own environment without
//! `unsafe`. So everything here happens in a short-lived child, the `token-tool` binary of this package, which is given the
//! variable; the test process itself loads no module. A test that has to load the module itself runs its body in a child
//! through [`in_child`].

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use fault::Faults;
use fault_module::{FILE_VARIABLE, MODULE_VARIABLE};

use crate::hex;

pub mod fault;
pub mod serve;

/// The places where distributions put SoftHSM's module; `SOFTHSM2_MODULE` in the environment comes before them.
const MODULES: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A token directory and the configuration that points to it. Removed when dropped by who made it.
#[derive(Debug)]
pub struct SoftHsm {
    directory: PathBuf,
    _owned: Option<tempfile::TempDir>,
    configuration: PathBuf,
    module: PathBuf,
}

/// A token that [`SoftHsm::init_token`] made.
#[derive(Debug, Clone)]
pub struct Token {
    /// CKA_LABEL of the token.
    pub label: String,
    /// The serial number that SoftHSM chose.
    pub serial: String,
    /// The user PIN.
    pub pin: String,
}

/// What a generated key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// CKA_SIGN.
    Sign,
    /// CKA_DECRYPT and CKA_UNWRAP on RSA keys, CKA_DERIVE on the others.
    Decrypt,
    /// Both of the above.
    Both,
    /// CKA_SIGN (and CKA_DECRYPT on RSA keys), each operation after a context-specific login.
    AlwaysAuthenticate,
}

impl Usage {
    fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Decrypt => "decrypt",
            Self::Both => "both",
            Self::AlwaysAuthenticate => "always-authenticate",
        }
    }
}

/// The curves SoftHSM generates Weierstrass keys on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl Curve {
    fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::P521 => "p521",
        }
    }
}

impl SoftHsm {
    /// Makes an empty token directory and its configuration.
    pub fn new() -> Result<Self> {
        Self::with_configuration("")
    }

    /// The same with further lines in the configuration, such as `slots.mechanisms = …`.
    pub fn with_configuration(lines: &str) -> Result<Self> {
        let module = find_module()?;
        let owned = tempfile::Builder::new().prefix("softhsm-").tempdir()?;
        let directory = owned.path().to_owned();
        let tokens = directory.join("tokens");
        fs::create_dir(&tokens)?;
        let configuration = directory.join("softhsm2.conf");
        fs::write(
            &configuration,
            format!(
                "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n{lines}\n",
                tokens.display()
            ),
        )?;
        Ok(Self {
            directory,
            _owned: Some(owned),
            configuration,
            module,
        })
    }

    /// The one that this process was given through `SOFTHSM2_CONF`, which another process removes.
    pub fn from_environment() -> Result<Self> {
        let configuration = PathBuf::from(std::env::var_os("SOFTHSM2_CONF").context("SOFTHSM2_CONF is not set")?);
        let directory = configuration
            .parent()
            .context("SOFTHSM2_CONF has no directory")?
            .to_owned();
        Ok(Self {
            directory,
            _owned: None,
            configuration,
            module: find_module()?,
        })
    }

    /// The configuration file: the value of `SOFTHSM2_CONF`.
    pub fn conf_path(&self) -> &Path {
        &self.configuration
    }

    /// The PKCS#11 module.
    pub fn module_path(&self) -> &Path {
        &self.module
    }

    /// The directory that is removed with this value; tests may keep their own files in it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory that holds the tokens; moving it away makes every token absent for processes started later.
    pub fn token_directory(&self) -> PathBuf {
        self.directory.join("tokens")
    }

    /// Initialises a token. The security officer's PIN is the user's PIN reversed.
    pub fn init_token(&self, label: &str, pin: &str) -> Result<Token> {
        let serial = self.tool(["init", label, pin])?;
        fs::write(self.note(label), format!("{serial}\n{pin}"))?;
        Ok(Token {
            label: label.to_owned(),
            serial,
            pin: pin.to_owned(),
        })
    }

    /// A token that was initialised before, perhaps by the process that this one is a child of.
    pub fn token(&self, label: &str) -> Result<Token> {
        let note = fs::read_to_string(self.note(label))?;
        let (serial, pin) = note.split_once('\n').context("the note on a token is cut off")?;
        Ok(Token {
            label: label.to_owned(),
            serial: serial.to_owned(),
            pin: pin.to_owned(),
        })
    }

    /// Generates an RSA key pair; returns the DER SubjectPublicKeyInfo.
    pub fn generate_rsa(&self, token: &Token, label: &str, id: &[u8], bits: u32, usage: Usage) -> Result<Vec<u8>> {
        self.generate(token, &format!("rsa:{bits}"), label, id, usage)
    }

    /// Generates a key pair on a Weierstrass curve; returns the DER SubjectPublicKeyInfo.
    pub fn generate_ec(&self, token: &Token, label: &str, id: &[u8], curve: Curve, usage: Usage) -> Result<Vec<u8>> {
        self.generate(token, curve.name(), label, id, usage)
    }

    /// Generates an Ed25519 key pair; returns the DER SubjectPublicKeyInfo.
    pub fn generate_ed25519(&self, token: &Token, label: &str, id: &[u8], usage: Usage) -> Result<Vec<u8>> {
        self.generate(token, "ed25519", label, id, usage)
    }

    /// Generates an X25519 key pair; returns the DER SubjectPublicKeyInfo.
    pub fn generate_x25519(&self, token: &Token, label: &str, id: &[u8], usage: Usage) -> Result<Vec<u8>> {
        self.generate(token, "x25519", label, id, usage)
    }

    /// Generates `count` P-256 signing keys in one go, with ids of four bytes counted from one.
    pub fn generate_many(&self, token: &Token, count: u32) -> Result<()> {
        self.tool(["many", &token.serial, &token.pin, &count.to_string()])
            .map(drop)
    }

    /// Imports a private key from PKCS#8 DER, with its DER SubjectPublicKeyInfo: RSA, P-256, P-384, P-521, Ed25519, X25519.
    pub fn import(&self, token: &Token, label: &str, id: &[u8], pkcs8: &[u8], spki: &[u8], usage: Usage) -> Result<()> {
        let files = tempfile::tempdir_in(&self.directory)?;
        let (key, public) = (files.path().join("key"), files.path().join("public"));
        fs::write(&key, pkcs8)?;
        fs::write(&public, spki)?;
        self.tool([
            OsStr::new("import"),
            token.serial.as_ref(),
            token.pin.as_ref(),
            label.as_ref(),
            hex::encode(id).as_ref(),
            usage.name().as_ref(),
            key.as_ref(),
            public.as_ref(),
        ])
        .map(drop)
    }

    /// Writes a certificate object, from DER, beside the key with the same id.
    pub fn write_certificate(&self, token: &Token, label: &str, id: &[u8], der: &[u8]) -> Result<()> {
        let file = tempfile::NamedTempFile::new_in(&self.directory)?;
        fs::write(file.path(), der)?;
        self.tool([
            OsStr::new("certificate"),
            token.serial.as_ref(),
            token.pin.as_ref(),
            label.as_ref(),
            hex::encode(id).as_ref(),
            file.path().as_ref(),
        ])
        .map(drop)
    }

    /// Destroys the objects with this id; `class` is `private`, `public`, `certificate` or `all`.
    pub fn destroy(&self, token: &Token, id: &[u8], class: &str) -> Result<()> {
        self.tool(["destroy", &token.serial, &token.pin, &hex::encode(id), class])
            .map(drop)
    }

    /// Changes the user PIN.
    pub fn change_pin(&self, token: &mut Token, pin: &str) -> Result<()> {
        self.tool(["change-pin", &token.serial, &token.pin, pin])?;
        pin.clone_into(&mut token.pin);
        Ok(())
    }

    /// Deletes a token under whoever uses it.
    pub fn delete_token(&self, token: &Token) -> Result<()> {
        let output = Command::new("softhsm2-util")
            .args(["--delete-token", "--serial", &token.serial])
            .env("SOFTHSM2_CONF", &self.configuration)
            .output()
            .context("softhsm2-util could not be run: install softhsm2")?;
        ensure!(
            output.status.success(),
            "softhsm2-util: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn note(&self, label: &str) -> PathBuf {
        self.directory.join(format!("{label}.token"))
    }

    fn generate(&self, token: &Token, kind: &str, label: &str, id: &[u8], usage: Usage) -> Result<Vec<u8>> {
        let spki = self.tool([
            "generate",
            &token.serial,
            &token.pin,
            kind,
            label,
            &hex::encode(id),
            usage.name(),
        ])?;
        hex::decode(&spki)
    }

    fn tool<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        let output = Command::new(tool_path()?)
            .arg(&self.module)
            .args(arguments)
            .env("SOFTHSM2_CONF", &self.configuration)
            .output()
            .context("token-tool could not be run")?;
        ensure!(
            output.status.success(),
            "token-tool: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// Runs `body` in a child process of the same test, with `SOFTHSM2_CONF` set in it, and fails if the child fails.
///
/// `test` is the test's own path as libtest knows it (for a test at the root of `tests/x.rs`, its name). The parent calls
/// `prepare` on a new token directory and waits; the child alone calls `body`, and may load the module itself. It can load
/// the fault module as well, whose control file is that of [`Faults::open`].
pub fn in_child(
    test: &str,
    prepare: impl FnOnce(&SoftHsm) -> Result<()>,
    body: impl FnOnce(&SoftHsm) -> Result<()>,
) -> Result<()> {
    const MARK: &str = "CHANCERY_TEST_CHILD";
    if let Some(done) = std::env::var_os(MARK) {
        body(&SoftHsm::from_environment()?)?;
        return Ok(fs::write(done, b"")?);
    }
    let softhsm = SoftHsm::new()?;
    let faults = Faults::create(&softhsm.directory.join("faults"))?;
    prepare(&softhsm)?;
    let done = softhsm.directory.join("done");
    let status = Command::new(std::env::current_exe()?)
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env("SOFTHSM2_CONF", softhsm.conf_path())
        .env(MODULE_VARIABLE, softhsm.module_path())
        .env(FILE_VARIABLE, faults.path())
        .env(MARK, &done)
        .status()?;
    ensure!(status.success(), "the child of {test} failed: {status}");
    // A child that finds no test of that name has nothing to fail at.
    ensure!(done.exists(), "the child has run no test {test}");
    Ok(())
}

/// A library built by this workspace as a cdylib, such as `libfault_module.so`, beside the running executable.
pub fn built_library(name: &str) -> Result<PathBuf> {
    beside_executable(&format!("lib{name}.so"))
}

fn find_module() -> Result<PathBuf> {
    std::env::var_os("SOFTHSM2_MODULE")
        .map(PathBuf::from)
        .into_iter()
        .chain(MODULES.map(PathBuf::from))
        .find(|path| path.exists())
        .context("libsofthsm2.so was not found: install softhsm2 or set SOFTHSM2_MODULE")
}

fn tool_path() -> Result<PathBuf> {
    beside_executable("token-tool")
}

/// Tests run from `target/PROFILE/deps`, binaries from `target/PROFILE`.
pub fn beside_executable(name: &str) -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    for directory in executable.ancestors().skip(1).take(3) {
        let path = directory.join(name);
        if path.exists() {
            return Ok(path);
        }
    }
    bail!(
        "{name} is not beside {}: build the workspace first (cargo build --workspace)",
        executable.display()
    )
}
