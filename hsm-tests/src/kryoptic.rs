//! A token of kryoptic's, with people's keys: one file, and a module that `hsm-tests/modules/kryoptic` builds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{
    command::run,
    people::KeyPair,
    softhsm::{Usage, beside_executable},
};

/// A token, gone when dropped.
#[derive(Debug)]
pub struct Kryoptic {
    module: PathBuf,
    serial: String,
    pin: String,
    directory: TempDir,
}

impl Kryoptic {
    /// An empty token.
    ///
    /// # Errors
    /// The module has not been built.
    pub fn new(label: &str, pin: &str) -> Result<Self> {
        let module = beside_executable("../kryoptic/debug/libkryoptic_module.so").context(
            "kryoptic has not been built: \
             cargo build --manifest-path hsm-tests/modules/kryoptic/Cargo.toml --target-dir target/kryoptic",
        )?;
        let directory = tempfile::Builder::new().prefix("kryoptic-").tempdir()?;
        fs::write(
            directory.path().join("kryoptic.conf"),
            format!(
                "[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
                directory.path().join("token.sql").display()
            ),
        )?;
        let mut token = Self {
            module,
            serial: String::new(),
            pin: pin.to_owned(),
            directory,
        };
        token.serial = token.tool(&["init", label, pin])?;
        Ok(token)
    }

    /// Puts a key pair and its certificate on the token, under this CKA_ID.
    pub fn import(&self, pair: &KeyPair, id: u8) -> Result<()> {
        let usage = match pair.usage() {
            Usage::Sign => "sign",
            Usage::Decrypt => "decrypt",
            Usage::Both => "both",
            Usage::AlwaysAuthenticate => "always-authenticate",
        };
        let write = |name: &str, bytes: &[u8]| -> Result<String> {
            let file = self.directory.path().join(name);
            fs::write(&file, bytes)?;
            Ok(file.display().to_string())
        };
        let key = write("key", pair.pkcs8()?.as_bytes())?;
        let public = write("public", &pair.spki()?)?;
        let certificate = write("certificate", &pair.certificate()?)?;
        let (id, name) = (format!("{id:02x}"), pair.name());
        self.tool(&["import", &self.serial, &self.pin, name, &id, usage, &key, &public])?;
        self.tool(&["certificate", &self.serial, &self.pin, name, &id, &certificate])?;
        Ok(())
    }

    /// The PKCS#11 module.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// What it needs in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let configuration = self.directory.path().join("kryoptic.conf");
        vec![("KRYOPTIC_CONF".to_owned(), configuration.display().to_string())]
    }

    fn tool(&self, arguments: &[&str]) -> Result<String> {
        let mut tool = Command::new(beside_executable("token-tool")?);
        tool.arg(&self.module).args(arguments).envs(self.environment());
        let output = run(&mut tool, b"")?.success()?;
        Ok(String::from_utf8(output)?.trim().to_owned())
    }
}
