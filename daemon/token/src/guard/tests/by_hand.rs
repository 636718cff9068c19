//! Tries that somebody asks for, after those that came to no end and those that failed.

use super::*;

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
    assert_eq!(guard.insistences(), 1);
    drop(guard);
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
fn after_two_tries_without_an_answer_nobody_can_insist_before_the_token_has_judged_a_pin() {
    let state = State::new();
    let (right, other) = (pin("1234"), pin("5678"));
    let insist = |guard: &mut PinGuard, pin: &Pin| {
        guard.insist(Some(pin));
        guard.begin(pin, Attempt::ByHand).is_ok()
    };
    for each in [&right, &other] {
        for _ in 0..2 {
            state.start("0000").begin(each, Attempt::ByHand).unwrap();
        }
    }
    // One that does not go to the token after all is none.
    let mut guard = state.start("0000");
    assert!(insist(&mut guard, &right));
    guard.untried();
    assert_eq!((guard.insistences(), guard.insistence_spent()), (0, None));
    drop(guard);
    // Whichever PIN it is, and whoever is started again.
    assert!(insist(&mut state.start("0000"), &right));
    assert!(insist(&mut state.start("0000"), &other));
    let mut guard = state.start("0000");
    let (page, remedy) = (state.pages().pop().unwrap(), guard.insistence_spent().unwrap());
    assert!(remedy.contains(&page.display().to_string()), "{remedy}");
    // The file holds more than what keeps anybody from insisting.
    assert!(
        remedy.contains("forgets which PINs the token has refused")
            && remedy.contains("take its PIN out of the configuration"),
        "{remedy}"
    );
    assert!(!insist(&mut guard, &right) && !insist(&mut guard, &other));
    assert_eq!(guard.insistences(), 0);
    // A verdict on any PIN, a bad one too.
    let third = pin("9999");
    guard.begin(&third, Attempt::ByHand).unwrap();
    guard.failed(&third);
    assert_eq!(guard.insistence_spent(), None);
    assert!(insist(&mut guard, &right) && guard.insistences() == 1);
    guard.succeeded(right);
    assert_eq!(guard.insistence_spent(), None);
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
