//! The memory's files: damaged, exposed, on a full disk, and what must not stand in them.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use proptest::prelude::*;

use super::*;
use crate::guard::record::MAX_REMEMBERED;

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
