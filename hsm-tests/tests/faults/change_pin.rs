//! A PIN that is changed: one try, whatever goes wrong, and nobody goes on with the old one.

use cryptoki_sys::CKR_DEVICE_ERROR;
use hsm_tests::{
    daemon::{Daemon, PIN, Pin, WRONG_PIN},
    people::Person,
    softhsm::fault::Fault,
};

use crate::{
    block_on,
    client::{Client, reason},
    pins::{card, configure_pin, daemon},
};

const NEW_PIN: &str = "new-pin-582258";

fn calls(daemon: &Daemon, function: &str) -> u64 {
    daemon.faults().unwrap().of(function).unwrap()
}

#[test]
fn a_changed_pin_is_the_one_that_counts_and_the_configured_one_costs_no_try_after_a_restart() {
    let mut daemon = daemon(Pin::None);
    card(&daemon);
    configure_pin(&daemon, PIN);
    daemon.restart().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.ready("card").await.unwrap();
        let changed = client.change_pin("card", PIN, NEW_PIN).await.unwrap();
        assert!(changed.configured_in.ends_with("card.pin"), "{}", changed.configured_in);
        client.sign(Person::Alice, 7).await.unwrap();
        // What is kept is the new one: it is what another unlock is compared with.
        client.unlock("card", NEW_PIN).await.unwrap();
        client.lock("card", false).await.unwrap();
        client.unlock("card", NEW_PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
    assert_eq!(calls(&daemon, "C_SetPIN"), 1);
    let logins = calls(&daemon, "C_Login");
    for _ in 0..2 {
        daemon.restart().unwrap();
        block_on(async {
            let client = Client::of(&daemon).await;
            let token = client.locked("card").await.unwrap();
            assert!(token.detail.contains("before it was changed"), "{}", token.detail);
        });
    }
    assert_eq!(
        (calls(&daemon, "C_Login"), card(&daemon).wrong_pins().unwrap()),
        (logins, 0)
    );
    configure_pin(&daemon, NEW_PIN);
    daemon.restart().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.ready("card").await.unwrap();
    });
    let (log, audit) = (daemon.log().unwrap(), daemon.audit().unwrap());
    let audit: Vec<String> = audit.iter().map(ToString::to_string).collect();
    assert!(audit.iter().any(|record| record.contains("TokenService/ChangePin")));
    assert!(
        !log.contains(NEW_PIN) && !audit.concat().contains(NEW_PIN),
        "a PIN was written down"
    );
}

#[test]
fn a_wrong_old_pin_is_one_try_of_a_locked_token_and_none_of_an_unlocked_one() {
    let daemon = daemon(Pin::None);
    let card = card(&daemon);
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        for reason_now in ["PIN_INCORRECT", "PIN_ALREADY_FAILED"] {
            let refused = client.change_pin("card", WRONG_PIN, NEW_PIN).await.unwrap_err();
            assert_eq!(reason(&refused), reason_now);
            assert_eq!((calls(&daemon, "C_SetPIN"), card.wrong_pins().unwrap()), (1, 1));
        }
        client.unlock("card", PIN).await.unwrap();
        for guess in ["000000", "000001", "000002", PIN] {
            let refused = client.change_pin("card", guess, NEW_PIN).await.unwrap_err();
            assert_eq!(reason(&refused), "PIN_MISMATCH", "{guess}");
        }
        assert_eq!((calls(&daemon, "C_SetPIN"), card.wrong_pins().unwrap()), (1, 1));
        client.sign(Person::Alice, 7).await.unwrap();
        // Locked, the token itself decides; and it stays locked.
        client.lock("card", false).await.unwrap();
        client.change_pin("card", PIN, NEW_PIN).await.unwrap();
        client.locked("card").await.unwrap();
        client.unlock("card", NEW_PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}

#[test]
fn a_new_pin_of_the_wrong_length_does_not_reach_the_token() {
    let daemon = daemon(Pin::Right);
    block_on(async {
        let client = Client::of(&daemon).await;
        let refused = client.change_pin("card", PIN, "123").await.unwrap_err();
        assert_eq!(reason(&refused), "NEW_PIN_REFUSED");
        assert!(refused.message().contains("4 to 255 bytes"), "{refused:?}");
        let refused = client.change_pin("card", PIN, "").await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_LENGTH");
        assert_eq!(calls(&daemon, "C_SetPIN"), 0);
        client.change_pin("card", PIN, NEW_PIN).await.unwrap();
        client.unlock("card", NEW_PIN).await.unwrap();
    });
}

#[test]
fn a_change_whose_process_crashes_is_not_repeated_and_no_pin_is_tried_by_itself() {
    let mut daemon = daemon(Pin::None);
    let faults = daemon.faults().unwrap();
    faults
        .put("C_SetPIN", Fault::segfault().behind_the_call().once())
        .unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        client.unlock("card", PIN).await.unwrap();
        let lost = client.change_pin("card", PIN, NEW_PIN).await.unwrap_err();
        assert_eq!(reason(&lost), "MODULE_ENDED");
        let token = client.locked("card").await.unwrap();
        assert!(token.detail.contains("by hand"), "{}", token.detail);
    });
    assert_eq!((calls(&daemon, "C_SetPIN"), calls(&daemon, "C_Login")), (1, 1));
    configure_pin(&daemon, PIN);
    daemon.restart().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        assert_eq!(calls(&daemon, "C_Login"), 1);
        client.unlock("card", NEW_PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}

#[test]
fn a_token_that_fails_in_the_middle_is_not_asked_again_and_the_caller_is_told_that_nobody_knows() {
    let daemon = daemon(Pin::Right);
    let faults = daemon.faults().unwrap();
    faults.put("C_SetPIN", Fault::answer(CKR_DEVICE_ERROR)).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let unclear = client.change_pin("card", PIN, NEW_PIN).await.unwrap_err();
        assert_eq!(reason(&unclear), "PIN_CHANGE_UNCLEAR");
        assert_eq!(calls(&daemon, "C_SetPIN"), 1);
        faults.take_back_all().unwrap();
        // It was not changed, as somebody finds out.
        client.unlock("card", PIN).await.unwrap();
        client.change_pin("card", PIN, NEW_PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}
