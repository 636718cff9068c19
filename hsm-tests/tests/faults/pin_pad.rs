//! Tokens with a PIN pad of their own: somebody is asked there when a person wants it, and is given time.

use std::time::Duration;

use hsm_tests::{
    daemon::{Daemon, PIN, Pin, Setup, WRONG_PIN},
    people::Person,
    softhsm::{Usage, fault::Fault},
};

use crate::{
    block_on,
    client::{Client, reason},
    pins::{card, configure_card, daemon},
};

/// A PIN that is entered at the pad, or given up there.
const AT_PAD: &str = "";

/// A daemon that finds the token with its pad.
fn daemon_with_pad(lines: &[&str]) -> Daemon {
    let mut daemon = daemon(Pin::None);
    card(&daemon).enter_at_pad(PIN).unwrap();
    for line in lines {
        configure_card(&daemon, line);
    }
    daemon.restart().unwrap();
    daemon
}

fn prompts(daemon: &Daemon) -> u64 {
    card(daemon).pad_prompts().unwrap()
}

fn calls(daemon: &Daemon, function: &str) -> u64 {
    daemon.faults().unwrap().of(function).unwrap()
}

#[test]
fn somebody_is_asked_at_the_pad_when_the_token_is_to_be_unlocked_and_not_before() {
    let daemon = daemon_with_pad(&[]);
    block_on(async {
        let client = Client::of(&daemon).await;
        let token = client.locked("card").await.unwrap();
        assert!(
            token.protected_authentication_path && token.detail.contains("PIN pad"),
            "{token:?}"
        );
        client.sign(Person::Alice, 7).await.unwrap_err();
        assert_eq!(calls(&daemon, "C_Login"), 0);
        client.unlock("card", AT_PAD).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
        let again = client.unlock("card", AT_PAD).await.unwrap_err();
        assert_eq!(reason(&again), "INPUT_REFUSED");
        assert_eq!(prompts(&daemon), 1);
        client.lock("card", false).await.unwrap();
        // The pad is a way in beside the other: the module takes a PIN as well.
        client.unlock("card", PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
        assert_eq!(prompts(&daemon), 1);
    });
}

#[test]
fn who_cancels_at_the_pad_has_spent_no_try_and_who_is_wrong_there_has() {
    let daemon = daemon_with_pad(&[]);
    let card = card(&daemon);
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        card.cancel_at_pad().unwrap();
        let cancelled = client.unlock("card", AT_PAD).await.unwrap_err();
        assert_eq!(reason(&cancelled), "PIN_NOT_ENTERED");
        assert!(cancelled.message().contains("CKR_FUNCTION_CANCELED"), "{cancelled:?}");
        assert_eq!(card.wrong_pins().unwrap(), 0);
        card.enter_at_pad(WRONG_PIN).unwrap();
        for wrong in 1..=2 {
            let refused = client.unlock("card", AT_PAD).await.unwrap_err();
            assert_eq!(reason(&refused), "PIN_INCORRECT");
            assert!(refused.message().contains("at its PIN pad"), "{refused:?}");
            assert_eq!(card.wrong_pins().unwrap(), wrong);
        }
        card.enter_at_pad(PIN).unwrap();
        client.unlock("card", AT_PAD).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}

#[test]
fn without_a_pad_an_empty_pin_reaches_no_token() {
    let daemon = daemon(Pin::None);
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        let refused = client.unlock("card", AT_PAD).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_LENGTH");
        let refused = client.change_pin("card", AT_PAD, AT_PAD).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_LENGTH");
    });
    assert_eq!((calls(&daemon, "C_Login"), calls(&daemon, "C_SetPIN")), (0, 0));
}

#[test]
fn a_pad_that_is_asked_by_itself_is_asked_once_until_somebody_has_come() {
    let mut daemon = daemon(Pin::None);
    card(&daemon).cancel_at_pad().unwrap();
    configure_card(&daemon, "pin_pad = true");
    daemon.restart().unwrap();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client
            .token_when("card", |token| token.detail.contains("nobody entered"))
            .await
            .unwrap();
        assert_eq!(prompts(&daemon), 1);
        // Another process finds the token, and nobody is asked again.
        faults.put("C_GetTokenInfo", Fault::segfault().once()).unwrap();
        client
            .token_when("card", |token| token.worker_restarts == 1)
            .await
            .unwrap();
        client.locked("card").await.unwrap();
        assert_eq!(prompts(&daemon), 1);
        card(&daemon).enter_at_pad(PIN).unwrap();
        client.unlock("card", AT_PAD).await.unwrap();
        assert_eq!(prompts(&daemon), 2);
        // Now somebody is there.
        faults.put("C_GetTokenInfo", Fault::segfault().once()).unwrap();
        client
            .token_when("card", |token| token.worker_restarts == 2)
            .await
            .unwrap();
        client.serves_again(Person::Alice).await.unwrap();
        assert_eq!(prompts(&daemon), 3);
    });
}

#[test]
fn the_pin_is_changed_at_the_pad() {
    let daemon = daemon_with_pad(&[]);
    let card = card(&daemon);
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        client.unlock("card", AT_PAD).await.unwrap();
        card.cancel_at_pad().unwrap();
        let cancelled = client.change_pin("card", AT_PAD, AT_PAD).await.unwrap_err();
        assert_eq!(reason(&cancelled), "PIN_NOT_ENTERED");
        card.change_at_pad(PIN, "582258").unwrap();
        client.change_pin("card", AT_PAD, AT_PAD).await.unwrap();
        client.lock("card", false).await.unwrap();
        let refused = client.unlock("card", AT_PAD).await.unwrap_err();
        assert_eq!(reason(&refused), "PIN_INCORRECT");
        card.enter_at_pad("582258").unwrap();
        client.unlock("card", AT_PAD).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}

#[test]
fn who_is_slow_at_the_pad_is_waited_for_by_an_unlock_and_by_a_key_that_wants_its_pin_each_time() {
    let setup = Setup::new().faulty().token_with_pin("card", &[], Pin::None);
    let limits = "call_deadline = \"1s\"\ncall_grace = \"500ms\"";
    let mut daemon = setup.configure("limits", limits).start().unwrap();
    let token = daemon.token("card").unwrap();
    let (pair, softhsm) = (Person::Carol.signing(), daemon.softhsm());
    let key = pair.pkcs8().unwrap();
    let usage = Usage::AlwaysAuthenticate;
    softhsm
        .import(token, pair.name(), &[1], key.as_bytes(), &pair.spki().unwrap(), usage)
        .unwrap();
    softhsm
        .write_certificate(token, pair.name(), &[1], &pair.certificate().unwrap())
        .unwrap();
    card(&daemon).enter_at_pad(PIN).unwrap();
    daemon.restart().unwrap();
    let slow = Fault::delay(Duration::from_secs(3));
    daemon.faults().unwrap().put("C_Login", slow).unwrap();
    let card = card(&daemon);
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        client.unlock("card", AT_PAD).await.unwrap();
        client.sign(Person::Carol, 7).await.unwrap();
        assert_eq!(prompts(&daemon), 2);
        card.cancel_at_pad().unwrap();
        let cancelled = client.sign(Person::Carol, 7).await.unwrap_err();
        assert_eq!(reason(&cancelled), "PIN_NOT_ENTERED");
        card.enter_at_pad(WRONG_PIN).unwrap();
        let refused = client.sign(Person::Carol, 7).await.unwrap_err();
        assert_eq!(reason(&refused), "PIN_INCORRECT");
        card.enter_at_pad(PIN).unwrap();
        client.sign(Person::Carol, 7).await.unwrap();
        assert_eq!(client.token("card").await.worker_restarts, 0);
    });
}
