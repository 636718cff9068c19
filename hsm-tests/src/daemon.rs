//! A running `chanceryd` of one's own: tokens with people's keys, a configuration, a socket, a process.
//!
//! ```no_run
//! # use hsm_tests::{daemon::Setup, people::Person};
//! let daemon = Setup::new().token("cards", &[Person::Alice, Person::Bob]).start()?;
//! let signed = daemon.chancery(["sign"], b"From: alice@example.org\r\n\r\nHello\r\n")?.success()?;
//! # anyhow::Ok(())
//! ```
//!
//! Everything is in one temporary directory that goes when the daemon goes. When the test fails, the daemon's log is printed.

mod process;
mod serving;
mod setup;
mod world;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use process::Process;
use serde_json::Value;
pub(crate) use serving::wait_for_tokens;
pub(crate) use setup::make_token;
pub use setup::{Elsewhere, PIN, Pin, Setup, WRONG_PIN};
use tonic::transport::Channel;
use world::World;

use crate::{
    command::{Finished, run},
    softhsm::{SoftHsm, Token, beside_executable, fault::Faults},
};

/// A running daemon, stopped when dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    world: World,
}

impl Daemon {
    fn start(world: World) -> Result<Self> {
        let process = start(&world)?;
        Ok(Self { process, world })
    }

    /// `unix:/…/chanceryd.sock`, for `chancery --address` and the client library.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// The socket itself.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.world.socket()
    }

    /// Runs the command line against this daemon.
    pub fn chancery<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &[u8]) -> Result<Finished> {
        run(self.chancery_command()?.args(arguments), input)
    }

    /// The command line with this daemon's address, for tests that need more than [`Daemon::chancery`].
    pub fn chancery_command(&self) -> Result<Command> {
        let mut command = Command::new(beside_executable("chancery")?);
        command.env("CHANCERY_ADDRESS", self.address());
        Ok(command)
    }

    /// A channel for the clients generated from the contract.
    pub async fn channel(&self) -> Result<Channel> {
        serving::connect(&self.socket()).await
    }

    /// The SoftHSM that its tokens are in.
    #[must_use]
    pub fn softhsm(&self) -> &SoftHsm {
        &self.world.first.softhsm
    }

    /// The token that the configuration calls `name`.
    pub fn token(&self, name: &str) -> Result<&Token> {
        self.world.token(name)
    }

    /// What has reached the first module and what is to go wrong in it, if [`Setup::faulty`] was asked for.
    pub fn faults(&self) -> Result<&Faults> {
        self.world.first.faults()
    }

    /// The same of a module by its name.
    pub fn faults_of(&self, module: &str) -> Result<&Faults> {
        self.world.module(module)?.faults()
    }

    /// The directory of everything: configuration, socket, audit trail, log. Tests may keep their own files in it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.world.directory()
    }

    /// `chanceryd.toml`, to be read or rewritten before [`Daemon::reload`] or [`Daemon::restart`].
    #[must_use]
    pub fn configuration_file(&self) -> PathBuf {
        self.world.configuration_file()
    }

    /// The directory for ciphertext that is held until its tag has been checked.
    #[must_use]
    pub fn spool_directory(&self) -> PathBuf {
        self.world.spool_directory()
    }

    /// The file of the audit trail.
    #[must_use]
    pub fn audit_file(&self) -> PathBuf {
        self.world.audit_file()
    }

    /// The records of the audit trail.
    pub fn audit(&self) -> Result<Vec<Value>> {
        fs::read_to_string(self.audit_file())?
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("in the audit trail: {line}")))
            .collect()
    }

    /// What the daemon has logged since it was started first.
    pub fn log(&self) -> Result<String> {
        self.process.log()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Peak resident memory of the process in bytes (VmHWM).
    pub fn peak_memory(&self) -> Result<u64> {
        self.process.status_bytes("VmHWM")
    }

    /// Starts the peak anew; returns what is resident now, in bytes.
    pub fn reset_peak_memory(&self) -> Result<u64> {
        self.process.reset_peak_memory()?;
        self.memory()
    }

    /// Resident memory of the process in bytes (VmRSS).
    pub fn memory(&self) -> Result<u64> {
        self.process.status_bytes("VmRSS")
    }

    /// The processes that it has started and that are alive or not yet waited for, in the order of their ids.
    pub fn children(&self) -> Result<Vec<u32>> {
        self.process.children()
    }

    /// How many descriptors the process has open.
    pub fn descriptors(&self) -> Result<usize> {
        self.process.descriptors()
    }

    /// Sends SIGHUP and waits until the daemon says that it is ready again.
    pub fn reload(&mut self) -> Result<()> {
        self.process.reload()
    }

    /// Stops the daemon with SIGTERM and starts it again in the same world. Returns how long it took to start, until every
    /// token whose PIN it has is ready.
    pub fn restart(&mut self) -> Result<Duration> {
        self.process.stop()?;
        let begun = Instant::now();
        self.process = start(&self.world)?;
        Ok(begun.elapsed())
    }

    /// The same, without waiting for its tokens once it has said that it is ready.
    pub fn restart_at_once(&mut self) -> Result<()> {
        self.process.stop()?;
        self.process = Process::start(&self.world.configuration_file(), self.world.directory())?;
        Ok(())
    }

    /// Ends the daemon with SIGKILL and starts it again in the same world.
    pub fn kill_and_start(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = start(&self.world)?;
        Ok(())
    }

    /// Stops the daemon with SIGTERM; an error if it does not end with status 0 in time.
    pub fn stop(mut self) -> Result<()> {
        self.process.stop()
    }
}

/// Starts the process and waits until every token whose PIN it has is ready.
fn start(world: &World) -> Result<Process> {
    let process = Process::start(&world.configuration_file(), world.directory())?;
    wait_for_tokens(&world.socket(), &world.unlocked_tokens())
        .with_context(|| format!("the daemon's log:\n{}", process.log().unwrap_or_default()))?;
    Ok(process)
}

/// Runs `chanceryd ARGUMENTS` to its end, for `check-config` and `verify-audit`.
pub fn chanceryd<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
    run(Command::new(beside_executable("chanceryd")?).args(arguments), b"")
}
