//! The environment that the modules need. A process has one environment, so all modules share it.

use std::collections::BTreeMap;

use super::Module;

/// Variables that belong to whoever started the daemon.
const RESERVED: [&str; 9] = [
    "CREDENTIALS_DIRECTORY",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDS_FIRST_FD",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

pub(super) fn is_reserved(variable: &str) -> bool {
    RESERVED.contains(&variable)
}

/// What all modules together want in the environment. The configuration has been checked: they agree.
#[must_use]
pub fn module_environment(modules: &[Module]) -> BTreeMap<&str, &str> {
    let all = modules.iter().flat_map(|module| &module.environment);
    all.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Another module before this one that wants another value of the variable.
pub(super) fn conflicting<'a>(before: &'a [Module], variable: &str, value: &str) -> Option<&'a str> {
    let conflicts = |module: &&Module| module.environment.get(variable).is_some_and(|other| other != value);
    before.iter().find(conflicts).map(|module| module.name.as_str())
}
