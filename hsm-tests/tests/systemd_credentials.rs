//! The PIN as a systemd credential, plain and encrypted, with the shipped units and the shipped configuration.
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
    daemon::PIN,
    messages::{ENTITY, letter},
    nspawn::{Installed, Machine, SERVICE},
    openssl,
    people::Person,
};

const CREDENTIAL: &str = "/run/credentials/chanceryd.service/alice-pin";

fn site() -> Option<Installed> {
    let machine = Machine::boot_or_skip()?;
    Some(Installed::on(machine, &[Person::Alice]).unwrap())
}

/// Starts the daemon, which signs; the credential is for its user alone, and nothing else shows the PIN.
fn assert_the_credential_opens_the_token(site: &Installed) {
    site.start().unwrap();
    let signed = site.chancery("alice", ["sign"], &letter(Person::Alice)).unwrap();
    assert_eq!(openssl::verify(&[], &signed.success().unwrap()).unwrap(), ENTITY);

    assert_eq!(
        site.succeed(["stat", "--format=%U %a", CREDENTIAL]).unwrap(),
        "chancery 400"
    );
    assert_eq!(site.succeed(["cat", CREDENTIAL]).unwrap(), PIN);
    let environment = format!("/proc/{}/environ", site.main_pid().unwrap());
    assert!(!site.succeed(["cat", &environment]).unwrap().contains(PIN));
    let journal = site.succeed(["journalctl", "--output=json"]).unwrap();
    assert!(journal.contains(SERVICE) && !journal.contains(PIN));
}

/// The files below these directories that have the PIN in them.
fn files_with_the_pin(site: &Installed, directories: &[&str]) -> String {
    let words = ["grep", "--recursive", "--files-with-matches", "--fixed-strings", PIN];
    let found = site.machine().run(words.iter().chain(directories), b"").unwrap();
    String::from_utf8(found.stdout).unwrap()
}

#[test]
fn the_pin_comes_from_a_file_that_only_root_can_read() {
    let Some(site) = site() else { return };
    let site = site.with_pin().unwrap();
    assert_the_credential_opens_the_token(&site);
    assert_eq!(
        files_with_the_pin(&site, &["/etc", "/var"]),
        "/etc/chancery/pins/alice-pin\n"
    );
    let pid = site.main_pid().unwrap().to_string();
    let peek = [
        "nsenter",
        "--target",
        &pid,
        "--mount",
        "--",
        "setpriv",
        "--reuid",
        "chancery",
        "--clear-groups",
        "--",
    ];
    let peek = peek.into_iter().chain(["cat", "/etc/chancery/pins/alice-pin"]);
    assert_ne!(
        site.machine().run(peek, b"").unwrap().code,
        0,
        "the daemon's user reads root's file"
    );
}

#[test]
fn the_pin_is_encrypted_for_this_machine_and_no_file_shows_it() {
    let Some(site) = site() else { return };
    let site = site.with_encrypted_pin().unwrap();
    assert_the_credential_opens_the_token(&site);
    assert_eq!(files_with_the_pin(&site, &["/etc", "/var"]), "");
}

#[test]
fn without_the_credential_the_journal_says_which_line_the_unit_lacks() {
    let Some(site) = site() else { return };
    site.drop_in("once", "[Service]\nRestart=no\n").unwrap();
    let mut journal = site.journal().unwrap();
    site.systemctl(["start", SERVICE]).unwrap_err();
    journal
        .wait_for("add LoadCredential=alice-pin:FILE to the unit")
        .unwrap();
    assert_eq!(site.property(SERVICE, "ActiveState").unwrap(), "failed");
}
