//! Watching the tokens: what is told, to whom, how much of it, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{fs, time::Duration};

use chancery::{
    Client, ErrorKind, Pin as SentPin, TokenWatch, name,
    v1::{Token, TokenState, WatchTokensResponse},
};
use hsm_tests::{
    daemon::{Daemon, Pin, Setup},
    people::Person,
};
use tokio::{task::spawn_blocking, time::timeout};

/// Longer than anything takes that is waited for here.
const DEADLINE: Duration = Duration::from_secs(20);

fn two_tokens() -> Setup {
    Setup::new()
        .token("alice-card", &[Person::Alice])
        .token_with_pin("bob-card", &[Person::Bob], Pin::None)
}

/// The harness waits for the tokens in a runtime of its own.
async fn start(setup: Setup) -> Daemon {
    spawn_blocking(|| setup.start()).await.unwrap().unwrap()
}

async fn client(daemon: &Daemon) -> Client {
    Client::connect(&daemon.address()).await.unwrap()
}

async fn next(watch: &mut TokenWatch) -> Option<WatchTokensResponse> {
    timeout(DEADLINE, watch.next()).await.expect("nothing is told").unwrap()
}

/// Waits until the token is told to be in this state; other changes may come before.
async fn until(watch: &mut TokenWatch, token: &str, state: TokenState) -> Token {
    loop {
        let response = next(watch).await.expect("the daemon still runs");
        let told = response.tokens.into_iter().find(|told| told.name == name::token(token));
        if let Some(told) = told.filter(|told| told.state() == state) {
            return told;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tokens_come_first_and_then_only_those_that_change() {
    let daemon = start(two_tokens()).await;
    let client = client(&daemon).await;
    let mut watch = client.watch_tokens(None).await.unwrap();
    let first = next(&mut watch).await.unwrap();
    assert_eq!(first.daemon_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(first.tokens, client.tokens().await.unwrap());
    assert_eq!(first.tokens.len(), 2);

    let pin = SentPin::new(daemon.token("bob-card").unwrap().pin.clone().into_bytes()).unwrap();
    client.unlock("tokens/bob-card", pin).await.unwrap();
    let unlocked = loop {
        let response = next(&mut watch).await.unwrap();
        assert_eq!(response.daemon_version, "");
        assert_eq!(response.tokens.len(), 1, "{response:?}");
        let token = &response.tokens[0];
        assert_eq!(token.name, "tokens/bob-card");
        if token.state() == TokenState::Ready {
            break token.clone();
        }
    };
    assert_eq!((unlocked.key_count, unlocked.generation), (2, 1));
    client.lock("tokens/alice-card").await.unwrap();
    until(&mut watch, "alice-card", TokenState::Locked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_gets_the_latest_state_and_no_queue_of_those_before() {
    let daemon = start(Setup::new().token("cards", &[Person::Alice])).await;
    let client = client(&daemon).await;
    let mut watch = client.watch_tokens(None).await.unwrap();
    next(&mut watch).await.unwrap();
    let pin = daemon.token("cards").unwrap().pin.clone();
    for _ in 0..20 {
        client.lock("tokens/cards").await.unwrap();
        let pin = SentPin::new(pin.clone().into_bytes()).unwrap();
        client.unlock("tokens/cards", pin).await.unwrap();
    }
    client.lock("tokens/cards").await.unwrap();
    // Forty changes have come in; they are told at once, and after them what came too late for that.
    let last = client.tokens().await.unwrap();
    let mut responses = 1;
    while next(&mut watch).await.unwrap().tokens != last {
        responses += 1;
        assert!(responses < 5, "{responses} responses");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_always_change_are_told_to_whom_wants_them() {
    let daemon = start(Setup::new().token("cards", &[Person::Alice])).await;
    let client = client(&daemon).await;
    let mut watch = client.watch_tokens(Some(Duration::ZERO)).await.unwrap();
    let first = next(&mut watch).await.unwrap();
    assert_eq!(first.tokens[0].sessions, 0);
    let letter: &[u8] = b"From: alice@example.org\r\n\r\nHello\r\n";
    client.sign(Default::default(), letter, &mut Vec::new()).await.unwrap();
    // Other numbers may have changed before.
    while next(&mut watch).await.unwrap().tokens[0].sessions != 1 {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_without_an_error_and_at_once_when_the_daemon_is_told_to_stop() {
    let daemon = start(two_tokens().configure("limits", "drain = \"1h\"")).await;
    let client = client(&daemon).await;
    let mut watch = client.watch_tokens(None).await.unwrap();
    next(&mut watch).await.unwrap();
    // The hour would be over long after the deadline of a stop.
    let stopped = spawn_blocking(move || daemon.stop());
    while next(&mut watch).await.is_some() {}
    stopped.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_needs_the_permission_to_list_and_ends_when_that_is_taken_away() {
    let uid = rustix::process::getuid().as_raw();
    let grant = |operations: &str| {
        format!("name = \"me\"\ncaller = {{ uid = {uid} }}\nidentities = [\"*\"]\noperations = [{operations}]")
    };
    let mut daemon = start(two_tokens().grant(&grant("\"list\", \"admin\""))).await;
    let client = client(&daemon).await;
    let mut watch = client.watch_tokens(None).await.unwrap();
    next(&mut watch).await.unwrap();

    let file = daemon.configuration_file();
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace("\"list\", \"admin\"", "\"sign\"");
    fs::write(&file, text).unwrap();
    let daemon = spawn_blocking(move || daemon.reload().map(|()| daemon))
        .await
        .unwrap()
        .unwrap();
    let refused = client.watch_tokens(None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    // Nothing is told any more: the next change ends the watch.
    let token = daemon.token("alice-card").unwrap();
    daemon.softhsm().delete_token(token).unwrap();
    let ended = timeout(DEADLINE, watch.next())
        .await
        .expect("nothing is told")
        .unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Refused, "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_has_so_many_watches_and_no_more() {
    let daemon = start(two_tokens()).await;
    let client = client(&daemon).await;
    let mut watches = Vec::new();
    let refused = loop {
        match client.watch_tokens(None).await {
            Ok(watch) => watches.push(watch),
            Err(error) => break error,
        }
        assert!(watches.len() <= 32, "{} watches", watches.len());
    };
    assert_eq!(watches.len(), 32);
    assert_eq!(
        refused.failure().unwrap().reason(),
        Some("TOO_MANY_WATCHES"),
        "{refused}"
    );
    watches.pop();
    // The daemon notices the end of a call when it hears of it.
    let freed = timeout(DEADLINE, async {
        while client.watch_tokens(None).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    freed.await.expect("the place is given back");
}
