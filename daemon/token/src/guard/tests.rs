//! The guard of one daemon, without a memory; what else there is to it in files of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod by_hand;
mod changing;
mod files;
mod restarts;

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;

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
fn a_module_that_crashed_during_the_login_is_not_given_the_pin_again() {
    let mut guard = guard(Some("1234"));
    assert!(is_tried(&mut guard));
    // No verdict: the process was replaced.
    assert!(!is_tried(&mut guard));
    assert!(guard.begin(&pin("1234"), Attempt::ByHand).is_ok());
}
