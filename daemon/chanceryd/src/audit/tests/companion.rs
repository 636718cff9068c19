//! `FILE.head`, which names the last record.

use super::*;

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
