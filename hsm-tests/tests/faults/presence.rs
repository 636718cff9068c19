//! Tokens that are pulled and put in again.

use std::time::{Duration, Instant};

use chancery_proto::v1::{ListKeysRequest, TokenState, key_service_client::KeyServiceClient};
use cryptoki_sys::{CKR_FUNCTION_NOT_SUPPORTED, CKR_OK};
use hsm_tests::{
    daemon::{Daemon, Setup},
    people::Person,
    softhsm::fault::{Fault, Faults, TokenFaults},
};

use crate::{
    PATIENCE, assert_every_intent_has_its_outcome, block_on,
    client::{Client, reason},
    notes,
};

/// A token that comes or goes is noticed within that time.
const NOTICED: Duration = Duration::from_secs(2);

#[test]
fn a_pulled_token_is_absent_with_its_keys_listed_and_its_neighbour_does_not_notice() {
    let daemon = Setup::new()
        .faulty()
        .token("first", &[Person::Alice])
        .token("second", &[Person::Carol])
        .start()
        .unwrap();
    let serial = &daemon.token("first").unwrap().serial;
    let first = daemon.faults().unwrap().token(serial).unwrap();
    let processes = daemon.children().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let signature = client.sign(Person::Alice, 7).await.unwrap();
        let generation = client.token("second").await.generation;
        for _ in 0..2 {
            let pulled = Instant::now();
            first.pull().unwrap();
            let neighbour = tokio::spawn({
                let client = client.clone();
                async move {
                    let mut signed = 0;
                    loop {
                        client.sign(Person::Carol, 7).await.unwrap();
                        signed += 1;
                        if pulled.elapsed() > NOTICED {
                            return signed;
                        }
                    }
                }
            });
            client
                .token_when("first", |token| token.state() == TokenState::Absent)
                .await
                .unwrap();
            assert!(pulled.elapsed() < NOTICED, "noticed after {:?}", pulled.elapsed());
            let status = client.sign(Person::Alice, 7).await.unwrap_err();
            assert_eq!(reason(&status), "TOKEN_ABSENT");
            let listed = KeyServiceClient::new(daemon.channel().await.unwrap())
                .list_keys(ListKeysRequest::default())
                .await
                .unwrap()
                .into_inner()
                .keys;
            let available = |name: &str| {
                let key = listed.iter().find(|key| key.name == name).unwrap();
                key.replicas.iter().any(|replica| replica.available)
            };
            assert!(!available(&Person::Alice.signing().key().unwrap()));
            assert!(available(&Person::Carol.signing().key().unwrap()));

            let back = Instant::now();
            first.put_back().unwrap();
            client.ready("first").await.unwrap();
            assert!(back.elapsed() < NOTICED, "noticed after {:?}", back.elapsed());
            assert_eq!(client.sign(Person::Alice, 7).await.unwrap(), signature);
            assert!(neighbour.await.unwrap() > 0);
        }
        assert_eq!(client.token("second").await.generation, generation);
    });
    assert_eq!(daemon.children().unwrap(), processes, "nothing was started anew for it");
    assert_every_intent_has_its_outcome(&daemon);
}

/// A token that can be pulled, alone in its daemon.
fn removable() -> Daemon {
    let daemon = Setup::new().faulty().token("card", &[Person::Alice]).start().unwrap();
    card(&daemon);
    daemon
}

fn card(daemon: &Daemon) -> TokenFaults<'_> {
    let serial = &daemon.token("card").unwrap().serial;
    daemon.faults().unwrap().token(serial).unwrap()
}

/// Waits until a function has been called so often.
fn wait_for_calls(faults: &Faults, function: &str, calls: u64) {
    let begun = Instant::now();
    while faults.of(function).unwrap() < calls {
        assert!(begun.elapsed() < PATIENCE, "{function} is not called");
        std::thread::yield_now();
    }
}

#[test]
fn what_a_module_says_of_its_slots_is_looked_into_at_once() {
    /// The events that are fetched at once.
    const AT_ONCE: u64 = 8;
    let daemon = removable();
    let faults = daemon.faults().unwrap();
    wait_for_calls(faults, "C_WaitForSlotEvent", 1);
    faults.put("C_WaitForSlotEvent", Fault::answer(CKR_OK)).unwrap();
    let (asked, looked) = (
        faults.of("C_WaitForSlotEvent").unwrap(),
        faults.of("C_GetSlotInfo").unwrap(),
    );
    wait_for_calls(faults, "C_WaitForSlotEvent", asked + 8 * AT_ONCE);
    // Without being told it looks half as often.
    let looks = faults.of("C_GetSlotInfo").unwrap() - looked;
    assert!(looks >= 6, "told eight times, it looked {looks} times");
}

#[test]
fn a_module_that_does_not_say_when_tokens_come_and_go_is_asked_once_and_looked_at_instead() {
    let daemon = removable();
    let faults = daemon.faults().unwrap();
    faults
        .put("C_WaitForSlotEvent", Fault::answer(CKR_FUNCTION_NOT_SUPPORTED))
        .unwrap();
    wait_for_calls(faults, "C_WaitForSlotEvent", 1);
    let asked = faults.of("C_WaitForSlotEvent").unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        for _ in 0..2 {
            let moved = Instant::now();
            card(&daemon).pull().unwrap();
            let absent = client.token_when("card", |token| token.state() == TokenState::Absent);
            absent.await.unwrap();
            assert!(moved.elapsed() < NOTICED, "gone: noticed after {:?}", moved.elapsed());
            let moved = Instant::now();
            card(&daemon).put_back().unwrap();
            client.ready("card").await.unwrap();
            assert!(moved.elapsed() < NOTICED, "back: noticed after {:?}", moved.elapsed());
        }
    });
    assert!(faults.of("C_WaitForSlotEvent").unwrap() <= asked + 1);
}

#[test]
fn a_module_that_does_not_survive_the_question_is_not_asked_for_ever() {
    let daemon = removable();
    let faults = daemon.faults().unwrap();
    faults.put("C_WaitForSlotEvent", Fault::segfault()).unwrap();
    let begun = Instant::now();
    while notes(&daemon, "module-replaced", "softhsm") < 2 {
        assert!(begun.elapsed() < PATIENCE, "it is not asked");
        std::thread::yield_now();
    }
    block_on(async {
        let client = Client::of(&daemon).await;
        client.ready("card").await.unwrap();
        // The next process would have asked by the time it has looked at the slot three times.
        wait_for_calls(faults, "C_GetSlotInfo", faults.of("C_GetSlotInfo").unwrap() + 3);
        client.sign(Person::Alice, 7).await.unwrap();
    });
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 2);
}
