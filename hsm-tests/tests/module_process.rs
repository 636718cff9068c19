//! What the daemon and the process of a module have in common, and what they have not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::PathBuf,
    time::{Duration, Instant},
};

use hsm_tests::{
    daemon::{Daemon, Setup},
    people::Person,
};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(60);

fn daemon() -> Daemon {
    Setup::new().token("card", &[Person::Alice]).start().unwrap()
}

fn the_process(daemon: &Daemon) -> u32 {
    let children = daemon.children().unwrap();
    assert_eq!(children.len(), 1, "{children:?}");
    children[0]
}

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Both processes let nobody but root look into them.
fn may_look(process: u32) -> bool {
    let maps = fs::read(format!("/proc/{process}/maps"));
    let refused = maps.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    if refused {
        assert!(std::env::var_os("CI").is_none(), "only root may look into the daemon");
        eprintln!("SKIPPED: only root may look into the daemon");
    }
    !refused
}

/// What its descriptors lead to.
fn open(process: u32) -> BTreeSet<PathBuf> {
    let listed = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    // One may be closed while it is looked at.
    listed
        .filter_map(|each| fs::read_link(each.unwrap().path()).ok())
        .collect()
}

#[test]
fn a_module_is_mapped_by_its_own_process_and_never_by_the_daemon() {
    let daemon = daemon();
    if !may_look(daemon.pid()) {
        return;
    }
    daemon.chancery(["keys"], b"").unwrap().success().unwrap();
    let maps = |process: u32| fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    assert!(maps(the_process(&daemon)).contains("libsofthsm2.so"));
    assert!(!maps(daemon.pid()).contains("softhsm"));
}

#[test]
fn of_what_the_daemon_has_open_the_process_of_a_module_has_the_pipe_of_its_log_alone() {
    let daemon = daemon();
    if !may_look(daemon.pid()) {
        return;
    }
    let (ours, theirs) = (open(daemon.pid()), open(the_process(&daemon)));
    let null = PathBuf::from("/dev/null");
    let shared: Vec<_> = ours.intersection(&theirs).filter(|each| **each != null).collect();
    assert_eq!(shared.len(), 1, "{shared:?}");
    assert!(shared[0].to_string_lossy().starts_with("pipe:["), "{shared:?}");
}

#[test]
fn the_process_of_a_module_dies_with_the_daemon_though_it_can_hear_of_nothing() {
    let mut daemon = daemon();
    let process = the_process(&daemon);
    signal(process, Signal::STOP);
    daemon.kill_and_start().unwrap();
    let begun = Instant::now();
    // Whoever has taken it in by now may be slow to wait for it.
    let lives = || {
        let status = fs::read_to_string(format!("/proc/{process}/stat"));
        status.is_ok_and(|status| !status.contains(") Z "))
    };
    while lives() {
        assert!(begun.elapsed() < PATIENCE, "process {process} lives on");
        std::thread::yield_now();
    }
}
