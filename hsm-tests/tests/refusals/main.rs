//! What the daemon refuses, from end to end: a clear error each time, the daemon still serving, nothing left behind, and an
//! audit trail that tells of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod agent;
mod disk;
mod load;
mod malformed;
mod one_error;
mod pins;
mod policy;
mod protection;
mod separation;
mod short;
mod stalled;
mod wire;

use std::{
    fs,
    time::{Duration, Instant},
};

use hsm_tests::{
    command::Finished,
    daemon::{Daemon, chanceryd},
};

/// A letter from Alice.
const LETTER: &[u8] = b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: Hello\r\n\r\nHello Bob\r\n";

/// A MIME entity, for OpenSSL to encrypt.
const ENTITY: &[u8] = b"Content-Type: text/plain\r\n\r\nHello Bob\r\n";

/// The command line was refused with this exit status and this reason, and nothing else came out.
#[track_caller]
fn assert_refused(finished: &Finished, code: i32, reason: &str) {
    assert_eq!(finished.code, code, "{}", finished.stderr);
    assert!(finished.stderr.contains(&format!("({reason}, ")), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(
        finished.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&finished.stdout)
    );
}

/// Alice can still sign, nothing lies in the spool directory, and the audit trail is whole: no record is wrong and no
/// intent without its outcome.
#[track_caller]
fn assert_all_is_well(daemon: &Daemon) {
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    assert_left_nothing(daemon);
}

/// As [`assert_all_is_well`], where Alice cannot sign.
#[track_caller]
fn assert_left_nothing(daemon: &Daemon) {
    let left: Vec<_> = fs::read_dir(daemon.spool_directory()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    // An operation whose caller has just gone may still have to come to its end.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let report = chanceryd(["verify-audit".as_ref(), daemon.audit_file().as_os_str()]).unwrap();
        let report = String::from_utf8(report.success().unwrap()).unwrap();
        if !report.contains("has no outcome") {
            break;
        }
        assert!(Instant::now() < deadline, "{report}");
    }
}

/// How many outcomes the audit trail has with this result.
fn outcomes(daemon: &Daemon, result: &str) -> usize {
    let records = daemon.audit().unwrap();
    records.iter().filter(|record| record["result"] == result).count()
}
