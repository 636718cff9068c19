//! PINs when everything else goes wrong: tries are a card's scarcest good.

use std::{fs, os::unix::fs::PermissionsExt as _};

use chancery_proto::v1::{PinStatus, TokenState};
use hsm_tests::{
    daemon::{Daemon, PIN, Pin, Setup, WRONG_PIN},
    people::Person,
    softhsm::fault::{Fault, TokenFaults},
};

use crate::{
    block_on,
    client::{Client, reason},
};

pub(crate) fn daemon(pin: Pin) -> Daemon {
    Setup::new()
        .faulty()
        .token_with_pin("card", &[Person::Alice], pin)
        .start()
        .unwrap()
}

pub(crate) fn card(daemon: &Daemon) -> TokenFaults<'_> {
    let serial = &daemon.token("card").unwrap().serial;
    daemon.faults().unwrap().token(serial).unwrap()
}

/// Gives the daemon a PIN that it has from its next start on.
pub(crate) fn configure_pin(daemon: &Daemon, pin: &str) {
    let file = daemon.directory().join("card.pin");
    fs::write(&file, pin).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    configure_card(daemon, &format!("pin = {{ file = \"{}\" }}", file.display()));
}

/// Has this line in the token's configuration from the daemon's next start on.
pub(crate) fn configure_card(daemon: &Daemon, line: &str) {
    let configuration = fs::read_to_string(daemon.configuration_file()).unwrap();
    if configuration.contains(line) {
        return;
    }
    let token = "name = \"card\"";
    assert!(configuration.contains(token));
    let with_line = configuration.replace(token, &format!("{token}\n{line}"));
    fs::write(daemon.configuration_file(), with_line).unwrap();
}

#[test]
fn a_wrong_pin_costs_one_try_though_every_login_takes_the_process_with_it_and_the_daemon_is_restarted() {
    let mut daemon = daemon(Pin::None);
    card(&daemon);
    // From now on the daemon has a wrong PIN, and never learns that it is wrong.
    configure_pin(&daemon, WRONG_PIN);
    daemon
        .faults()
        .unwrap()
        .put("C_Login", Fault::segfault().behind_the_call())
        .unwrap();
    for _ in 0..4 {
        daemon.restart().unwrap();
        block_on(async {
            let client = Client::of(&daemon).await;
            let token = client.locked("card").await.unwrap();
            assert!(token.detail.contains("by hand"), "{}", token.detail);
            client.sign(Person::Alice, 7).await.unwrap_err();
        });
        assert_eq!(card(&daemon).wrong_pins().unwrap(), 1);
    }
    assert_eq!(daemon.faults().unwrap().of("C_Login").unwrap(), 1);
    // Whoever looks after it has not lost the card.
    daemon.faults().unwrap().take_back_all().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.unlock("card", PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
    assert_eq!(card(&daemon).wrong_pins().unwrap(), 1);
}

#[test]
fn an_unlock_whose_process_crashes_is_not_repeated() {
    let daemon = daemon(Pin::None);
    let faults = daemon.faults().unwrap();
    let card = card(&daemon);
    faults.put("C_Login", Fault::segfault().behind_the_call()).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        let status = client.unlock("card", WRONG_PIN).await.unwrap_err();
        assert_eq!(reason(&status), "MODULE_ENDED", "{status:?}");
        client.locked("card").await.unwrap();
        assert_eq!((card.wrong_pins().unwrap(), faults.of("C_Login").unwrap()), (1, 1));
        faults.take_back_all().unwrap();
        client.unlock("card", PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}

/// Two tries that take the process with them, so that nobody learns what came of them.
async fn try_twice_without_an_answer(daemon: &Daemon, client: &Client, pin: &str) {
    let crash = Fault::segfault().behind_the_call();
    daemon.faults().unwrap().put("C_Login", crash.times(2)).unwrap();
    for _ in 0..2 {
        client.locked("card").await.unwrap();
        let status = client.unlock("card", pin).await.unwrap_err();
        assert_eq!(reason(&status), "MODULE_ENDED", "{status:?}");
    }
    client.locked("card").await.unwrap();
}

#[test]
fn a_right_pin_whose_tries_were_not_answered_is_freed_by_whoever_insists_and_by_nothing_else() {
    let mut daemon = daemon(Pin::None);
    block_on(async {
        let client = Client::of(&daemon).await;
        try_twice_without_an_answer(&daemon, &client, PIN).await;
    });
    // Nor by the configuration.
    configure_pin(&daemon, PIN);
    daemon.restart().unwrap();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        let logins = faults.of("C_Login").unwrap();
        let status = client.unlock("card", PIN).await.unwrap_err();
        assert_eq!(reason(&status), "PIN_UNANSWERED", "{status:?}");
        assert!(
            status.message().contains("nobody knows whether it is right"),
            "{status:?}"
        );
        assert_eq!(faults.of("C_Login").unwrap(), logins);
        assert_eq!(insistence(&daemon), 0);
        // One that is not answered either frees nothing.
        faults.put("C_Login", Fault::segfault().once()).unwrap();
        let status = client.insist("card", PIN).await.unwrap_err();
        assert_eq!(reason(&status), "MODULE_ENDED", "{status:?}");
        client.locked("card").await.unwrap();
        let status = client.unlock("card", PIN).await.unwrap_err();
        assert_eq!(reason(&status), "PIN_UNANSWERED", "{status:?}");
        assert_eq!(faults.of("C_Login").unwrap(), logins + 1);
        client.insist("card", PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
        client.lock("card", false).await.unwrap();
        client.unlock("card", PIN).await.unwrap();
    });
    let ends = ends_of_insistence(&daemon);
    assert_eq!((insistence(&daemon), ends.len()), (2, 2));
    assert!(
        ends[0].contains("it was sent once more: the module of token card ended"),
        "{ends:?}"
    );
    assert!(
        ends[1].contains("it was sent once more: the token is unlocked"),
        "{ends:?}"
    );
    assert_eq!(card(&daemon).wrong_pins().unwrap(), 0);
}

#[test]
fn whoever_insists_in_a_loop_has_two_tries_without_an_answer_and_no_more_after_a_restart() {
    let mut daemon = daemon(Pin::None);
    card(&daemon);
    let loop_of_four = async |daemon: &Daemon| {
        let client = Client::of(daemon).await;
        let mut sent = 0;
        for _ in 0..4 {
            client.locked("card").await.unwrap();
            let status = client.insist("card", WRONG_PIN).await.unwrap_err();
            match reason(&status).as_str() {
                "MODULE_ENDED" => sent += 1,
                "PIN_UNANSWERED" => assert!(status.message().contains("remove "), "{status:?}"),
                _ => panic!("{status:?}"),
            }
        }
        sent
    };
    block_on(async {
        try_twice_without_an_answer(&daemon, &Client::of(&daemon).await, WRONG_PIN).await;
        let crash = Fault::segfault().behind_the_call();
        daemon.faults().unwrap().put("C_Login", crash).unwrap();
        assert_eq!(loop_of_four(&daemon).await, 2);
    });
    let tries = card(&daemon).wrong_pins().unwrap();
    daemon.restart().unwrap();
    block_on(async {
        assert_eq!(loop_of_four(&daemon).await, 0);
    });
    assert_eq!((tries, card(&daemon).wrong_pins().unwrap()), (4, 4));
    let ends = ends_of_insistence(&daemon);
    let sent = ends
        .iter()
        .filter(|end| end.contains("it was sent once more: "))
        .count();
    let unsent = ends
        .iter()
        .filter(|end| end.contains("nothing was sent on the strength of that: "))
        .count();
    assert_eq!((insistence(&daemon), sent, unsent), (8, 2, 6), "{ends:?}");
    // A login with the right one frees what is left.
    daemon.faults().unwrap().take_back_all().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.unlock("card", PIN).await.unwrap();
        client.lock("card", false).await.unwrap();
        let status = client.unlock("card", WRONG_PIN).await.unwrap_err();
        assert_eq!(reason(&status), "PIN_INCORRECT", "{status:?}");
    });
}

#[test]
fn nobody_can_insist_on_a_cards_last_try() {
    let daemon = daemon(Pin::None);
    let card = card(&daemon);
    card.lock_pin_after(3).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        try_twice_without_an_answer(&daemon, &client, WRONG_PIN).await;
        let status = client.insist("card", WRONG_PIN).await.unwrap_err();
        assert_eq!(reason(&status), "PIN_UNANSWERED", "{status:?}");
        assert!(status.message().contains("another would lock it"), "{status:?}");
        assert_eq!(card.wrong_pins().unwrap(), 2);
        let ends = ends_of_insistence(&daemon);
        assert!(
            ends[0].contains("nothing was sent on the strength of that: two tries"),
            "{ends:?}"
        );
        // Another PIN is another matter.
        client.insist("card", PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}

/// What the audit trail says came of it.
fn ends_of_insistence(daemon: &Daemon) -> Vec<String> {
    let trail = daemon.audit().unwrap();
    let ends = trail.iter().filter(|record| record["what"] == "pin-insistence-ended");
    ends.map(|record| record["detail"].as_str().unwrap().to_owned())
        .collect()
}

/// How often the audit trail says that somebody insisted on a PIN.
fn insistence(daemon: &Daemon) -> usize {
    crate::notes(daemon, "pin-insisted-on", "card")
}

#[test]
fn a_card_that_locks_its_pin_is_said_to_and_its_last_try_is_left_to_people() {
    let mut daemon = daemon(Pin::None);
    card(&daemon).lock_pin_after(2).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        let refused = client.unlock("card", "000000").await.unwrap_err();
        assert_eq!(reason(&refused), "PIN_INCORRECT");
        client
            .token_when("card", |token| token.pin_status() == PinStatus::FinalTry)
            .await
            .unwrap();
    });
    // The right PIN, at last; and it is not tried.
    configure_pin(&daemon, PIN);
    daemon.restart().unwrap();
    let card = card(&daemon);
    block_on(async {
        let client = Client::of(&daemon).await;
        let token = client.locked("card").await.unwrap();
        assert_eq!(token.pin_status(), PinStatus::FinalTry);
        client.sign(Person::Alice, 7).await.unwrap_err();
        assert_eq!(card.pin_tries().unwrap(), 1);
        client.unlock("card", "000001").await.unwrap_err();
        let locked = client
            .token_when("card", |token| token.pin_status() == PinStatus::Locked)
            .await
            .unwrap();
        assert_eq!(locked.state(), TokenState::Locked);
        let refused = client.unlock("card", PIN).await.unwrap_err();
        assert_eq!(reason(&refused), "PIN_LOCKED");
        assert_eq!(card.pin_tries().unwrap(), 2);
        // A security officer has set it back.
        card.reset_pin_tries().unwrap();
        client.unlock("card", PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}
