//! The trail as its writer sees it; what `verify` finds is in `tests/audit.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

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
            trail.act(&event(&caller()), Outcome::Done).unwrap();
            assert!(
                written - named(&path) <= most,
                "{written} written, {} named",
                named(&path)
            );
        }
    }
}

#[test]
fn the_chain_goes_on_behind_a_file_that_was_moved_away_before_the_companion_named_its_last_record() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    trail.note("started", "").unwrap();
    let behind = fs::read(head_path(&path)).unwrap();
    for _ in 0..5 {
        trail.act(&event(&caller()), Outcome::Done).unwrap();
    }
    drop(trail);
    // As after a kill, with the rotation under way.
    fs::write(head_path(&path), behind).unwrap();
    let rotated = path.with_extension("jsonl.1");
    fs::rename(&path, &rotated).unwrap();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    trail.note("started again", "").unwrap();
    assert_eq!(lines(&path)[0]["seq"], 7);
    assert_eq!(verify(&[rotated, path]).unwrap().findings, Vec::new());
}

#[test]
fn half_a_record_is_taken_back() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    trail.note("before", "").unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [whole.as_slice(), br#"{"seq":2,"time"#].concat()).unwrap();
    trail.state().writer.take_back(br#"{"seq":2,"time"#.len());
    assert_eq!(fs::read(&path).unwrap(), whole);
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
    fill(&trail);
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
fn an_intent_that_lacks_only_its_line_end_has_failed_and_so_has_that_of_an_act() {
    type Announce = fn(&Trail, &Event<'_>) -> Result<Intent, AuditError>;
    let ways: [(Announce, &str); 2] = [
        (Trail::intent, "AUDIT_UNAVAILABLE"),
        (Trail::intent_in_any_case, "RECORDED_AS_ACT"),
    ];
    for (announce, reason) in ways {
        let (_directory, path) = scene();
        let trail = Trail::open(&path, Sync::Never).unwrap();
        trail.note("before", "").unwrap();
        fill(&trail);
        announce(&trail, &event(&caller())).unwrap_err();
        let line = trail.state().writer.line().strip_suffix(b"\n").unwrap().to_vec();
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        io::Write::write_all(&mut file, &line).unwrap();
        trail.reopen().unwrap();
        let report = verify(&[&path]).unwrap();
        assert_eq!((report.findings, report.open_intents.len()), (Vec::new(), 0));
        assert_eq!(lines(&path).last().unwrap()["reason"], reason);
    }
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
fn what_ended_while_the_trail_was_closed_is_written_before_anything_else() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    let caller = caller();
    let [done, failed, abandoned] = [(); 3].map(|()| trail.intent(&event(&caller)).unwrap());
    fill(&trail);
    done.outcome(Outcome::Done).unwrap_err();
    let reason = "TOKEN_ABSENT";
    failed.outcome(Outcome::Failed { reason }).unwrap_err();
    drop(abandoned);
    trail.act(&event(&caller), Outcome::Done).unwrap_err();
    trail.remark("token locked", "card");
    assert!(trail.intent(&event(&caller)).is_err());
    trail.tick();
    trail.intent(&event(&caller)).unwrap().outcome(Outcome::Done).unwrap();
    let lines = lines(&path);
    let told = |index: usize| format!("{} {}", lines[index]["event"], lines[index]["result"]).replace('"', "");
    assert_eq!(
        [3, 4, 5, 6].map(told),
        ["outcome done", "outcome failed", "outcome abandoned", "act done"]
    );
    assert_eq!((&lines[4]["intent"], &lines[4]["reason"]), (&2.into(), &reason.into()));
    assert_eq!(
        (&lines[6]["caller"]["user"], &lines[6]["token"]),
        (&"alice".into(), &"card".into())
    );
    assert_eq!(lines[7]["what"], "token locked");
    assert_eq!(lines[8]["event"], "intent");
    assert!(lines[3..8].iter().all(|line| line["happened"].is_string()));
    let report = verify(&[&path]).unwrap();
    assert_eq!((report.findings.len(), report.open_intents.len()), (0, 0));
}

#[test]
fn an_outcome_that_is_in_the_file_though_its_writing_failed_is_not_written_again() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Always).unwrap();
    let intent = trail.intent(&event(&caller())).unwrap();
    // The record itself is written, and FILE.head after it is not.
    let while_head_fails = |work: &mut dyn FnMut()| {
        let unwritable = fs::File::open(head_path(&path)).unwrap();
        let head = trail.state().writer.replace_head(unwritable);
        work();
        trail.state().writer.replace_head(head);
        trail.reopen().unwrap();
    };
    let mut intent = Some(intent);
    while_head_fails(&mut || drop(intent.take().unwrap().outcome(Outcome::Done).unwrap_err()));
    // And an intent in that place is one of something that was not done.
    while_head_fails(&mut || drop(trail.intent(&event(&caller())).unwrap_err()));
    trail.note("after", "").unwrap();
    let report = verify(&[&path]).unwrap();
    assert_eq!(
        (report.records, report.findings.len(), report.open_intents.len()),
        (5, 0, 0)
    );
    assert_eq!(lines(&path)[3]["reason"], "AUDIT_UNAVAILABLE");
}

#[test]
fn refusals_of_one_caller_are_written_a_few_times_and_then_counted_and_what_uses_a_key_never_is() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    let (mallory, alice) = (Caller::of_uid(666), caller());
    let written = (0..1000)
        .filter(|_| trail.refusal(&event(&mallory), "NOT_PERMITTED").unwrap())
        .count();
    assert_eq!((written, trail.refusals_left_out()), (30, 970));
    assert!(trail.refusal(&event(&alice), "NOT_PERMITTED").unwrap());
    for _ in 0..100 {
        trail.intent(&event(&mallory)).unwrap().outcome(Outcome::Done).unwrap();
    }
    trail.tick();
    assert_eq!(lines(&path).len(), 30 + 1 + 200, "it is not told before its time");
    trail.finish();
    trail.finish();
    let lines = lines(&path);
    assert_eq!(lines.len(), 30 + 1 + 200 + 1);
    let told = lines.last().unwrap();
    assert_eq!((&told["event"], &told["count"]), (&"refusals".into(), &970.into()));
    assert_eq!(
        (&told["callers"][0]["uid"], &told["callers"][0]["count"]),
        (&666.into(), &970.into())
    );
    assert_eq!(verify(&[&path]).unwrap().findings, []);
}

#[test]
fn refusals_while_the_trail_is_closed_are_counted() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    fill(&trail);
    for _ in 0..5 {
        trail.refusal(&event(&caller()), "NOT_PERMITTED").unwrap_err();
    }
    trail.finish();
    assert_eq!(lines(&path).last().unwrap()["count"], 5);
    assert_eq!(trail.refusals_left_out(), 5);
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
