//! A wrong PIN and a service that systemd starts again and again: the card must not be locked by it.
//!
//! Where no container can be booted, nothing of this is tried; with `CI` in the environment, that is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use hsm_tests::{
    messages::{ENTITY, letter},
    nspawn::{Installed, Machine, SERVICE},
    openssl,
    people::Person,
};

const AGAIN_AND_AGAIN: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=100ms\n";

#[test]
fn a_wrong_pin_under_restart_always_costs_one_try_in_all() {
    let Some(machine) = Machine::boot_or_skip() else { return };
    let site = Installed::on(machine, &[Person::Alice])
        .unwrap()
        .with_wrong_pin()
        .unwrap();
    let faults = site.behind_the_fault_module().unwrap();
    let card = faults.token(&site.token().serial).unwrap();
    card.lock_pin_after(3).unwrap();
    site.drop_in("again", AGAIN_AND_AGAIN).unwrap();

    let mut journal = site.journal().unwrap();
    site.systemctl(["start", SERVICE]).unwrap();
    for _ in 0..5 {
        journal.wait_for("state=Locked").unwrap();
        site.systemctl(["kill", "--kill-who=main", "--signal=KILL", SERVICE])
            .unwrap();
        journal.wait_for("Scheduled restart job").unwrap();
    }
    journal.wait_for("state=Locked").unwrap();
    assert_eq!((card.pin_tries().unwrap(), card.wrong_pins().unwrap()), (1, 1));

    let site = site.with_pin().unwrap();
    site.systemctl(["restart", SERVICE]).unwrap();
    site.wait_for_token().unwrap();
    assert_eq!((card.pin_tries().unwrap(), card.wrong_pins().unwrap()), (2, 1));
    let signed = site.chancery("alice", ["sign"], &letter(Person::Alice)).unwrap();
    assert_eq!(openssl::verify(&[], &signed.success().unwrap()).unwrap(), ENTITY);
}
