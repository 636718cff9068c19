//! Tokens that take no new work: drained to be locked, and in maintenance.

use std::fs;

use chancery_proto::v1::{DrainReason, Token, TokenState};
use hsm_tests::{
    daemon::{Daemon, PIN, Setup},
    people::Person,
    softhsm::fault::Fault,
};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::{
    assert_every_intent_has_its_outcome, block_on,
    client::{Client, reason},
    notes,
    replicas::{Load, two_replicas},
};

fn one_token() -> Daemon {
    Setup::new().faulty().token("card", &[Person::Alice]).start().unwrap()
}

/// So many signatures are under way, more than there are sessions; none is done before [`go_on`].
async fn under_way(daemon: &Daemon, client: &Client, count: u32) -> Vec<JoinHandle<Result<Vec<u8>, Status>>> {
    daemon.faults().unwrap().put("C_Sign", Fault::hang()).unwrap();
    let calls = (0..count)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.sign(Person::Alice, 7).await })
        })
        .collect();
    client.busy_with("card", count).await;
    calls
}

fn go_on(daemon: &Daemon) {
    daemon.faults().unwrap().take_back_all().unwrap();
}

fn draining(client: &Client) -> JoinHandle<Result<Token, Status>> {
    let client = client.clone();
    tokio::spawn(async move { client.lock("card", true).await })
}

async fn until_drained(client: &Client) {
    client
        .token_when("card", |token| token.drain_reason() == DrainReason::Lock)
        .await
        .unwrap();
}

#[test]
fn a_drained_token_finishes_what_it_has_takes_nothing_new_and_is_locked_until_it_is_unlocked() {
    let daemon = one_token();
    block_on(async {
        let client = Client::of(&daemon).await;
        let calls = under_way(&daemon, &client, 20).await;
        let drain = draining(&client);
        until_drained(&client).await;
        assert!(!drain.is_finished());
        let status = client.sign(Person::Alice, 7).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unavailable, "TOKEN_DRAINING")
        );
        go_on(&daemon);
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let token = drain.await.unwrap().unwrap();
        assert_eq!(
            (token.state(), token.drain_reason()),
            (TokenState::Locked, DrainReason::Lock)
        );
        assert!(token.detail.contains("drained"), "{}", token.detail);
        assert_eq!((token.jobs_waiting, token.jobs_running), (0, 0));
        let status = client.sign(Person::Alice, 7).await.unwrap_err();
        assert_eq!(reason(&status), "TOKEN_DRAINING");

        client.unlock("card", PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
        assert_eq!(client.token("card").await.drain_reason(), DrainReason::Unspecified);
    });
    let faults = daemon.faults().unwrap();
    assert_eq!(faults.of("C_Logout").unwrap(), 1);
    assert_eq!(notes(&daemon, "token-drained", "card"), 1);
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_token_is_drained_even_if_nobody_waits_for_that() {
    let daemon = one_token();
    block_on(async {
        let client = Client::of(&daemon).await;
        let calls = under_way(&daemon, &client, 8).await;
        let drain = draining(&client);
        until_drained(&client).await;
        drain.abort();
        go_on(&daemon);
        client.locked("card").await.unwrap();
        for call in calls {
            call.await.unwrap().unwrap();
        }
    });
    assert_every_intent_has_its_outcome(&daemon);
    let records = daemon.audit().unwrap();
    assert!(
        !records.iter().any(|record| record["result"] == "abandoned"),
        "{records:?}"
    );
}

#[test]
fn a_token_that_is_unlocked_before_it_is_drained_stays_unlocked() {
    let daemon = one_token();
    block_on(async {
        let client = Client::of(&daemon).await;
        let calls = under_way(&daemon, &client, 20).await;
        let drain = draining(&client);
        until_drained(&client).await;
        client.unlock("card", PIN).await.unwrap();
        go_on(&daemon);
        let token = drain.await.unwrap().unwrap();
        assert_eq!(
            (token.state(), token.drain_reason()),
            (TokenState::Ready, DrainReason::Unspecified)
        );
        for call in calls {
            call.await.unwrap().unwrap();
        }
        client.sign(Person::Alice, 7).await.unwrap();
    });
    assert_eq!(daemon.faults().unwrap().of("C_Logout").unwrap(), 0);
    assert_eq!(notes(&daemon, "token-drained", "card"), 0);
}

#[test]
fn that_a_token_is_drained_is_not_noticed_where_another_has_the_key() {
    let daemon = two_replicas().start().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let load = Load::begin(&client).await;
        let drained = tokio::task::block_in_place(|| daemon.chancery(["lock", "first", "--drain"], b""));
        let shown = String::from_utf8(drained.unwrap().success().unwrap()).unwrap();
        assert!(shown.contains("locked") && shown.contains("drained"), "{shown}");
        load.end().await;
        for _ in 0..4 {
            assert_eq!(client.signed_by(Person::Alice).await.unwrap(), "second");
        }
    });
    assert_every_intent_has_its_outcome(&daemon);
}

/// Writes whether the first token is in maintenance into the configuration, and has it read.
fn reload_with_maintenance(daemon: &mut Daemon, on: bool) {
    let file = daemon.configuration_file();
    let line = "name = \"first\"\n";
    let text = fs::read_to_string(&file).unwrap().replace("maintenance = true\n", "");
    let text = match on {
        true => text.replace(line, &format!("{line}maintenance = true\n")),
        false => text,
    };
    fs::write(&file, text).unwrap();
    daemon.reload().unwrap();
}

#[test]
fn a_token_in_maintenance_takes_no_work_from_one_reload_to_the_next() {
    let mut daemon = two_replicas().start().unwrap();
    reload_with_maintenance(&mut daemon, true);
    let signed = daemon.faults().unwrap().of("C_Sign").unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        for _ in 0..6 {
            assert_eq!(client.signed_by(Person::Alice).await.unwrap(), "second");
        }
        let token = client.token("first").await;
        assert_eq!(
            (token.state(), token.drain_reason()),
            (TokenState::Ready, DrainReason::Maintenance)
        );
        assert!(token.detail.contains("maintenance"), "{}", token.detail);
        // To unlock it is no way out of it.
        client.unlock("first", PIN).await.unwrap();
        assert_eq!(client.token("first").await.drain_reason(), DrainReason::Maintenance);
        client.lock("second", false).await.unwrap();
        let status = client.sign(Person::Alice, 7).await.unwrap_err();
        assert!(
            ["TOKEN_DRAINING", "TOKEN_LOCKED"].contains(&reason(&status).as_str()),
            "{status:?}"
        );
    });
    assert_eq!(daemon.faults().unwrap().of("C_Sign").unwrap(), signed);
    reload_with_maintenance(&mut daemon, false);
    block_on(async {
        let client = Client::of(&daemon).await;
        assert_eq!(client.signed_by(Person::Alice).await.unwrap(), "first");
        assert_eq!(client.token("first").await.drain_reason(), DrainReason::Unspecified);
    });
    let notes = |what: &str| {
        let records = daemon.audit().unwrap();
        records
            .iter()
            .filter(|record| record["what"] == what && record["detail"] == "first")
            .count()
    };
    assert_eq!((notes("maintenance-begun"), notes("maintenance-ended")), (1, 1));
    assert_every_intent_has_its_outcome(&daemon);
}
