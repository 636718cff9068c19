//! What one daemon leaves to the next.

use super::*;

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
