//! The world around one daemon: its modules with their tokens, and where its files are. Gone when dropped.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fault_module::{FILE_VARIABLE, MODULE_VARIABLE};

use super::setup::{Elsewhere, Pin};
use crate::softhsm::{SoftHsm, Token, built_library, fault::Faults};

/// The tokens and files of one daemon.
#[derive(Debug)]
pub(super) struct World {
    /// The module whose directory has the daemon's own files, too.
    pub(super) first: Module,
    pub(super) further: Vec<Module>,
    pub(super) tokens: Vec<MadeToken>,
}

/// A module of the configuration.
#[derive(Debug)]
pub(super) struct Module {
    name: String,
    pub(super) softhsm: SoftHsm,
    faults: Option<Faults>,
    is_further: bool,
}

/// A token of the configuration.
#[derive(Debug)]
pub(super) struct MadeToken {
    pub(super) name: String,
    pub(super) pin: Pin,
    pub(super) token: Token,
}

impl World {
    pub(super) fn modules(&self) -> impl Iterator<Item = &Module> {
        [&self.first].into_iter().chain(&self.further)
    }

    pub(super) fn module(&self, name: &str) -> Result<&Module> {
        let mut modules = self.modules();
        modules
            .find(|module| module.name == name)
            .with_context(|| format!("no module {name} in this world"))
    }

    pub(super) fn directory(&self) -> &Path {
        self.first.softhsm.directory()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory().join("chanceryd.sock")
    }

    pub(super) fn configuration_file(&self) -> PathBuf {
        self.directory().join("chanceryd.toml")
    }

    pub(super) fn spool_directory(&self) -> PathBuf {
        self.directory().join("spool")
    }

    pub(super) fn audit_file(&self) -> PathBuf {
        self.directory().join("audit.jsonl")
    }

    pub(super) fn token(&self, name: &str) -> Result<&Token> {
        self.tokens
            .iter()
            .find_map(|made| (made.name == name).then_some(&made.token))
            .with_context(|| format!("no token {name} in this world"))
    }

    pub(super) fn unlocked_tokens(&self) -> Vec<&str> {
        let unlocked = self.tokens.iter().filter(|made| made.pin == Pin::Right);
        unlocked.map(|made| made.name.as_str()).collect()
    }
}

impl Module {
    /// The first one, or one more.
    pub(super) fn new(name: &str, softhsm: SoftHsm, faulty: bool, is_further: bool) -> Result<Self> {
        let faults = faulty
            .then(|| Faults::create(&softhsm.directory().join("faults")))
            .transpose()?;
        Ok(Self {
            name: name.to_owned(),
            softhsm,
            faults,
            is_further,
        })
    }

    pub(super) fn faults(&self) -> Result<&Faults> {
        let faults = self.faults.as_ref();
        faults.with_context(|| format!("the fault module is not in front of {}", self.name))
    }

    /// The `[[module]]`: SoftHSM or what is in its place, or the fault module in front of it.
    pub(super) fn configuration(&self, elsewhere: Option<&Elsewhere>) -> Result<String> {
        let (real, mut environment) = match elsewhere {
            None => {
                let configuration = self.softhsm.conf_path().display().to_string();
                let environment = vec![("SOFTHSM2_CONF".to_owned(), configuration)];
                (self.softhsm.module_path(), environment)
            }
            Some(elsewhere) => (elsewhere.module.as_path(), elsewhere.environment.clone()),
        };
        let mut path = real.to_owned();
        if let Some(faults) = &self.faults {
            path = built_library("fault_module")?;
            environment.push((MODULE_VARIABLE.to_owned(), real.display().to_string()));
            environment.push((FILE_VARIABLE.to_owned(), faults.path().display().to_string()));
        }
        if self.is_further {
            // A library is configured once; this is another by its name.
            let link = self.softhsm.directory().join("libmodule.so");
            std::os::unix::fs::symlink(&path, &link)?;
            path = link;
        }
        let environment: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{name} = \"{value}\""))
            .collect();
        Ok(format!(
            "[[module]]\nname = \"{}\"\npath = \"{}\"\nenvironment = {{ {} }}",
            self.name,
            path.display(),
            environment.join(", ")
        ))
    }
}
