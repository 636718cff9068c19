//! PINs whose way to the token is crossed by something else: a lock, or a module that hangs before it takes them.

use std::time::Duration;

use chancery::{Pin as SentPin, UnlockTerms};
use chancery_proto::v1::TokenState;
use hsm_tests::{
    daemon::{Daemon, PIN, Pin, Setup},
    people::Person,
    softhsm::fault::Fault,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    PATIENCE, block_on,
    client::{Client, reason},
};

fn daemon() -> Daemon {
    Setup::new()
        .configure("limits", "call_deadline = \"1s\"\ncall_grace = \"1s\"")
        .faulty()
        .token_with_pin("card", &[Person::Alice], Pin::None)
        .start()
        .unwrap()
}

/// Waits for something that a module tells.
async fn until(what: impl Fn() -> bool) {
    let seen = tokio::time::timeout(PATIENCE, async {
        while !what() {
            tokio::task::yield_now().await;
        }
    });
    seen.await.unwrap();
}

fn kill_the_process(daemon: &Daemon) {
    let children = daemon.children().unwrap();
    let [process] = children.as_slice() else {
        panic!("{children:?}")
    };
    let process = Pid::from_raw((*process).try_into().unwrap()).unwrap();
    kill_process(process, Signal::KILL).unwrap();
}

#[test]
fn a_token_that_is_locked_during_a_login_of_its_own_is_not_unlocked_again_by_itself() {
    let daemon = daemon();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.unlock("card", PIN).await.unwrap();
        // The next process logs in with the PIN that is kept, and is slow at it.
        faults
            .put("C_Login", Fault::delay(Duration::from_millis(700)).once())
            .unwrap();
        kill_the_process(&daemon);
        until(|| faults.hits("C_Login").unwrap() == 1).await;
        client.lock("card", false).await.unwrap();
        let logins = faults.of("C_Login").unwrap();
        kill_the_process(&daemon);
        let restarted = |token: &chancery_proto::v1::Token| token.worker_restarts == 2;
        let token = client
            .token_when("card", |token| restarted(token) && token.state() == TokenState::Locked)
            .await
            .unwrap();
        assert_eq!(faults.of("C_Login").unwrap(), logins, "{}", token.detail);
    });
}

#[test]
fn a_client_that_goes_on_bringing_pins_loses_no_call_when_the_daemon_ends_its_connections() {
    let daemon = daemon();
    block_on(async {
        Client::of(&daemon).await.unlock("card", PIN).await.unwrap();
        let client = chancery::Client::connect(&daemon.address()).await.unwrap();
        // As long as this one lasts, so does the first connection, and nobody is told that it takes no more calls.
        let mut watch = client.watch_tokens(None).await.unwrap();
        watch.next().await.unwrap();
        for _ in 0..500 {
            let pin = SentPin::new(PIN.as_bytes().to_vec()).unwrap();
            client
                .unlock_on("tokens/card", pin, UnlockTerms::default())
                .await
                .unwrap();
        }
    });
    assert_eq!(daemon.faults().unwrap().of("C_Login").unwrap(), 1);
}

#[test]
fn an_unlock_that_never_reached_the_token_is_no_try_of_its_pin() {
    let daemon = daemon();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        for hung in 1..=2 {
            // Whoever looks after the token no longer does, and does not hear of the unlock.
            faults.put("C_GetSlotInfo", Fault::hang().once()).unwrap();
            until(|| faults.hits("C_GetSlotInfo").unwrap() == 1).await;
            let status = client.unlock("card", PIN).await.unwrap_err();
            assert_eq!(reason(&status), "MODULE_ENDED", "{status:?}");
            client
                .token_when("card", |token| {
                    token.worker_restarts == hung && token.state() == TokenState::Locked
                })
                .await
                .unwrap();
        }
        assert_eq!(faults.of("C_Login").unwrap(), 0);
        client.unlock("card", PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}

#[test]
fn an_unlock_whose_caller_has_gone_is_recorded_as_it_ended() {
    let daemon = daemon();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("card").await.unwrap();
        faults.put("C_Login", Fault::hang().once()).unwrap();
        let unlocking = tokio::spawn({
            let client = client.clone();
            async move { client.unlock("card", PIN).await }
        });
        until(|| faults.hits("C_Login").unwrap() == 1).await;
        unlocking.abort();
        faults.go_on("C_Login").unwrap();
        client.ready("card").await.unwrap();
        let ended = || {
            let mut records = daemon.audit().unwrap().into_iter();
            records.find(|record| record["event"] == "outcome")
        };
        until(|| ended().is_some()).await;
        assert_eq!(ended().unwrap()["result"], "done");
    });
}

#[test]
fn a_token_that_is_locked_while_it_signs_has_no_more_sessions_when_it_is_unlocked_again() {
    let daemon = daemon();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.unlock("card", PIN).await.unwrap();
        let signers: Vec<_> = (0..16)
            .map(|number| {
                let client = client.clone();
                tokio::spawn(async move {
                    loop {
                        // Refused while it is locked.
                        let _ = client.sign(Person::Alice, number).await;
                    }
                })
            })
            .collect();
        for _ in 0..10 {
            client.sign(Person::Alice, 7).await.unwrap();
            client.lock("card", false).await.unwrap();
            client.unlock("card", PIN).await.unwrap();
        }
        signers.iter().for_each(|signer| signer.abort());
        // The anchor's, and one for each of its workers.
        assert!(faults.sessions().unwrap() <= 5, "{:?}", faults.sessions());
    });
}
