//! A real systemd, the shipped units and the shipped configuration: started by its socket, announced, reloaded, killed by the
//! watchdog and started again. How it stops is in `systemd_stop.rs`.
//!
//! Where no container can be booted, nothing of this is tried, and the first test here says so in the run's summary. With
//! `CI` in the environment, that is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{fs, os::unix::fs::MetadataExt as _, thread};

use hsm_tests::{
    messages::{ENTITY, letter},
    nspawn::{Installed, Machine, SERVICE},
    openssl,
    people::Person,
};

const SOCKET: &str = "chanceryd.socket";

fn site() -> Option<Installed> {
    let machine = Machine::boot_or_skip()?;
    Some(Installed::on(machine, &[Person::Alice]).unwrap().with_pin().unwrap())
}

/// Alice signs, and OpenSSL finds nothing wrong with it.
fn assert_alice_signs(site: &Installed) {
    let signed = site.chancery("alice", ["sign"], &letter(Person::Alice)).unwrap();
    assert_eq!(openssl::verify(&[], &signed.success().unwrap()).unwrap(), ENTITY);
}

#[test]
fn a_systemd_can_be_booted() {
    let Some(machine) = Machine::boot_or_skip() else { return };
    let state = machine.run(["systemctl", "is-system-running"], b"").unwrap();
    assert_eq!(state.success().unwrap(), b"running\n");
}

#[test]
fn the_socket_starts_the_service_when_somebody_knocks() {
    let Some(site) = site() else { return };
    site.systemctl(["enable", SERVICE]).unwrap();
    for unit in [SERVICE, SOCKET] {
        assert_eq!(site.systemctl(["is-enabled", unit]).unwrap(), "enabled");
    }
    site.systemctl(["start", SOCKET]).unwrap();
    assert_eq!(site.property(SERVICE, "ActiveState").unwrap(), "inactive");

    site.wait_for_token().unwrap();
    assert_eq!(site.property(SERVICE, "ActiveState").unwrap(), "active");
    assert_alice_signs(&site);
}

#[test]
fn the_socket_outlives_the_service_and_whoever_knocks_meanwhile_is_served() {
    let Some(site) = site() else { return };
    site.start().unwrap();
    let socket = fs::metadata(site.socket()).unwrap().ino();
    site.systemctl(["stop", SERVICE]).unwrap();
    assert_eq!(site.property(SERVICE, "ActiveState").unwrap(), "inactive");

    for stopped in [true, false] {
        if !stopped {
            site.systemctl(["restart", SERVICE]).unwrap();
        }
        site.wait_for_token().unwrap();
        assert_alice_signs(&site);
    }
    assert_eq!(fs::metadata(site.socket()).unwrap().ino(), socket);
}

#[test]
fn the_start_waits_for_the_daemon_which_says_how_many_tokens_are_ready() {
    let Some(site) = site() else { return };
    let mut journal = site.journal().unwrap();
    site.systemctl(["start", SERVICE]).unwrap();
    assert_eq!(site.property(SERVICE, "SubState").unwrap(), "running");
    journal.wait_for("serving").unwrap();
    journal.wait_for("Started chanceryd.service").unwrap();

    site.wait_for_token().unwrap();
    // It is said anew whenever it changes, so that only the last word counts.
    while site.property(SERVICE, "StatusText").unwrap() != "1 of 1 tokens ready" {
        thread::yield_now();
    }
}

#[test]
fn a_reload_puts_a_new_grant_in_force_and_a_broken_file_changes_nothing() {
    let Some(site) = site() else { return };
    let mut journal = site.journal().unwrap();
    site.start().unwrap();
    let pid = site.main_pid().unwrap();
    let shipped = fs::read_to_string(site.configuration_file()).unwrap();
    let bob = || site.chancery("bob", ["sign"], &letter(Person::Alice)).unwrap();
    assert_eq!(bob().code, 3, "Bob has no grant yet");

    let grant =
        "\n[[grant]]\nname = \"bob\"\ncaller = { user = \"bob\" }\nidentities = [\"*\"]\noperations = [\"sign\"]\n";
    fs::write(site.configuration_file(), format!("{shipped}{grant}")).unwrap();
    site.systemctl(["reload", SERVICE]).unwrap();
    journal.wait_for("configuration reloaded").unwrap();
    bob().success().unwrap();

    fs::write(site.configuration_file(), "surprise = 1\n").unwrap();
    site.systemctl(["reload", SERVICE]).unwrap();
    journal.wait_for("the old one stays in force").unwrap();
    bob().success().unwrap();
    assert_eq!(site.property(SERVICE, "ActiveState").unwrap(), "active");
    assert_eq!(site.main_pid().unwrap(), pid);
}

#[test]
fn the_watchdog_kills_a_daemon_that_stands_still_and_systemd_starts_it_again() {
    let Some(site) = site() else { return };
    site.drop_in("soon", "[Service]\nWatchdogSec=3s\nRestartSec=100ms\n")
        .unwrap();
    let mut journal = site.journal().unwrap();
    site.start().unwrap();
    let pid = site.main_pid().unwrap();

    site.systemctl(["kill", "--kill-who=main", "--signal=STOP", SERVICE])
        .unwrap();
    journal.wait_for("Watchdog timeout").unwrap();
    journal.wait_for("Failed with result 'watchdog'").unwrap();
    journal.wait_for("Started chanceryd.service").unwrap();
    site.wait_for_token().unwrap();
    assert_ne!(site.main_pid().unwrap(), pid);
    assert_alice_signs(&site);
}
