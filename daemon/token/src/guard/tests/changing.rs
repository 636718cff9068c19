//! PINs that are replaced.

use super::*;

fn proven(kept: &str) -> PinGuard {
    let mut guard = guard(Some(kept));
    assert!(is_tried(&mut guard));
    guard.succeeded(pin(kept));
    guard
}

#[test]
fn a_replaced_pin_is_no_longer_kept_nor_tried_by_itself() {
    let mut guard = proven("1234");
    guard.begin_change(&pin("1234")).unwrap();
    guard.changed(pin("5678"));
    assert_eq!(guard.kept(), Some(&pin("5678")));
    assert!(guard.guess(&pin("5678")));
    guard.forget();
    guard.kept = Some(pin("1234"));
    assert!(guard.kept().is_none());
    assert!(guard.barred(&pin("1234")).is_none());
}

#[test]
fn while_a_pin_is_being_replaced_none_is_tried_by_itself() {
    let mut guard = proven("1234");
    guard.begin_change(&pin("1234")).unwrap();
    assert!(!is_tried(&mut guard));
    guard.unclear();
    assert!(!is_tried(&mut guard));
    guard.begin(&pin("1234"), Attempt::ByHand).unwrap();
}

#[test]
fn a_proven_pin_is_still_kept_if_the_new_one_was_refused_or_not_sent() {
    let ends: [fn(&mut PinGuard); 2] = [PinGuard::unchanged, PinGuard::untried];
    for end in ends {
        let mut guard = proven("1234");
        guard.begin_change(&pin("1234")).unwrap();
        end(&mut guard);
        assert!(is_tried(&mut guard));
        assert_eq!(guard.record, Record::default());
    }
}

#[test]
fn of_an_old_pin_that_was_not_proven_nobody_knows_whether_the_token_has_looked_at_it() {
    let mut guard = guard(None);
    guard.begin_change(&pin("1234")).unwrap();
    guard.unchanged();
    assert_eq!(guard.record.tries, 1);
    guard.begin_change(&pin("1234")).unwrap();
    guard.failed(&pin("1234"));
    assert_eq!(guard.record.tries, 2);
    assert!(guard.begin_change(&pin("1234")).is_err());
}

#[test]
fn a_verdict_on_a_change_that_nobody_began_is_none() {
    let mut guard = proven("1234");
    guard.changed(pin("5678"));
    assert_eq!(guard.kept(), Some(&pin("1234")));
}

#[test]
fn after_a_restart_the_replaced_pin_is_not_tried_and_the_new_one_is() {
    let state = State::new();
    let mut guard = state.start("1234");
    assert!(is_tried(&mut guard));
    guard.succeeded(pin("1234"));
    guard.begin_change(&pin("1234")).unwrap();
    guard.changed(pin("5678"));
    drop(guard);
    assert!(!is_tried(&mut state.start("1234")));
    let mut guard = state.start("5678");
    assert!(is_tried(&mut guard));
    guard.succeeded(pin("5678"));
    drop(guard);
    // Nor later, when another has logged in.
    assert!(!is_tried(&mut state.start("1234")));
    // It has become the PIN again, by whatever way.
    let mut guard = state.start("1234");
    guard.begin(&pin("1234"), Attempt::ByHand).unwrap();
    guard.succeeded(pin("1234"));
    drop(guard);
    assert!(is_tried(&mut state.start("1234")));
}

#[test]
fn a_change_that_came_to_no_end_is_left_to_people() {
    let state = State::new();
    let mut guard = state.start("1234");
    assert!(is_tried(&mut guard));
    guard.succeeded(pin("1234"));
    guard.begin_change(&pin("1234")).unwrap();
    drop(guard);
    let mut guard = state.start("1234");
    assert!(!is_tried(&mut guard));
    guard.begin(&pin("5678"), Attempt::ByHand).unwrap();
    guard.succeeded(pin("5678"));
    assert_eq!(guard.kept(), Some(&pin("5678")));
}
