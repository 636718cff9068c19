//! What the process that loads a module gives up before it does: the network, other programs, other processes' memory and
//! keys, and the files of the daemon that are none of the module's business.
//!
//! A module is other people's code, which parses what a card or an HSM says. It keeps what it may need: its own files,
//! devices, and Unix sockets, such as pcscd's. Core dumps and resource limits are the business of whoever starts the
//! process; here is only what a thread can give up for itself and for all that it starts.

mod calls;
mod files;
#[cfg(test)]
mod tests;

use std::{fmt, io, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What a module is left with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// It may open sockets other than Unix ones: modules that speak to an HSM over the network need it.
    pub(crate) network: bool,
    /// It may start programs. p11-kit does for a module whose configuration says `remote: |command`; few others do.
    pub(crate) programs: bool,
    /// Absolute paths of files and directories that it cannot open, with the copies of such a file in the same directory that
    /// have its name and an ending (`file.bak`, `file-20260102.gz`, `.file.swp`). They need not exist. Beside a hidden path, other
    /// names that are there now stay as they are; names that appear there later, in the same directory or in one above it, stay
    /// closed.
    pub(crate) hidden: Vec<PathBuf>,
}

/// What took effect; its `Display` is a line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confined {
    network: bool,
    programs: bool,
    landlock: Landlock,
}

/// What Landlock does for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landlock {
    /// It holds, as far as this version of its interface goes.
    Enforced {
        /// Landlock's ABI: from 3 on the files are hidden altogether, from 4 on TCP is refused too, from 6 on signals to other
        /// processes and abstract sockets.
        abi: i32,
    },
    /// The kernel has none, or it is switched off: what hides files are their owners and modes.
    Missing,
}

/// Why the process could not be confined. The module must not be loaded into it then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfineError {
    /// The kernel refuses no_new_privs.
    #[error("the kernel does not let the process give up new privileges: {0}")]
    NewPrivileges(#[source] io::Error),
    /// seccomp is missing from the kernel, or this processor is one that no filter can be made for.
    #[error("system calls cannot be filtered, which needs seccomp on x86_64, aarch64 or riscv64: {0}")]
    Calls(#[source] seccompiler::Error),
    /// A path that is to be hidden is not absolute, is `/`, or cannot be followed.
    #[error("{} cannot be hidden from the module: {source}", path.display())]
    Hidden {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too many neighbours of hidden paths: each needs a rule.
    #[error("{} and the directories above it hold more than {limit} names: put the file into a smaller directory", directory.display())]
    Crowded {
        /// Where it became too many.
        directory: PathBuf,
        /// The most.
        limit: usize,
    },
    /// The kernel has Landlock and refuses these rules.
    #[error("the kernel refuses the rules that hide files from the module: {0}")]
    Rules(#[source] landlock::RulesetError),
}

/// Gives up, for good, what is not needed. Called by the only thread of the process: Landlock binds the thread that calls and
/// those that it starts.
///
/// # Errors
/// When seccomp is missing, a path cannot be hidden, or the kernel refuses. Part of it may be in force then. That Landlock is
/// missing is no error.
pub(crate) fn confine(confinement: &Confinement) -> Result<Confined, ConfineError> {
    rustix::thread::set_no_new_privs(true).map_err(|error| ConfineError::NewPrivileges(error.into()))?;
    let landlock = files::hide(&confinement.hidden, confinement.network)?;
    calls::refuse(confinement.network, confinement.programs).map_err(ConfineError::Calls)?;
    Ok(Confined {
        network: confinement.network,
        programs: confinement.programs,
        landlock,
    })
}

impl fmt::Display for Confined {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let may = |allowed| if allowed { "allowed" } else { "refused" };
        write!(
            formatter,
            "network {}, programs {}, ",
            may(self.network),
            may(self.programs)
        )?;
        match self.landlock {
            Landlock::Enforced { abi } => write!(formatter, "the daemon's files hidden by Landlock (ABI {abi})"),
            Landlock::Missing => {
                formatter.write_str("Landlock missing: the daemon's files are kept by their modes alone")
            }
        }
    }
}
