//! The service is stopped while it has work: at a caller's, at the token, and at a token that never answers again.
//!
//! Where no container can be booted, nothing of this is tried; with `CI` in the environment, that is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Child, Stdio},
    thread,
};

use hsm_tests::{
    messages::{ENTITY, letter},
    nspawn::{Installed, Journal, Machine, SERVICE},
    openssl,
    people::Person,
    softhsm::fault::{Fault, Faults},
};

fn site() -> Option<Installed> {
    let machine = Machine::boot_or_skip()?;
    Some(Installed::on(machine, &[Person::Alice]).unwrap().with_pin().unwrap())
}

/// Alice begins to sign.
fn caller(site: &Installed) -> Child {
    let mut command = site.chancery_command("alice");
    command
        .arg("sign")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Alice signs, and the token never says that it has done so. Returns once it is at it.
fn caller_at_the_token(site: &Installed, faults: &Faults) -> Child {
    faults.put("C_Sign", Fault::hang().once()).unwrap();
    let mut caller = caller(site);
    caller.stdin.take().unwrap().write_all(&letter(Person::Alice)).unwrap();
    while faults.hits("C_Sign").unwrap() == 0 {
        thread::yield_now();
    }
    caller
}

/// Tells systemd to stop the service; returns when the daemon has heard of it.
fn begin_to_stop(site: &Installed, journal: &mut Journal) {
    site.systemctl(["stop", "--no-block", SERVICE]).unwrap();
    journal.wait_for("requests that run may finish").unwrap();
}

/// The service ended by itself, as it should, and its audit trail says so.
fn assert_stopped_in_order(site: &Installed, journal: &mut Journal) {
    journal.wait_for("Stopped chanceryd.service").unwrap();
    assert_eq!(site.property(SERVICE, "Result").unwrap(), "success");
    assert_eq!(site.property(SERVICE, "ExecMainStatus").unwrap(), "0");
    let audit = fs::read_to_string(site.audit_file()).unwrap();
    let last = audit.lines().last().unwrap();
    assert!(last.contains("stopped"), "{last}");
    site.succeed(["chanceryd", "verify-audit", "/var/log/chancery/audit.jsonl"])
        .unwrap();
}

#[test]
fn a_message_that_is_still_coming_is_signed_first() {
    let Some(site) = site() else { return };
    let mut journal = site.journal().unwrap();
    site.start().unwrap();
    let letter = letter(Person::Alice);
    let mut caller = caller(&site);
    let (mut stdin, mut stdout) = (caller.stdin.take().unwrap(), caller.stdout.take().unwrap());
    let (first, rest) = letter.split_at(letter.len() - 10);
    stdin.write_all(first).unwrap();
    // The daemon is at work once something has come back.
    let mut signed = vec![0];
    stdout.read_exact(&mut signed).unwrap();

    begin_to_stop(&site, &mut journal);
    stdin.write_all(rest).unwrap();
    drop(stdin);
    stdout.read_to_end(&mut signed).unwrap();
    assert!(caller.wait().unwrap().success());
    assert_eq!(openssl::verify(&[], &signed).unwrap(), ENTITY);
    assert_stopped_in_order(&site, &mut journal);
}

#[test]
fn a_signature_that_the_token_is_at_is_waited_for() {
    let Some(site) = site() else { return };
    let faults = site.behind_the_fault_module().unwrap();
    let mut journal = site.journal().unwrap();
    site.start().unwrap();
    let caller = caller_at_the_token(&site, &faults);

    begin_to_stop(&site, &mut journal);
    faults.go_on("C_Sign").unwrap();
    let output = caller.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(openssl::verify(&[], &output.stdout).unwrap(), ENTITY);
    assert_stopped_in_order(&site, &mut journal);
}

#[test]
fn a_token_that_never_answers_does_not_hold_up_the_stop_for_longer_than_was_configured() {
    let Some(site) = site() else { return };
    let faults = site.behind_the_fault_module().unwrap();
    let shipped = fs::read_to_string(site.configuration_file()).unwrap();
    let hasty = shipped.replace("#: drain = \"30s\"", "drain = \"1s\"");
    assert_ne!(hasty, shipped);
    fs::write(site.configuration_file(), hasty).unwrap();
    let mut journal = site.journal().unwrap();
    site.start().unwrap();
    let caller = caller_at_the_token(&site, &faults);

    begin_to_stop(&site, &mut journal);
    journal.wait_for("they are given up").unwrap();
    assert_stopped_in_order(&site, &mut journal);
    assert!(!caller.wait_with_output().unwrap().status.success());
}
