//! Requests for a token that is not there: they wait for it for a while, and for no longer.

use std::time::{Duration, Instant};

use chancery_proto::v1::TokenState;
use hsm_tests::{
    daemon::{Daemon, Setup},
    people::Person,
    softhsm::fault::{Fault, TokenFaults},
};

use crate::{
    assert_every_intent_has_its_outcome, block_on,
    client::{Client, reason},
    replicas::two_replicas,
};

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(4);

fn daemon(limits: &str) -> Daemon {
    Setup::new()
        .faulty()
        .configure("limits", limits)
        .token("card", &[Person::Alice])
        .start()
        .unwrap()
}

fn card(daemon: &Daemon) -> TokenFaults<'_> {
    let serial = &daemon.token("card").unwrap().serial;
    daemon.faults().unwrap().token(serial).unwrap()
}

/// Pulls it, and waits until that has been noticed.
async fn pull(client: &Client, token: &TokenFaults<'_>, name: &str) {
    token.pull().unwrap();
    client
        .token_when(name, |token| token.state() == TokenState::Absent)
        .await
        .unwrap();
}

fn signing(client: &Client) -> tokio::task::JoinHandle<Result<Vec<u8>, tonic::Status>> {
    let client = client.clone();
    tokio::spawn(async move { client.sign(Person::Alice, 7).await })
}

#[test]
fn who_asks_for_a_token_that_comes_back_in_time_has_his_signature() {
    let daemon = daemon("absent_wait = \"1h\"");
    block_on(async {
        let client = Client::of(&daemon).await;
        let expected = client.sign(Person::Alice, 7).await.unwrap();
        pull(&client, &card(&daemon), "card").await;
        let calls: Vec<_> = (0..5).map(|_| signing(&client)).collect();
        client.busy_with("card", 5).await;
        card(&daemon).put_back().unwrap();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), expected);
        }
    });
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn what_waits_for_a_token_and_what_it_is_at_when_it_is_pulled_is_done_when_it_is_back() {
    let daemon = daemon("absent_wait = \"1h\"");
    block_on(async {
        let client = Client::of(&daemon).await;
        let expected = client.sign(Person::Alice, 7).await.unwrap();
        let slow = Fault::delay(Duration::from_millis(100));
        daemon.faults().unwrap().put("C_Sign", slow).unwrap();
        let calls: Vec<_> = (0..30).map(|_| signing(&client)).collect();
        client.busy_with("card", 25).await;
        pull(&client, &card(&daemon), "card").await;
        card(&daemon).put_back().unwrap();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), expected);
        }
    });
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn who_asks_for_a_token_that_does_not_come_back_is_told_when_the_time_is_up() {
    for (limits, wait) in [
        ("absent_wait = \"1s\"", Duration::from_secs(1)),
        ("absent_wait = \"0s\"", Duration::ZERO),
    ] {
        let daemon = daemon(limits);
        block_on(async {
            let client = Client::of(&daemon).await;
            pull(&client, &card(&daemon), "card").await;
            let begun = Instant::now();
            let status = client.sign(Person::Alice, 7).await.unwrap_err();
            assert_eq!(reason(&status), "TOKEN_ABSENT");
            assert!((wait..wait + SLACK).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        });
        assert_every_intent_has_its_outcome(&daemon);
    }
}

#[test]
fn who_has_little_time_is_told_before_it_is_over() {
    let daemon = daemon("absent_wait = \"1h\"");
    block_on(async {
        let client = Client::of(&daemon).await;
        pull(&client, &card(&daemon), "card").await;
        let time = Some(Duration::from_secs(4));
        let status = client.sign_within(Person::Alice, 7, time).await.unwrap_err();
        assert_eq!(reason(&status), "TOKEN_ABSENT", "{status:?}");
    });
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn no_more_wait_for_a_token_than_fit_into_its_queue() {
    let daemon = daemon("absent_wait = \"1h\"\nqueue = 3");
    block_on(async {
        let client = Client::of(&daemon).await;
        pull(&client, &card(&daemon), "card").await;
        let calls: Vec<_> = (0..3).map(|_| signing(&client)).collect();
        client.busy_with("card", 3).await;
        let status = client.sign(Person::Alice, 7).await.unwrap_err();
        assert_eq!(reason(&status), "QUEUE_FULL");
        card(&daemon).put_back().unwrap();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert_eq!(client.token("card").await.jobs_waiting, 0);
    });
}

#[test]
fn of_two_tokens_that_are_absent_the_first_to_come_back_is_asked() {
    let daemon = two_replicas()
        .configure("limits", "absent_wait = \"1h\"")
        .start()
        .unwrap();
    let first = daemon.token("first").unwrap().serial.clone();
    let second = daemon.token("second").unwrap().serial.clone();
    let first = daemon.faults().unwrap().token(&first).unwrap();
    let second = daemon.faults_of("other").unwrap().token(&second).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        pull(&client, &first, "first").await;
        pull(&client, &second, "second").await;
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.signed_by(Person::Alice).await }
        });
        client.busy_with("first", 1).await;
        second.put_back().unwrap();
        assert_eq!(call.await.unwrap().unwrap(), "second");
    });
    assert_every_intent_has_its_outcome(&daemon);
}
