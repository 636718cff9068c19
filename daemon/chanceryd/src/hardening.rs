//! What the process gives up for good at its start, before any secret is in its memory.

use rustix::io;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask};

/// No core dumps, no debugger, nothing in swap where that can be had, no file that others can read. Call it before other
/// threads are started and before any secret is read.
///
/// # Errors
/// When core dumps cannot be switched off. Memory that cannot be locked is only warned about.
pub fn apply() -> io::Result<()> {
    umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    // Neither a debugger of the same user nor a core dump handler gets at the memory.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    lock_memory();
    Ok(())
}

/// Locks what is there and what will come, each page when it is first used.
///
/// Only without any limit: under one, an allocation that exceeds it would fail, and the daemon with it.
fn lock_memory() {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if getrlimit(Resource::Memlock).current.is_some() && setrlimit(Resource::Memlock, unlimited).is_err() {
        tracing::warn!(
            limit_bytes = getrlimit(Resource::Memlock).current,
            "memory is not locked, secrets may reach the swap; set LimitMEMLOCK=infinity, or switch swap off"
        );
        return;
    }
    match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
        Ok(()) => tracing::debug!("memory is locked"),
        Err(error) => {
            tracing::warn!(%error, "memory is not locked, secrets may reach the swap; allow mlockall or switch swap off")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn no_core_is_dumped_nobody_attaches_and_new_files_are_private() {
        apply().unwrap();
        assert_eq!(
            getrlimit(Resource::Core),
            Rlimit {
                current: Some(0),
                maximum: Some(0)
            }
        );
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
