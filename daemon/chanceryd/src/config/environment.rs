//! What a module's environment may not hold.

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
