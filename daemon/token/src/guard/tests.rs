//! The guard with and without a memory, across restarts, and with a memory that fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod changing;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{record::MAX_REMEMBERED, *};

fn pin(text: &str) -> Pin {
    Pin::new(text.as_bytes().to_vec())
}

fn guard(kept: Option<&str>) -> PinGuard {
    PinGuard::new(None, kept.map(pin), false).unwrap()
}

/// A state directory that outlives its daemons.
struct State(TempDir);

impl State {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn directory(&self) -> PathBuf {
        self.0.path().join("pins")
    }

    /// A daemon that has just found its token. The one before is gone by now, whatever it was doing.
    fn start(&self, kept: &str) -> PinGuard {
        let memory = PinMemory::open(&self.directory()).unwrap();
        let mut guard = PinGuard::new(Some(memory), Some(pin(kept)), false).unwrap();
        guard.identify("serial", "label");
        guard
    }

    /// All files but the key.
    fn pages(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.directory()).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        paths.filter(|path| path.file_name().unwrap() != "key").collect()
    }
}

/// Tries the kept PIN as the anchor does. Says whether it went to the token.
fn is_tried(guard: &mut PinGuard) -> bool {
    let Some(pin) = guard.kept().cloned() else { return false };
    guard.begin(&pin, Attempt::Automatic).is_ok()
}

#[test]
fn a_failed_pin_is_remembered_and_no_longer_kept() {
    let mut guard = guard(Some("1234"));
    assert!(is_tried(&mut guard));
    guard.failed(&pin("1234"));
    assert!(guard.kept().is_none());
    assert!(guard.barred(&pin("1234")).is_some());
    assert!(guard.barred(&pin("12345")).is_none());
}

#[test]
fn another_pin_that_fails_does_not_drop_the_one_that_works() {
    let mut guard = guard(None);
    guard.succeeded(pin("1234"));
    for wrong in ["4321", "1111", "2222"] {
        guard.begin(&pin(wrong), Attempt::ByHand).unwrap();
        guard.failed(&pin(wrong));
    }
    assert_eq!(guard.kept(), Some(&pin("1234")));
}

#[test]
fn unclear_logins_are_not_repeated_without_end() {
    let mut guard = guard(Some("1234"));
    for _ in 0..MAX_UNCLEAR {
        assert!(is_tried(&mut guard));
        guard.unclear();
    }
    assert!(!is_tried(&mut guard));
    assert!(guard.advice().unwrap().contains("by hand"));
    guard.begin(&pin("1234"), Attempt::ByHand).unwrap();
    guard.succeeded(pin("1234"));
    assert!(guard.kept().is_some());
}

#[test]
fn a_proved_pin_whose_tries_come_to_no_end_is_not_tried_without_end_either() {
    let mut guard = guard(Some("1234"));
    guard.succeeded(pin("1234"));
    // It is tried, the token says neither, and the process is gone.
    for _ in 0..MAX_UNCLEAR {
        assert!(is_tried(&mut guard));
    }
    assert!(!is_tried(&mut guard));
    guard.succeeded(pin("1234"));
    for _ in 0..2 * MAX_UNCLEAR {
        assert!(is_tried(&mut guard));
        guard.untried();
    }
    for _ in 0..MAX_UNCLEAR {
        assert!(is_tried(&mut guard));
        guard.unclear();
    }
    assert!(!is_tried(&mut guard));
}

#[test]
fn the_pin_in_use_is_compared_with_few_guesses() {
    let mut guard = guard(Some("1234"));
    assert!(guard.guess(&pin("1234")));
    for guess in 0..MAX_GUESSES {
        assert!(!guard.guess(&pin(&guess.to_string())));
    }
    assert!(!guard.guess(&pin("1234")));
    guard.succeeded(pin("1234"));
    assert!(guard.guess(&pin("1234")));
}

#[test]
fn a_pin_that_was_proved_is_not_written_down_again() {
    let state = State::new();
    let mut guard = state.start("1234");
    assert!(is_tried(&mut guard));
    assert_eq!(state.pages().len(), 1);
    guard.succeeded(pin("1234"));
    assert!(is_tried(&mut guard) && is_tried(&mut guard));
    assert_eq!(state.pages(), Vec::<PathBuf>::new());
}

#[test]
fn a_wrong_pin_costs_one_try_in_all_restarts() {
    let state = State::new();
    let mut tries = 0;
    for _ in 0..10 {
        let mut guard = state.start("1234");
        if is_tried(&mut guard) {
            tries += 1;
            guard.failed(&pin("1234"));
        }
        assert!(guard.barred(&pin("1234")).is_some());
    }
    assert_eq!(tries, 1);
    assert!(state.start("1234").advice().unwrap().contains("was refused before"));
}

#[test]
fn a_try_that_was_cut_off_counts_for_all_restarts() {
    let state = State::new();
    // Each is dropped between the record and the verdict, or before the record.
    let tries = (0..10).filter(|_| is_tried(&mut state.start("1234"))).count();
    assert_eq!(tries, 1);
    assert!(state.start("1234").advice().unwrap().contains("came to no end"));
}

#[test]
fn a_module_that_crashed_during_the_login_is_not_given_the_pin_again() {
    let mut guard = guard(Some("1234"));
    assert!(is_tried(&mut guard));
    // No verdict: the process was replaced.
    assert!(!is_tried(&mut guard));
    assert!(guard.begin(&pin("1234"), Attempt::ByHand).is_ok());
}

#[test]
fn an_unclear_login_is_repeated_by_this_process_and_not_by_the_next() {
    let state = State::new();
    let mut guard = state.start("1234");
    assert!(is_tried(&mut guard));
    guard.unclear();
    assert!(guard.kept().is_some());
    drop(guard);
    assert!(!is_tried(&mut state.start("1234")));
}

#[test]
fn a_pin_whose_outcome_is_unknown_can_be_tried_by_hand_once() {
    let state = State::new();
    assert!(is_tried(&mut state.start("1234")));
    assert!(state.start("1234").begin(&pin("1234"), Attempt::ByHand).is_ok());
    let mut guard = state.start("1234");
    assert!(guard.barred(&pin("1234")).is_some());
    assert!(matches!(
        guard.begin(&pin("1234"), Attempt::ByHand),
        Err(MemoryError::NotAgain)
    ));
}

#[test]
fn a_pin_whose_tries_were_not_answered_is_tried_once_each_time_that_somebody_insists() {
    let state = State::new();
    let right = pin("1234");
    for _ in 0..2 {
        state.start("0000").begin(&right, Attempt::ByHand).unwrap();
    }
    for _ in 0..2 {
        let mut guard = state.start("1234");
        assert_eq!(guard.barred(&right), Some(Barred::Unanswered));
        guard.insist(Some(&right));
        assert!(!is_tried(&mut guard), "by itself");
        assert!(guard.begin(&right, Attempt::ByHand).is_ok());
        // No answer again.
        assert!(matches!(
            guard.begin(&right, Attempt::ByHand),
            Err(MemoryError::NotAgain)
        ));
    }
    let mut guard = state.start("1234");
    guard.insist(Some(&pin("5678")));
    assert!(
        matches!(guard.begin(&right, Attempt::ByHand), Err(MemoryError::NotAgain)),
        "of another PIN"
    );
    guard.insist(Some(&right));
    guard.begin(&right, Attempt::ByHand).unwrap();
    guard.succeeded(right.clone());
    drop(guard);
    assert_eq!(state.start("1234").barred(&right), None);
}

#[test]
fn insisting_does_not_help_a_pin_that_was_refused() {
    let state = State::new();
    let mut guard = state.start("0000");
    let wrong = pin("1234");
    guard.begin(&wrong, Attempt::ByHand).unwrap();
    guard.failed(&wrong);
    guard.insist(Some(&wrong));
    assert_eq!(guard.barred(&wrong), Some(Barred::Refused));
    assert!(matches!(
        guard.begin(&wrong, Attempt::ByHand),
        Err(MemoryError::NotAgain)
    ));
}

#[test]
fn an_error_that_was_seen_by_whoever_tried_by_hand_leaves_the_next_try_to_them() {
    let state = State::new();
    assert!(is_tried(&mut state.start("1234")));
    let mut guard = state.start("1234");
    for _ in 0..5 {
        guard.begin(&pin("1234"), Attempt::ByHand).unwrap();
        guard.unclear();
    }
    drop(guard);
    assert!(state.start("1234").barred(&pin("1234")).is_none());
}

#[test]
fn a_try_that_was_not_made_after_all_leaves_nothing_behind() {
    let state = State::new();
    let mut guard = state.start("1234");
    for attempt in [Attempt::Automatic, Attempt::ByHand, Attempt::ByHand, Attempt::Automatic] {
        guard.begin(&pin("1234"), attempt).unwrap();
        guard.untried();
        assert!(guard.kept().is_some());
    }
    assert_eq!(state.pages(), Vec::<PathBuf>::new());
    // Nor does it take away what is known.
    assert!(is_tried(&mut guard));
    drop(guard);
    let mut guard = state.start("1234");
    guard.begin(&pin("1234"), Attempt::ByHand).unwrap();
    guard.untried();
    drop(guard);
    let mut guard = state.start("1234");
    assert!(!is_tried(&mut guard));
    assert!(guard.begin(&pin("1234"), Attempt::ByHand).is_ok());
}

#[test]
fn a_pin_that_was_refused_is_never_tried_by_hand() {
    let state = State::new();
    let mut guard = state.start("1234");
    guard.begin(&pin("1234"), Attempt::Automatic).unwrap();
    guard.failed(&pin("1234"));
    drop(guard);
    assert!(matches!(
        state.start("0000").begin(&pin("1234"), Attempt::ByHand),
        Err(MemoryError::NotAgain)
    ));
}

#[test]
fn another_configured_pin_is_tried_once_and_success_clears_the_page() {
    let state = State::new();
    let mut guard = state.start("wrong");
    assert!(is_tried(&mut guard));
    guard.failed(&pin("wrong"));
    drop(guard);
    let mut guard = state.start("right");
    assert!(is_tried(&mut guard));
    guard.succeeded(pin("right"));
    assert_eq!(state.pages(), Vec::<PathBuf>::new());
    drop(guard);
    assert!(is_tried(&mut state.start("right")));
}

#[test]
fn after_two_wrong_pins_the_third_is_left_to_a_person() {
    let state = State::new();
    for wrong in ["1111", "2222"] {
        let mut guard = state.start(wrong);
        assert!(is_tried(&mut guard));
        guard.failed(&pin(wrong));
    }
    let mut guard = state.start("1234");
    assert!(!is_tried(&mut guard));
    assert!(guard.advice().unwrap().contains("2 tries"));
    guard.begin(&pin("1234"), Attempt::ByHand).unwrap();
    guard.succeeded(pin("1234"));
    drop(guard);
    assert!(is_tried(&mut state.start("1234")));
}

#[test]
fn tokens_have_pages_of_their_own() {
    let state = State::new();
    let mut guard = state.start("1234");
    guard.begin(&pin("1234"), Attempt::Automatic).unwrap();
    guard.failed(&pin("1234"));
    drop(guard);
    let mut guard = state.start("1234");
    for (serial, label) in [("serial", "other"), ("other", "label"), ("seriall", "abel")] {
        guard.identify(serial, label);
        assert!(guard.kept().is_some(), "{serial} {label}");
    }
    guard.identify("serial", "label");
    assert!(guard.kept().is_none());
}

#[test]
fn nothing_is_tried_before_the_token_has_been_seen() {
    let state = State::new();
    let memory = PinMemory::open(&state.directory()).unwrap();
    let mut guard = PinGuard::new(Some(memory), Some(pin("1234")), false).unwrap();
    assert!(guard.kept().is_none());
    assert!(matches!(
        guard.begin(&pin("1234"), Attempt::ByHand),
        Err(MemoryError::Unidentified)
    ));
}

#[test]
fn a_damaged_page_stops_automatic_tries_until_somebody_unlocks_by_hand() {
    let damages: [fn(&Path); 5] = [
        |page| fs::write(page, "").unwrap(),
        |page| fs::write(page, "chancery-pin-memory 1\ntries 0\n").unwrap(),
        |page| fs::write(page, fs::read_to_string(page).unwrap().replace("tries 1", "tries 0")).unwrap(),
        |page| fs::write(page, vec![0xff; 1 << 20]).unwrap(),
        |page| {
            fs::remove_file(page).unwrap();
            fs::create_dir(page).unwrap();
        },
    ];
    for damage in damages {
        let state = State::new();
        assert!(is_tried(&mut state.start("1234")));
        let page = state.pages().remove(0);
        damage(&page);
        let mut guard = state.start("1234");
        assert!(!is_tried(&mut guard));
        let advice = guard.advice().unwrap();
        assert!(
            advice.contains(page.to_str().unwrap()) && advice.contains("unlock it by hand"),
            "{advice}"
        );
        if page.is_dir() {
            continue;
        }
        // A wrong one by hand does not make the page whole.
        guard.begin(&pin("0000"), Attempt::ByHand).unwrap();
        guard.failed(&pin("0000"));
        drop(guard);
        let mut guard = state.start("1234");
        assert!(!is_tried(&mut guard));
        guard.begin(&pin("1234"), Attempt::ByHand).unwrap();
        guard.succeeded(pin("1234"));
        drop(guard);
        assert!(is_tried(&mut state.start("1234")));
    }
}

#[test]
fn a_page_of_another_token_or_key_is_damaged() {
    let state = State::new();
    assert!(is_tried(&mut state.start("1234")));
    let page = state.pages().remove(0);
    let mut guard = state.start("1234");
    guard.identify("other", "token");
    assert!(is_tried(&mut guard));
    drop(guard);
    let other = state.pages().into_iter().find(|each| *each != page).unwrap();
    fs::copy(&other, &page).unwrap();
    assert!(state.start("5678").advice().unwrap().contains("another token"));

    fs::remove_file(state.directory().join("key")).unwrap();
    assert!(state.start("5678").advice().unwrap().contains("another token or key"));
}

#[test]
fn a_damaged_key_an_open_directory_and_a_second_daemon_are_errors() {
    let state = State::new();
    let guard = state.start("1234");
    assert!(matches!(
        PinMemory::open(&state.directory()),
        Err(MemoryError::Busy { .. })
    ));
    drop(guard);
    let key = state.directory().join("key");
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(state.directory()).unwrap().mode() & 0o7777, 0o700);
    for path in [&key, &state.directory()] {
        let mode = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(
            PinMemory::open(&state.directory()),
            Err(MemoryError::Exposed { .. })
        ));
        fs::set_permissions(path, mode).unwrap();
    }
    for damaged in [31, 33] {
        fs::write(&key, vec![7; damaged]).unwrap();
        assert!(matches!(
            PinMemory::open(&state.directory()),
            Err(MemoryError::Key { .. })
        ));
    }
}

#[test]
fn what_was_being_written_at_a_crash_is_of_no_account() {
    let state = State::new();
    assert!(is_tried(&mut state.start("1234")));
    let page = state.pages().remove(0);
    fs::write(page.with_extension("new"), "half a p").unwrap();
    let mut guard = state.start("5678");
    assert!(is_tried(&mut guard));
    guard.failed(&pin("5678"));
    drop(guard);
    let guard = state.start("5678");
    assert!(guard.barred(&pin("5678")).is_some());
    assert_eq!(state.pages(), [page]);
}

/// A file system of one page of memory, full; gone when dropped.
struct FullDisk(PathBuf);

impl FullDisk {
    fn mount(directory: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=12k,mode=700", "none"])
            .arg(directory)
            .output();
        if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: a small disk cannot be mounted here, which needs root: {mounted:?}");
            return None;
        }
        Some(Self(directory.to_owned()))
    }

    fn fill(&self) -> PathBuf {
        let file = self.0.join("everything");
        // As much as goes in.
        let _ = fs::write(&file, vec![0; 1 << 16]);
        file
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        eprintln!("unmounted: {unmounted:?}");
    }
}

#[test]
fn on_a_full_disk_no_pin_is_sent() {
    let state = State::new();
    fs::create_dir(state.directory()).unwrap();
    fs::set_permissions(state.directory(), fs::Permissions::from_mode(0o700)).unwrap();
    let Some(disk) = FullDisk::mount(&state.directory()) else {
        return;
    };
    let mut guard = state.start("1234");
    let everything = disk.fill();
    for attempt in [Attempt::Automatic, Attempt::ByHand] {
        let error = guard.begin(&pin("1234"), attempt).unwrap_err();
        let message = error.to_string();
        assert!(
            matches!(error, MemoryError::Io { .. }) && message.contains("No space left"),
            "{message}"
        );
    }
    fs::remove_file(everything).unwrap();
    assert!(is_tried(&mut guard));
    // What was known stays known when the outcome finds no room.
    disk.fill();
    guard.failed(&pin("1234"));
    drop(guard);
    assert!(!is_tried(&mut state.start("1234")));
}

#[test]
fn the_memory_is_bounded_and_a_full_page_can_be_read() {
    let state = State::new();
    let mut guard = state.start("kept");
    let last = 2 * MAX_REMEMBERED;
    for number in 0..last {
        let hash = guard.hash(&pin(&number.to_string()));
        guard.record.refuse(hash, false);
    }
    guard.begin(&pin(&last.to_string()), Attempt::ByHand).unwrap();
    guard.failed(&pin(&last.to_string()));
    drop(guard);
    let guard = state.start("kept");
    assert!(guard.barred(&pin(&last.to_string())).is_some());
    assert!(guard.barred(&pin("0")).is_none());
    assert!(guard.advice().unwrap().contains("tries in a row"));
}

#[test]
fn no_pin_and_no_name_of_a_token_is_in_the_files() {
    let state = State::new();
    assert!(is_tried(&mut state.start("a rather long PIN")));
    for file in fs::read_dir(state.directory()).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let content = String::from_utf8_lossy(&fs::read(file.path()).unwrap()).into_owned();
        for secret in ["rather", "serial", "label"] {
            assert!(!content.contains(secret) && !name.contains(secret), "{name}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_written_can_be_read_and_nothing_else(
        tries in 0_u32..5,
        hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..5),
        broken in any::<prop::sample::Index>(),
    ) {
        let mut record = Record::default();
        record.tries = tries;
        for hash in hashes {
            record.refuse(hash, true);
        }
        let (key, identity) = ([3; 32], [4; 16]);
        let text = record.encode(&key, &identity);
        let read = Record::decode(&text, &key, &identity);
        prop_assert_eq!(read.as_ref(), Ok(&record));
        let mut octets = text.into_bytes();
        let at = broken.index(octets.len());
        octets[at] ^= 1;
        prop_assert!(Record::decode(&String::from_utf8(octets).unwrap(), &key, &identity).is_err());
    }
}
