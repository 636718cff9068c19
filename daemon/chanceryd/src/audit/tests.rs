//! The trail as its writer sees it; what `verify` finds is in `tests/audit.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

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

/// The number of the record that `FILE.head` names.
fn named(path: &Path) -> u64 {
    let head = fs::File::open(head_path(path)).unwrap();
    file::read_head(&head).unwrap().map_or(0, |end| end.seq)
}

#[test]
fn the_companion_names_the_last_record_once_the_trail_is_settled_or_dropped() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    trail.refusal(&event(&caller()), "NOT_PERMITTED").unwrap();
    trail.settle();
    assert_eq!(named(&path), 1);
    trail.note("started", "").unwrap();
    assert_eq!(named(&path), 2, "a note settles by itself");
    trail.refusal(&event(&caller()), "NOT_PERMITTED").unwrap();
    drop(trail);
    assert_eq!(named(&path), 3);
}

#[test]
fn the_companion_is_never_more_than_64_records_behind_and_none_if_each_is_flushed() {
    for (sync, most) in [(Sync::Never, 64), (Sync::Always, 0)] {
        let (_directory, path) = scene();
        let trail = Trail::open(&path, sync).unwrap();
        for written in 1..=200 {
            trail.refusal(&event(&caller()), "NOT_PERMITTED").unwrap();
            assert!(
                written - named(&path) <= most,
                "{written} written, {} named",
                named(&path)
            );
        }
    }
}

#[test]
fn a_second_daemon_does_not_get_the_trail() {
    let (_directory, path) = scene();
    let _first = Trail::open(&path, Sync::Never).unwrap();
    let error = Trail::open(&path, Sync::Never).unwrap_err();
    assert!(error.to_string().contains("another chanceryd"), "{error}");
}

#[test]
fn a_write_that_fails_closes_the_trail_until_it_is_reopened() {
    let (directory, path) = scene();
    // Every write to /dev/full says that the disk is full; reads give zeros without end, so the trail starts on a file.
    let trail = Trail::open(&path, Sync::Never).unwrap();
    trail.note("before", "").unwrap();
    let full = fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    trail.writer().replace_file(full);
    let open = trail.is_open();
    assert!(*open.borrow());
    assert!(trail.intent(&event(&caller())).is_err());
    assert!(!*open.borrow());
    let error = trail.intent(&event(&caller())).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    trail.tick();
    assert!(*open.borrow());
    trail.note("after", "").unwrap();
    let report = verify(&[&path]).unwrap();
    assert_eq!((report.records, report.findings), (2, Vec::new()));
    drop(directory);
}

#[test]
fn a_half_written_record_stays_and_is_noted_by_the_next() {
    for torn in ["{\"seq\":2,\"time\":\"20", "\0\0\0\0", "garbage\nin two lines\n", "\n"] {
        let (_directory, path) = scene();
        Trail::open(&path, Sync::Never).unwrap().note("before", "").unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(torn.as_bytes());
        fs::write(&path, &bytes).unwrap();
        Trail::open(&path, Sync::Never).unwrap().note("after", "").unwrap();
        assert!(fs::read(&path).unwrap().starts_with(&bytes), "{torn:?}");
        let report = verify(&[&path]).unwrap();
        assert_eq!((report.records, report.findings), (3, Vec::new()), "{torn:?}");
        assert!(!report.torn.is_empty(), "{torn:?}");
    }
}

#[test]
fn the_very_first_record_may_be_the_torn_one() {
    let (_directory, path) = scene();
    fs::write(&path, "{\"seq\":1,").unwrap();
    Trail::open(&path, Sync::Never).unwrap().note("after", "").unwrap();
    let report = verify(&[&path]).unwrap();
    assert_eq!((report.records, report.torn, report.findings), (2, vec![1], Vec::new()));
}

#[test]
fn a_record_that_lacks_only_its_line_end_counts() {
    let (_directory, path) = scene();
    Trail::open(&path, Sync::Never).unwrap().note("before", "").unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, bytes.strip_suffix(b"\n").unwrap()).unwrap();
    Trail::open(&path, Sync::Never).unwrap().note("after", "").unwrap();
    let report = verify(&[&path]).unwrap();
    assert_eq!(
        (report.records, report.torn, report.findings),
        (2, Vec::new(), Vec::new())
    );
}

#[test]
fn records_cut_off_the_end_while_the_daemon_was_down_are_noted_at_the_next_start() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    for what in ["one", "two", "three"] {
        trail.note(what, "").unwrap();
    }
    drop(trail);
    let text = fs::read_to_string(&path).unwrap();
    let kept: String = text.split_inclusive('\n').take(1).collect();
    fs::write(&path, kept).unwrap();
    let cut = verify(&[&path]).unwrap().findings;
    assert_eq!(
        cut,
        [Finding {
            line: 1,
            problem: Problem::CutOff {
                last_in_file: 1,
                last_written: 3
            }
        }]
    );
    Trail::open(&path, Sync::Never).unwrap().note("four", "").unwrap();
    let found = verify(&[&path]).unwrap().findings;
    assert_eq!(
        found,
        [Finding {
            line: 2,
            problem: Problem::Removed {
                first: 2,
                last: 3,
                noted: true
            }
        }]
    );
}

#[test]
fn a_file_without_any_record_near_its_end_is_not_appended_to() {
    let (_directory, path) = scene();
    fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
    assert!(matches!(
        Trail::open(&path, Sync::Never),
        Err(AuditError::Unreadable { .. })
    ));
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
