//! The traces of a running daemon, received by a collector made from OpenTelemetry's own stubs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::path::Path;

use hsm_tests::{
    daemon::{Daemon, Setup},
    messages::letter,
    people::Person,
    python::Python,
};

/// A daemon that sends its traces to this socket.
fn start(collector: &Path) -> Daemon {
    let endpoint = format!("endpoint = \"unix:{}\"", collector.display());
    let setup = Setup::new().token("cards", &[Person::Alice]);
    setup.configure("traces", &endpoint).start().unwrap()
}

#[test]
fn a_collector_gets_a_request_below_its_callers_span_and_the_signature_below_that() {
    let Some(python) = Python::if_it_can_run() else { return };
    let directory = tempfile::tempdir().unwrap();
    let collector = directory.path().join("otlp.sock");
    let daemon = start(&collector);
    let path = collector.to_str().unwrap().as_bytes();
    python.script("traces.py", &daemon, path).unwrap();
    daemon.stop().unwrap();
}

#[test]
fn a_collector_that_is_not_there_holds_up_neither_the_service_nor_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = start(&directory.path().join("nobody.sock"));
    let message = letter(Person::Alice);
    daemon.chancery(["sign"], &message).unwrap().success().unwrap();
    daemon.stop().unwrap();
}
