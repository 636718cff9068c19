//! Tokens whose PIN is missing or wrong: every call of C_Login is counted.

use hsm_tests::{
    daemon::{Daemon, Pin, Setup},
    people::Person,
};

use crate::{LETTER, assert_all_is_well, assert_left_nothing, assert_refused};

fn daemon(pin: Pin) -> Daemon {
    Setup::new()
        .token_with_pin("cards", &[Person::Alice], pin)
        .faulty()
        .start()
        .unwrap()
}

fn logins(daemon: &Daemon) -> u64 {
    daemon.faults().unwrap().of("C_Login").unwrap()
}

fn unlock(daemon: &Daemon, pin: &str) -> hsm_tests::command::Finished {
    daemon
        .chancery(["unlock", "cards", "--pin-stdin"], pin.as_bytes())
        .unwrap()
}

#[test]
fn without_a_pin_the_token_says_that_it_is_locked() {
    let daemon = daemon(Pin::None);
    let refused = daemon
        .chancery(["sign", "--from", "alice@example.org"], LETTER)
        .unwrap();
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stdout.is_empty());
    assert_eq!(logins(&daemon), 0);
    assert_left_nothing(&daemon);
}

#[test]
fn a_wrong_pin_is_tried_once_however_much_is_asked_of_the_token() {
    let mut daemon = daemon(Pin::Wrong);
    for _ in 0..10 {
        assert_eq!(daemon.chancery(["sign"], LETTER).unwrap().code, 4);
    }
    daemon.chancery(["keys"], b"").unwrap().success().unwrap();
    daemon.reload().unwrap();
    assert_eq!(daemon.chancery(["sign"], LETTER).unwrap().code, 4);
    assert_eq!(logins(&daemon), 1);
    let tokens = String::from_utf8(daemon.chancery(["tokens", "--json"], b"").unwrap().stdout).unwrap();
    assert!(tokens.contains("CKR_PIN_INCORRECT"), "{tokens}");
    assert_left_nothing(&daemon);
}

#[test]
fn a_wrong_pin_by_hand_is_one_try_and_the_right_one_unlocks() {
    let daemon = daemon(Pin::Wrong);
    // The configured PIN has been tried by itself; it is not sent again.
    assert_refused(&unlock(&daemon, "111111"), 4, "PIN_ALREADY_FAILED");
    assert_eq!(logins(&daemon), 1);
    assert_refused(&unlock(&daemon, "222222"), 4, "PIN_INCORRECT");
    assert_eq!(logins(&daemon), 2);
    assert_refused(&unlock(&daemon, "222222"), 4, "PIN_ALREADY_FAILED");
    assert_eq!(logins(&daemon), 2);
    unlock(&daemon, &daemon.token("cards").unwrap().pin).success().unwrap();
    assert_eq!(logins(&daemon), 3);
    assert_all_is_well(&daemon);
    let log = daemon.log().unwrap();
    let audit = std::fs::read_to_string(daemon.audit_file()).unwrap();
    for pin in ["111111", "222222", "471147"] {
        assert!(!log.contains(pin) && !audit.contains(pin), "a PIN was written down");
    }
}

#[test]
fn an_unknown_token_and_an_empty_pin_are_refused_without_a_try() {
    let daemon = daemon(Pin::None);
    let unknown = daemon
        .chancery(["unlock", "nonsense", "--pin-stdin"], b"471147")
        .unwrap();
    assert_refused(&unknown, 4, "TOKEN_NOT_FOUND");
    let empty = unlock(&daemon, "");
    assert_ne!(empty.code, 0);
    assert_eq!(logins(&daemon), 0);
}
