//! What the sandbox of the shipped unit really does, seen from inside while SoftHSM works in it.
//!
//! Where no container can be booted, nothing of this is tried; with `CI` in the environment, that is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;

use hsm_tests::{
    messages::{ENTITY, letter},
    nspawn::{Installed, Machine, SERVICE},
    openssl,
    people::Person,
};

/// What the daemon's user may write, and what lies below.
const OWN: [&str; 7] = [
    "/run/chancery",
    "/var/lib/chancery",
    "/var/log/chancery",
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
];

fn site() -> Option<Installed> {
    let machine = Machine::boot_or_skip()?;
    Some(Installed::on(machine, &[Person::Alice]).unwrap().with_pin().unwrap())
}

#[test]
fn softhsm_signs_in_processes_that_have_no_privilege_left() {
    let Some(site) = site() else { return };
    site.start().unwrap();
    let signed = site.chancery("alice", ["sign"], &letter(Person::Alice)).unwrap();
    assert_eq!(openssl::verify(&[], &signed.success().unwrap()).unwrap(), ENTITY);

    let user = site.succeed(["id", "-u", "chancery"]).unwrap();
    let processes = processes(&site);
    assert!(processes.contains(&site.main_pid().unwrap().to_string()));
    for pid in &processes {
        let status = site.succeed(["cat", &format!("/proc/{pid}/status")]).unwrap();
        let field = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap().split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(field("Uid"), [&*user; 4], "{status}");
        for capabilities in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(capabilities), ["0000000000000000"], "{status}");
        }
        assert_eq!(field("NoNewPrivs"), ["1"], "{status}");
        assert_eq!(field("Seccomp"), ["2"], "{status}");
        let limits = site.succeed(["cat", &format!("/proc/{pid}/limits")]).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
        assert_eq!(
            core.unwrap().split_whitespace().collect::<Vec<_>>(),
            ["0", "0", "bytes"]
        );
    }
    let maps = |pid: &String| site.succeed(["cat", &format!("/proc/{pid}/maps")]).unwrap();
    assert!(processes.iter().any(|pid| maps(pid).contains("libsofthsm2.so")));
}

#[test]
fn nothing_can_be_written_but_the_daemons_directories_and_nothing_that_was_written_there_runs() {
    let Some(site) = site() else { return };
    site.start().unwrap();
    let outside = as_the_daemon(&site, None, &format!("{WRITABLE}; {PROGRAM}"));
    let inside = as_the_daemon(&site, Some(site.main_pid().unwrap()), &format!("{WRITABLE}; {PROGRAM}"));

    // Anybody may lock a device outside.
    assert!(outside.contains("/run/lock\n"), "{outside}");
    let strange = |line: &&str| line.starts_with('/') && !OWN.iter().any(|own| line.starts_with(own));
    assert_eq!(inside.lines().filter(strange).collect::<Vec<_>>(), [""; 0]);
    for own in OWN {
        assert!(
            inside.lines().any(|line| line == own),
            "{own} is not writable: {inside}"
        );
    }

    assert!(outside.contains("runs from /var/lib/chancery\n"), "{outside}");
    assert!(!inside.contains("runs from"), "{inside}");
    assert!(inside.contains("written to /var/lib/chancery\n"), "{inside}");
}

#[test]
fn root_itself_could_not_write_anywhere_else() {
    let Some(site) = site() else { return };
    site.start().unwrap();
    let pid = site.main_pid().unwrap().to_string();
    let write = |directory: &str| {
        let file = format!("{directory}/probe");
        let inside = ["nsenter", "--target", &pid, "--mount", "--", "touch", &file];
        site.machine().run(inside, b"").unwrap()
    };
    for own in ["/run/chancery", "/var/lib/chancery", "/var/log/chancery", "/tmp"] {
        write(own).success().unwrap();
    }
    assert!(!site.machine().path("/tmp/probe").exists(), "/tmp is the daemon's own");
    for directory in [
        "/",
        "/usr",
        "/usr/bin",
        "/etc",
        "/etc/chancery",
        "/opt",
        "/run",
        "/var",
        "/var/lib",
        "/sys",
    ] {
        let written = write(directory);
        assert!(
            written.stderr.contains("Read-only file system"),
            "{directory}: {}",
            written.stderr
        );
    }
}

#[test]
fn what_the_unit_takes_away_is_gone_inside_and_there_outside() {
    let Some(site) = site() else { return };
    let probe = include_bytes!("../fixtures/sandbox-probe.sh");
    site.machine()
        .write("/usr/local/bin/sandbox-probe", 0o755, probe)
        .unwrap();
    // "!": as root, with all of the sandbox.
    site.drop_in("probe", "[Service]\nExecStartPre=!/usr/local/bin/sandbox-probe\n")
        .unwrap();
    let said_outside = site.succeed(["sandbox-probe"]).unwrap();
    site.start().unwrap();
    let said = site.succeed(["journalctl", "--output=cat", "--unit", SERVICE]).unwrap();
    let (inside, outside) = (answers(&said), answers(&said_outside));

    assert!(outside.len() > 10, "{outside:?}");
    for (name, answer) in &outside {
        assert_eq!(*answer, "allowed", "{name}, outside");
        assert_eq!(inside.get(name), Some(&"refused"), "{name}, inside");
    }
}

#[test]
fn the_daemon_sees_nobody_elses_processes() {
    let Some(site) = site() else { return };
    site.start().unwrap();
    let list = "ls /proc | grep -x 1";
    assert_eq!(as_the_daemon(&site, None, list), "1\n");
    assert_eq!(as_the_daemon(&site, Some(site.main_pid().unwrap()), list), "");
}

/// Files and directories that the user may write; /proc apart, where each process has its own.
const WRITABLE: &str = r"find / -path /proc -prune -o -writable \( -type d -o -type f \) -print 2>/dev/null";

/// Writes a program to the state directory and runs it there.
const PROGRAM: &str = "cd /var/lib/chancery && cp /usr/bin/true probe && echo written to $PWD; \
    ./probe 2>/dev/null && echo runs from $PWD; rm probe";

/// Runs a shell as the daemon's user, among this process's mounts or the machine's.
fn as_the_daemon(site: &Installed, pid: Option<u32>, script: &str) -> String {
    let pid = pid.unwrap_or(1).to_string();
    let words = ["nsenter", "--target", &pid, "--mount", "--"]
        .into_iter()
        .chain([
            "setpriv",
            "--reuid",
            "chancery",
            "--regid",
            "chancery",
            "--clear-groups",
            "--",
        ])
        .chain(["sh", "-c", script]);
    String::from_utf8(site.machine().run(words, b"").unwrap().stdout).unwrap()
}

/// The ids of the processes in the service's cgroup.
fn processes(site: &Installed) -> Vec<String> {
    let cgroup = site.property(SERVICE, "ControlGroup").unwrap();
    // Read inside, where the ids mean something.
    let list = site
        .succeed(["cat", &format!("/sys/fs/cgroup{cgroup}/cgroup.procs")])
        .unwrap();
    list.lines().map(str::to_owned).collect()
}

/// The answers of `sandbox-probe.sh`, by name.
fn answers(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("probe ")?.split_once(' '))
        .collect()
}
