//! What `verify` and `chanceryd verify-audit` find in a trail that somebody has been at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chanceryd::audit::{Detail, Event, Finding, Outcome, Problem, Report, Sync, Trail, verify};
use chanceryd::caller::Caller;
use chanceryd::policy::Operation;
use sha2::{Digest as _, Sha256};

/// A trail of ten records: a note, four intents with their outcomes, and an intent without.
struct Scene {
    _directory: tempfile::TempDir,
    file: PathBuf,
    lines: Vec<String>,
}

fn scene() -> Scene {
    scene_of("alice")
}

fn scene_of(user: &str) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.jsonl");
    let trail = Trail::open(&file, Sync::Never).unwrap();
    let caller = Caller::Unix {
        uid: 1000,
        gid: 1000,
        pid: None,
        user: Some(user.to_owned()),
        groups: Vec::new(),
    };
    let event = |request_id| Event {
        request_id,
        caller: &caller,
        operation: Operation::Decrypt,
        rpc: "chancery.v1.MailService/Decrypt",
        grant: Some("alice"),
        identity: Some("alice@example.org"),
        key: None,
        token: Some("card"),
        retry_of: None,
        detail: Detail::default(),
    };
    trail.note("started", user).unwrap();
    for request in ["r1", "r2", "r3", "r4"] {
        trail.intent(&event(request)).unwrap().outcome(Outcome::Done).unwrap();
    }
    // As after a crash: the process ended between intent and outcome.
    std::mem::forget(trail.intent(&event("r5")).unwrap());
    trail.settle();
    let lines = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    Scene {
        _directory: directory,
        file,
        lines,
    }
}

impl Scene {
    fn write(&self, lines: &[String]) {
        fs::write(
            &self.file,
            lines.iter().map(|line| format!("{line}\n")).collect::<String>(),
        )
        .unwrap();
    }

    fn after(&self, change: impl FnOnce(&mut Vec<String>)) -> Report {
        let mut lines = self.lines.clone();
        change(&mut lines);
        self.write(&lines);
        verify(&[&self.file]).unwrap()
    }
}

fn found(line: u64, problem: Problem) -> Vec<Finding> {
    vec![Finding { line, problem }]
}

#[test]
fn an_untouched_trail_has_no_finding_and_its_open_intent_is_listed() {
    let report = scene().after(|_| ());
    assert_eq!(
        (report.records, report.span, report.findings),
        (10, Some((1, 10)), Vec::new())
    );
    let open: Vec<_> = report
        .open_intents
        .iter()
        .map(|intent| (intent.line, intent.request.as_str()))
        .collect();
    assert_eq!(open, [(10, "r5")]);
}

#[test]
fn a_change_of_any_record_is_found_at_its_line() {
    let scene = scene();
    for index in 0..scene.lines.len() {
        let report = scene.after(|lines| lines[index] = lines[index].replacen("\"time\":\"2", "\"time\":\"1", 1));
        assert_eq!(
            report.findings,
            found(index as u64 + 1, Problem::Changed),
            "record {}",
            index + 1
        );
    }
}

#[test]
fn the_removal_of_any_record_is_found_where_it_was() {
    let scene = scene();
    let count = scene.lines.len();
    for index in 0..count {
        let seq = index as u64 + 1;
        let report = scene.after(|lines| drop(lines.remove(index)));
        let expected = match index {
            // What is left looks like a later part of the trail, and says so: it begins with record 2.
            0 => {
                assert_eq!(report.span, Some((2, 10)));
                Vec::new()
            }
            _ if index == count - 1 => found(
                9,
                Problem::CutOff {
                    last_in_file: 9,
                    last_written: 10,
                },
            ),
            _ => found(
                seq,
                Problem::Removed {
                    first: seq,
                    last: seq,
                    noted: false,
                },
            ),
        };
        assert_eq!(report.findings, expected, "record {seq}");
    }
}

#[test]
fn records_cut_out_of_the_middle_are_counted() {
    let report = scene().after(|lines| drop(lines.drain(3..7)));
    assert_eq!(
        report.findings,
        found(
            4,
            Problem::Removed {
                first: 4,
                last: 7,
                noted: false
            }
        )
    );
}

#[test]
fn any_two_records_that_have_changed_places_are_found() {
    let scene = scene();
    for index in 0..scene.lines.len() - 1 {
        let report = scene.after(|lines| lines.swap(index, index + 1));
        let out_of_order = report
            .findings
            .iter()
            .any(|finding| matches!(finding.problem, Problem::OutOfOrder { .. }));
        assert!(
            out_of_order,
            "records {} and {}: {:?}",
            index + 1,
            index + 2,
            report.findings
        );
    }
}

#[test]
fn a_record_that_is_there_twice_is_found() {
    let report = scene().after(|lines| lines.insert(5, lines[4].clone()));
    assert_eq!(report.findings, found(6, Problem::OutOfOrder { seq: 5, after: 5 }));
}

#[test]
fn a_line_that_is_no_record_is_found_wherever_it_is() {
    let scene = scene();
    for index in 0..=scene.lines.len() {
        for junk in ["", "{}", "no record", "{\"seq\":3}"] {
            let report = scene.after(|lines| lines.insert(index, junk.to_owned()));
            assert_eq!(
                report.findings,
                found(index as u64 + 1, Problem::NoRecord),
                "{junk:?} at line {}",
                index + 1
            );
        }
    }
}

#[test]
fn a_record_forged_with_a_hash_of_its_own_does_not_fit_the_next_one() {
    // The forger runs a trail of his own and takes a record with the right number out of it.
    let (scene, other) = (scene(), scene_of("mallory"));
    for index in 0..scene.lines.len() - 1 {
        let report = scene.after(|lines| lines[index].clone_from(&other.lines[index]));
        assert!(!report.findings.is_empty(), "record {}", index + 1);
    }
    let last = scene.lines.len() - 1;
    let report = scene.after(|lines| lines[last].clone_from(&other.lines[last]));
    assert!(
        report.findings.contains(&Finding {
            line: last as u64 + 1,
            problem: Problem::LastReplaced
        }),
        "{report:?}"
    );
}

#[test]
fn the_end_of_a_file_cut_in_the_middle_of_a_record_is_found() {
    let scene = scene();
    let bytes = fs::read(&scene.file).unwrap();
    fs::write(&scene.file, &bytes[..bytes.len() - 40]).unwrap();
    let report = verify(&[&scene.file]).unwrap();
    let problems: Vec<_> = report.findings.into_iter().map(|finding| finding.problem).collect();
    assert_eq!(
        problems,
        [
            Problem::NoRecord,
            Problem::CutOff {
                last_in_file: 9,
                last_written: 10
            }
        ]
    );
}

#[test]
fn parts_given_in_the_wrong_order_are_found() {
    let scene = scene();
    let (first, second) = (scene.file.with_extension("1"), scene.file.with_extension("2"));
    let join = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    fs::write(&first, join(&scene.lines[..4])).unwrap();
    fs::write(&second, join(&scene.lines[4..])).unwrap();
    assert_eq!(verify(&[&first, &second]).unwrap().findings, []);
    assert!(!verify(&[&second, &first]).unwrap().findings.is_empty());
}

/// Adds an outcome that the daemon would not write, in a record that is as good as its own.
fn forge_outcome(lines: &mut Vec<String>, intent: u64) {
    let last: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let (seq, previous) = (last["seq"].as_u64().unwrap() + 1, last["hash"].as_str().unwrap());
    let record = format!(
        "{{\"seq\":{seq},\"time\":\"2026-01-01T00:00:00.000Z\",\"previous\":\"{previous}\",\"event\":\"outcome\",\
         \"intent\":{intent},\"request\":\"r\",\"result\":\"failed\""
    );
    let mut chained = [0; 32];
    base16ct::lower::decode(previous, &mut chained).unwrap();
    let hash = Sha256::new().chain_update(chained).chain_update(&record).finalize();
    let hash: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
    lines.push(format!("{record},\"hash\":\"{hash}\"}}"));
}

#[test]
fn a_second_outcome_of_an_intent_is_found() {
    // Records 2 to 9 are four intents with their outcomes, and record 10 is an intent without.
    let report = scene().after(|lines| [10, 4, 10].iter().for_each(|intent| forge_outcome(lines, *intent)));
    assert_eq!((report.records, report.open_intents.len()), (13, 0));
    let second = |line, intent| Finding {
        line,
        problem: Problem::SecondOutcome { intent },
    };
    assert_eq!(report.findings, [second(12, 4), second(13, 10)]);
}

#[test]
fn an_outcome_of_what_is_no_intent_is_found() {
    // A note, an outcome, itself, one that is yet to come, and none at all.
    let intents = [1, 3, 13, 999_999, 0];
    let report = scene().after(|lines| intents.iter().for_each(|intent| forge_outcome(lines, *intent)));
    let problems: Vec<_> = report.findings.into_iter().map(|finding| finding.problem).collect();
    assert_eq!(problems, intents.map(|intent| Problem::NoIntent { intent }));
}

#[test]
fn an_outcome_whose_intent_is_in_an_older_file_is_fine_and_a_second_one_is_not() {
    let scene = scene();
    let later = scene.after(|lines| drop(lines.drain(..4)));
    assert_eq!((later.span, later.findings), (Some((5, 10)), Vec::new()));
    let later = scene.after(|lines| {
        lines.drain(..4);
        forge_outcome(lines, 4);
    });
    assert_eq!(later.findings, found(7, Problem::SecondOutcome { intent: 4 }));
}

fn verify_audit(file: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_chanceryd"))
        .arg("verify-audit")
        .arg(file)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_command_prints_the_line_and_fails() {
    let scene = scene();
    let (status, said) = verify_audit(&scene.file);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("line 10: record 10 has no outcome: decrypt for alice@example.org, request r5"),
        "{said}"
    );
    scene.after(|lines| drop(lines.remove(4)));
    let (status, said) = verify_audit(&scene.file);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("line 5: record 5 is missing before this line"), "{said}");
    let (status, _) = verify_audit(Path::new("/nonexistent"));
    assert_eq!(status, Some(2));
}

#[test]
fn a_trail_is_neither_a_link_nor_a_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let (link, pipe) = (directory.path().join("link"), directory.path().join("pipe"));
    std::os::unix::fs::symlink(directory.path().join("elsewhere"), &link).unwrap();
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for (file, expected) in [(link, "symbolic link"), (pipe, "not a regular file")] {
        let error = Trail::open(&file, Sync::Never).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(!directory.path().join("elsewhere").exists());
}
