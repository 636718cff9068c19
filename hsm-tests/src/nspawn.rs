//! A real systemd: a small Debian of one's own, booted in a container ([`Machine`]), and Chancery installed on it with the
//! shipped units, as an operator would ([`Installed`]).
//!
//! ```no_run
//! # use hsm_tests::{nspawn::{Installed, Machine}, people::Person};
//! let Some(machine) = Machine::boot_or_skip() else { return Ok(()) };
//! let site = Installed::on(machine, &[Person::Alice])?;
//! site.start()?;
//! let signed = site.chancery("alice", ["sign"], b"From: alice@example.org\r\n\r\nHello\r\n")?.success()?;
//! # anyhow::Ok(())
//! ```
//!
//! It needs root, `mmdebstrap`, `systemd-nspawn` and a cgroup v2 hierarchy. Nothing of it is seen outside: the container has
//! a network, a process table and a cgroup of its own, writes to memory alone, and ends with the test, also if that is
//! killed.

mod cgroup;
mod installed;
mod journal;
mod machine;
mod tree;

pub use installed::{Installed, SERVICE};
pub use journal::Journal;
pub use machine::Machine;
