//! The same key on two tokens: whatever becomes of one of them, the caller does not notice; and what one of them has decided
//! is not asked of the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chancery_proto::v1::TokenState;
use cryptoki_sys::CKR_DEVICE_ERROR;
use hsm_tests::{
    daemon::{Daemon, Setup},
    people::Person,
    softhsm::fault::{Fault, Faults},
};
use serde_json::Value;

use crate::{
    assert_every_intent_has_its_outcome, block_on,
    client::{Client, PLAINTEXT, ciphertext, reason},
};

/// Alice's keys on two tokens, each of a module of its own, and so of a process of its own.
pub(crate) fn two_replicas() -> Setup {
    Setup::new()
        .faulty()
        .token("first", &[Person::Alice])
        .module("other")
        .token("second", &[Person::Alice])
}

/// What goes wrong with the two tokens.
fn faults(daemon: &Daemon) -> [&Faults; 2] {
    [daemon.faults().unwrap(), daemon.faults_of("other").unwrap()]
}

/// Callers who sign one after the other until they are told to stop, and of whom none may fail.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    pub(crate) async fn begin(client: &Client) -> Self {
        let expected = client.sign(Person::Alice, 7).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let caller = |_| {
            let (client, stop, expected) = (client.clone(), Arc::clone(&stop), expected.clone());
            tokio::spawn(async move {
                let mut signed = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.sign(Person::Alice, 7).await.unwrap(), expected);
                    signed += 1;
                }
                signed
            })
        };
        let callers = (0..6).map(caller).collect();
        Self { stop, callers }
    }

    /// How many signatures there were.
    pub(crate) async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut signed = 0;
        for caller in self.callers {
            signed += caller.await.unwrap();
        }
        signed
    }
}

/// The tries after the first: which token, and why the one before it failed.
fn retries(daemon: &Daemon) -> Vec<(String, String)> {
    let records = daemon.audit().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let retries = records.iter().filter(|record| !record["retry_of"].is_null());
    retries
        .map(|retry| {
            let of_that = |record: &&Value| record["event"] == "outcome" && record["intent"] == retry["retry_of"];
            let outcome = records.iter().find(of_that).expect("the try before has an outcome");
            assert_eq!(
                (&outcome["result"], &outcome["request"]),
                (&"failed".into(), &retry["request"])
            );
            (text(&retry["token"]), text(&outcome["reason"]))
        })
        .collect()
}

#[test]
fn that_one_token_is_pulled_is_noticed_by_nobody_who_wants_a_signature() {
    let daemon = two_replicas().start().unwrap();
    let names = ["first", "second"];
    block_on(async {
        let client = Client::of(&daemon).await;
        let load = Load::begin(&client).await;
        for (name, faults) in names.into_iter().zip(faults(&daemon)) {
            let token = faults.token(&daemon.token(name).unwrap().serial).unwrap();
            token.pull().unwrap();
            let absent = |token: &chancery_proto::v1::Token| token.state() == TokenState::Absent;
            client.token_when(name, absent).await.unwrap();
            token.put_back().unwrap();
            client.ready(name).await.unwrap();
        }
        assert!(load.end().await > 0);
    });
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn that_one_token_crashes_is_noticed_by_nobody_and_its_next_process_is_not_given_the_job() {
    let daemon = two_replicas().start().unwrap();
    let [first, _] = faults(&daemon);
    block_on(async {
        let client = Client::of(&daemon).await;
        let load = Load::begin(&client).await;
        first.put("C_Sign", Fault::segfault().once()).unwrap();
        client
            .token_when("first", |token| token.worker_restarts == 1)
            .await
            .unwrap();
        client.ready("first").await.unwrap();
        load.end().await;
    });
    assert_eq!(first.hits("C_Sign").unwrap(), 1);
    let retries = retries(&daemon);
    assert!(
        retries.contains(&("second".to_owned(), "MODULE_ENDED".to_owned())),
        "{retries:?}"
    );
    assert!(retries.iter().all(|(token, _)| token == "second"), "{retries:?}");
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn that_one_token_hangs_is_noticed_by_nobody_and_both_tries_take_no_longer_than_one_may() {
    let limits = "call_deadline = \"4s\"\ncall_grace = \"1s\"";
    let daemon = two_replicas().configure("limits", limits).start().unwrap();
    let [first, _] = faults(&daemon);
    block_on(async {
        let client = Client::of(&daemon).await;
        let expected = client.sign(Person::Alice, 7).await.unwrap();
        first.put("C_Sign", Fault::hang().once()).unwrap();
        let begun = std::time::Instant::now();
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.sign(Person::Alice, 7).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), expected);
        }
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        // Nor is it when the process is replaced.
        let load = Load::begin(&client).await;
        client
            .token_when("first", |token| token.worker_restarts == 1)
            .await
            .unwrap();
        client.ready("first").await.unwrap();
        load.end().await;
    });
    assert_eq!(first.hits("C_Sign").unwrap(), 1);
    assert!(retries(&daemon).contains(&("second".to_owned(), "TOKEN_TIMEOUT".to_owned())));
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_token_that_answers_errors_is_asked_after_the_other_for_a_while() {
    let daemon = two_replicas().start().unwrap();
    let [first, second] = faults(&daemon);
    first.put("C_Sign", Fault::answer(CKR_DEVICE_ERROR)).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        for _ in 0..20 {
            assert_eq!(client.signed_by(Person::Alice).await.unwrap(), "second");
        }
        // One that cannot either is the last to be asked.
        second.put("C_Sign", Fault::answer(CKR_DEVICE_ERROR)).unwrap();
        let status = client.sign(Person::Alice, 7).await.unwrap_err();
        assert_eq!(reason(&status), "TOKEN_ERROR");
    });
    assert!(first.hits("C_Sign").unwrap() <= 3, "{}", first.hits("C_Sign").unwrap());
    assert_eq!(second.hits("C_Sign").unwrap(), 1);
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_locked_token_leaves_its_work_to_the_other_until_both_are_locked() {
    let daemon = two_replicas().start().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let load = Load::begin(&client).await;
        client.lock("first", false).await.unwrap();
        load.end().await;
        for _ in 0..4 {
            assert_eq!(client.signed_by(Person::Alice).await.unwrap(), "second");
        }
        client.lock("second", false).await.unwrap();
        let status = client.sign(Person::Alice, 7).await.unwrap_err();
        assert_eq!(reason(&status), "TOKEN_LOCKED");
    });
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn the_token_with_less_to_do_is_given_more() {
    let daemon = two_replicas().start().unwrap();
    let [first, second] = faults(&daemon);
    block_on(async {
        let client = Client::of(&daemon).await;
        first.put("C_Sign", Fault::delay(Duration::from_millis(200))).unwrap();
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        client.sign(Person::Alice, 7).await.unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
    let [slow, quick] = [first, second].map(|faults| faults.of("C_Sign").unwrap());
    assert_eq!(slow + quick, 200);
    assert!(
        slow > 0 && quick > 3 * slow,
        "the slow one did {slow}, the quick one {quick}"
    );
}

#[test]
fn a_ciphertext_that_one_token_has_refused_is_not_shown_to_the_other() {
    let daemon = two_replicas().start().unwrap();
    let faults = faults(&daemon);
    let good = ciphertext(Person::Alice);
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    let decryptions = || faults.map(|faults| faults.of("C_Decrypt").unwrap()).iter().sum::<u64>();
    block_on(async {
        let client = Client::of(&daemon).await;
        // Each finds out how it can do OAEP.
        for _ in 0..4 {
            assert_eq!(client.decrypt(Person::Alice, &good).await.unwrap(), PLAINTEXT);
        }
        let before = decryptions();
        client.decrypt(Person::Alice, &good).await.unwrap();
        let of_a_good_one = decryptions() - before;
        for _ in 0..4 {
            let before = decryptions();
            let status = client.decrypt(Person::Alice, &bad).await.unwrap_err();
            assert_eq!(reason(&status), "DECRYPTION_FAILED");
            assert_eq!(decryptions() - before, of_a_good_one);
        }
    });
    assert_eq!(retries(&daemon), []);
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_ciphertext_that_one_token_has_not_looked_at_is_decrypted_by_the_other() {
    let daemon = two_replicas().start().unwrap();
    let [first, _] = faults(&daemon);
    let ciphertext = ciphertext(Person::Alice);
    first.put("C_DecryptInit", Fault::answer(CKR_DEVICE_ERROR)).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        for _ in 0..4 {
            assert_eq!(client.decrypt(Person::Alice, &ciphertext).await.unwrap(), PLAINTEXT);
        }
    });
    assert_eq!(first.of("C_Decrypt").unwrap(), 0);
    assert_eq!(retries(&daemon), [("second".to_owned(), "TOKEN_ERROR".to_owned())]);
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn messages_are_signed_and_opened_on_the_token_that_can() {
    let daemon = two_replicas().start().unwrap();
    let [first, _] = faults(&daemon);
    for function in ["C_SignInit", "C_DecryptInit"] {
        first.put(function, Fault::answer(CKR_DEVICE_ERROR)).unwrap();
    }
    let letter = b"From: alice@example.org\r\nTo: alice@example.org\r\n\r\nHello\r\n";
    let chancery = |arguments: &[&str], input: &[u8]| daemon.chancery(arguments, input).unwrap().success().unwrap();
    for _ in 0..2 {
        let signed = chancery(&["sign"], letter);
        let sealed = chancery(&["encrypt", "--to", "alice@example.org"], &signed);
        let opened = chancery(&["decrypt"], &sealed);
        chancery(&["verify"], &opened);
    }
    let retries = retries(&daemon);
    assert!(!retries.is_empty());
    let expected = ("second".to_owned(), "TOKEN_ERROR".to_owned());
    assert!(retries.iter().all(|retry| *retry == expected), "{retries:?}");
    assert_every_intent_has_its_outcome(&daemon);
}
