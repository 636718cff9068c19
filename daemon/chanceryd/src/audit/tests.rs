//! The trail as its writer sees it; what `verify` finds is in `tests/audit.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod closed;
mod companion;
mod refusals;
mod torn;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::caller::Caller;
use crate::policy::Operation;

fn event(caller: &Caller) -> Event<'_> {
    Event {
        request_id: "r-1",
        caller,
        operation: Operation::Sign,
        rpc: "chancery.v1.KeyService/Sign",
        grant: Some("alice"),
        identity: Some("alice@example.org"),
        key: None,
        token: Some("card"),
        retry_of: None,
        detail: Detail {
            algorithm: Some("ECDSA_SHA256"),
            digest: None,
        },
    }
}

fn caller() -> Caller {
    Caller::Unix {
        uid: 1000,
        gid: 1000,
        pid: Some(1),
        user: Some("alice".to_owned()),
        groups: Vec::new(),
    }
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn scene() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    (directory, path)
}

#[test]
fn an_intent_is_followed_by_its_outcome_and_names_who_and_what() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Always).unwrap();
    trail
        .intent(&event(&caller()))
        .unwrap()
        .outcome(Outcome::Failed { reason: "TOKEN_ABSENT" })
        .unwrap();
    let lines = lines(&path);
    let [intent, outcome] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!(intent["event"], "intent");
    assert_eq!(intent["caller"]["user"], "alice");
    assert_eq!(intent["operation"], "sign");
    assert_eq!(outcome["intent"], intent["seq"]);
    assert_eq!(outcome["result"], "failed");
    assert_eq!(outcome["reason"], "TOKEN_ABSENT");
    assert_eq!(outcome["previous"], intent["hash"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_intent_that_is_dropped_ends_as_abandoned() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    drop(trail.intent(&event(&caller())).unwrap());
    assert_eq!(lines(&path).last().unwrap()["result"], "abandoned");
}

#[test]
fn the_chain_goes_on_after_a_restart_and_after_rotation_while_running_and_while_stopped() {
    let (directory, path) = scene();
    let first = directory.path().join("audit.jsonl.2");
    let second = directory.path().join("audit.jsonl.1");
    let trail = Trail::open(&path, Sync::Never).unwrap();
    trail.note("one", "").unwrap();
    drop(trail);
    let trail = Trail::open(&path, Sync::Never).unwrap();
    trail.note("two", "").unwrap();
    fs::rename(&path, &first).unwrap();
    trail.reopen().unwrap();
    trail.note("three", "").unwrap();
    drop(trail);
    fs::rename(&path, &second).unwrap();
    Trail::open(&path, Sync::Never).unwrap().note("four", "").unwrap();
    let report = verify(&[first, second, path]).unwrap();
    assert_eq!(
        (report.records, report.span, report.findings),
        (4, Some((1, 4)), Vec::new())
    );
}

#[test]
fn a_second_daemon_does_not_get_the_trail() {
    let (_directory, path) = scene();
    let _first = Trail::open(&path, Sync::Never).unwrap();
    let error = Trail::open(&path, Sync::Never).unwrap_err();
    assert!(error.to_string().contains("another chanceryd"), "{error}");
}

#[test]
fn what_was_just_done_is_not_due_and_what_was_not_or_long_ago_is() {
    let last = Last::default();
    assert!(last.is_due(Duration::from_secs(100_000)));
    assert!(!last.is_due(Duration::from_secs(100_000)));
    assert!(last.is_due(Duration::ZERO));
}

/// A trail whose writes fail from now on, as on a full disk.
fn fill(trail: &Trail) {
    let full = fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    trail.state().writer.replace_file(full);
}

#[test]
fn an_oversized_record_is_refused_and_the_trail_stays_open() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    assert!(matches!(
        trail.note("big", &"x".repeat(100_000)),
        Err(AuditError::TooLong { .. })
    ));
    assert!(*trail.is_open().borrow());
    trail.note("small", "").unwrap();
}

#[test]
fn records_from_many_threads_make_one_chain() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    trail.intent(&event(&caller())).unwrap().outcome(Outcome::Done).unwrap();
                }
            });
        }
    });
    let report = verify(&[&path]).unwrap();
    assert_eq!(
        (report.records, report.findings.len(), report.open_intents.len()),
        (800, 0, 0)
    );
}
