//! A client that knows nothing of us but the contract: Python, grpcio and stubs generated from the .proto files.
//!
//! Its virtual environment is below `target`, made by the first test that needs it from `python/requirements.txt` and made
//! anew when that changes.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{command::run, daemon::Daemon, people, softhsm::beside_executable};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// An interpreter with everything that the scripts in `python/` import.
#[derive(Debug)]
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// The one below `target`, made if it is not there.
    pub fn new() -> Result<Self> {
        let target = beside_executable("chanceryd")?
            .ancestors()
            .nth(2)
            .context("target has no PROFILE")?
            .to_owned();
        let environment = target.join("python-client");
        let interpreter = environment.join("bin/python");
        // Tests run beside one another; one of them installs, and the others wait for it.
        let lock = File::create(target.join("python-client.lock"))?;
        lock.lock()?;
        let installed = environment.join("installed.txt");
        if fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
            return Ok(Self { interpreter });
        }
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv", "--clear"]).arg(&environment), b"")?.success()?;
        let mut pip = Command::new(&interpreter);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .args(["--only-binary=:all:", "--requirement"])
        .arg(scripts().join("requirements.txt"));
        run(&mut pip, b"")?.success()?;
        fs::write(installed, REQUIREMENTS)?;
        Ok(Self { interpreter })
    }

    /// The same for a test that can do without. That it is not tried here is said, and with `CI` in the environment it is a
    /// failure.
    #[expect(
        clippy::panic,
        clippy::print_stderr,
        reason = "it is the test that ends, or is left out"
    )]
    #[must_use]
    pub fn if_it_can_run() -> Option<Self> {
        match Self::new() {
            Ok(python) => Some(python),
            Err(error) if std::env::var_os("CI").is_some() => panic!("the Python client cannot run: {error:#}"),
            Err(error) => {
                eprintln!("SKIPPED: the Python client cannot run here: {error:#}");
                None
            }
        }
    }

    /// Runs one of the scripts against a daemon, with `input` on its standard input; returns its output.
    pub fn script(&self, name: &str, daemon: &Daemon, input: &[u8]) -> Result<Vec<u8>> {
        let stubs = daemon.directory().join("stubs");
        self.generate(&stubs)?;
        let mut command = Command::new(&self.interpreter);
        command
            .arg(scripts().join(name))
            .arg(daemon.socket())
            .arg(stubs)
            .arg(people::directory())
            // The sources are in the tree, and stay clean.
            .env("PYTHONDONTWRITEBYTECODE", "1");
        run(&mut command, input)?.success()
    }

    fn generate(&self, stubs: &Path) -> Result<()> {
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
        fs::create_dir(stubs)?;
        let mut command = Command::new(&self.interpreter);
        command.args(["-m", "grpc_tools.protoc", "-I"]).arg(&contract);
        for option in ["--python_out", "--grpc_python_out"] {
            command.arg(option).arg(stubs);
        }
        for entry in fs::read_dir(contract.join("chancery/v1"))? {
            command.arg(entry?.path());
        }
        run(&mut command, b"")?.success().map(drop)
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}
