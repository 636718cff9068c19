//! Modules that hang and crash, tokens that are pulled, drained and lock their PIN, behind a running daemon: it goes on serving,
//! says what has happened, and nobody is left without an answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

mod change_pin;
mod client;
mod crash;
mod drain;
mod hang;
mod ladder;
mod pin_pad;
mod pins;
mod pins_in_flight;
mod presence;
mod replicas;
mod stop;
mod storm;
mod waiting;

use std::{future::Future, time::Duration};

use hsm_tests::{
    daemon::{Daemon, Setup, chanceryd},
    people::Person,
};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A token called frail on one module, and one called sound on another.
fn frail_and_sound() -> Daemon {
    Setup::new()
        .faulty()
        .token("frail", &[Person::Alice])
        .module("other")
        .token("sound", &[Person::Carol])
        .start()
        .unwrap()
}

/// The audit trail is whole, and every intent in it has its outcome.
#[track_caller]
fn assert_every_intent_has_its_outcome(daemon: &Daemon) {
    let report = chanceryd(["verify-audit".as_ref(), daemon.audit_file().as_os_str()]).unwrap();
    let report = String::from_utf8(report.success().unwrap()).unwrap();
    assert!(!report.contains("has no outcome"), "{report}");
}

/// How often the audit trail says this of a module.
fn notes(daemon: &Daemon, what: &str, module: &str) -> usize {
    let of_module = |record: &&serde_json::Value| {
        let detail = record["detail"].as_str().unwrap_or_default();
        record["what"] == what && detail.starts_with(&format!("{module}: "))
    };
    daemon.audit().unwrap().iter().filter(of_module).count()
}
