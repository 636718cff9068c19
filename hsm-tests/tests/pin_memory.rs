//! What a wrong PIN costs when the daemon is started again and again, or killed while a token looks at one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use chancery::{
    Client, Pin as SentPin,
    v1::{Token, TokenState},
};
use hsm_tests::{
    daemon::{Daemon, PIN, Pin, Setup, WRONG_PIN},
    people::Person,
    softhsm::fault::Fault,
};
use tokio::{task::block_in_place, time::timeout};

/// Longer than anything takes that is waited for here.
const DEADLINE: Duration = Duration::from_secs(20);

async fn start(pin: Pin) -> Daemon {
    let setup = Setup::new().token_with_pin("card", &[Person::Alice], pin).faulty();
    // The harness waits for the tokens in a runtime of its own.
    tokio::task::spawn_blocking(|| setup.start()).await.unwrap().unwrap()
}

/// Waits until the daemon has made up its mind about the token.
async fn settled(daemon: &Daemon) -> Token {
    let client = Client::connect(&daemon.address()).await.unwrap();
    let mut watch = client.watch_tokens(None).await.unwrap();
    let wait = async {
        loop {
            let told = watch.next().await.unwrap().expect("the daemon still runs");
            if let Some(token) = told.tokens.into_iter().next()
                && matches!(token.state(), TokenState::Locked | TokenState::Ready)
            {
                return token;
            }
        }
    };
    timeout(DEADLINE, wait)
        .await
        .expect("the token is neither locked nor ready")
}

fn logins(daemon: &Daemon) -> u64 {
    daemon.faults().unwrap().of("C_Login").unwrap()
}

fn write_pin(daemon: &Daemon, pin: &str) {
    let file = daemon.directory().join("card.pin");
    fs::write(&file, pin).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The daemon is to log in by itself from its next start on.
fn configure_pin(daemon: &Daemon, pin: &str) {
    write_pin(daemon, pin);
    let text = fs::read_to_string(daemon.configuration_file()).unwrap();
    let file = daemon.directory().join("card.pin");
    let pin = format!("name = \"card\"\npin = {{ file = \"{}\" }}", file.display());
    fs::write(daemon.configuration_file(), text.replace("name = \"card\"", &pin)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_and_ten_restarts_cost_one_try_and_the_right_one_is_tried_at_once() {
    let mut daemon = start(Pin::Wrong).await;
    assert_eq!(settled(&daemon).await.state(), TokenState::Locked);
    for _ in 0..10 {
        block_in_place(|| daemon.restart()).unwrap();
        let token = settled(&daemon).await;
        assert_eq!(token.state(), TokenState::Locked);
        assert!(token.detail.contains("was refused before"), "{}", token.detail);
    }
    assert_eq!(logins(&daemon), 1);

    let client = Client::connect(&daemon.address()).await.unwrap();
    let again = SentPin::new(WRONG_PIN.as_bytes().to_vec()).unwrap();
    client.unlock("tokens/card", again).await.unwrap_err();
    assert_eq!(logins(&daemon), 1);

    write_pin(&daemon, PIN);
    block_in_place(|| daemon.restart()).unwrap();
    assert_eq!(settled(&daemon).await.state(), TokenState::Ready);
    assert_eq!(logins(&daemon), 2);
    let left = fs::read_dir(daemon.directory().join("state/pins")).unwrap();
    assert_eq!(left.count(), 1, "the key alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_while_it_logs_in_has_had_its_one_try() {
    let mut daemon = start(Pin::None).await;
    assert_eq!(settled(&daemon).await.state(), TokenState::Locked);
    configure_pin(&daemon, PIN);
    daemon.faults().unwrap().put("C_Login", Fault::hang()).unwrap();
    block_in_place(|| daemon.restart()).unwrap();
    let at_it = async {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        while logins(&daemon) == 0 {
            look.tick().await;
        }
    };
    timeout(DEADLINE, at_it).await.expect("nobody logs in");
    for _ in 0..3 {
        block_in_place(|| daemon.kill_and_start()).unwrap();
        daemon.faults().unwrap().take_back_all().unwrap();
        let token = settled(&daemon).await;
        assert_eq!(token.state(), TokenState::Locked);
        assert!(token.detail.contains("unlock it by hand"), "{}", token.detail);
    }
    assert_eq!(logins(&daemon), 1);

    let client = Client::connect(&daemon.address()).await.unwrap();
    let by_hand = SentPin::new(PIN.as_bytes().to_vec()).unwrap();
    client.unlock("tokens/card", by_hand).await.unwrap();
    block_in_place(|| daemon.restart()).unwrap();
    assert_eq!(settled(&daemon).await.state(), TokenState::Ready);
    assert_eq!(logins(&daemon), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_that_cannot_be_read_is_said_and_nothing_is_tried() {
    let mut daemon = start(Pin::Wrong).await;
    settled(&daemon).await;
    let pages = fs::read_dir(daemon.directory().join("state/pins")).unwrap();
    let page = pages
        .map(|file| file.unwrap().path())
        .find(|path| !path.ends_with("key"));
    let page = page.expect("the failed PIN is remembered");
    fs::write(&page, "chancery-pin-memory 1\ntries 0\n").unwrap();
    write_pin(&daemon, PIN);
    block_in_place(|| daemon.restart()).unwrap();
    let token = settled(&daemon).await;
    assert!(token.detail.contains(page.to_str().unwrap()), "{}", token.detail);
    assert_eq!(logins(&daemon), 1);
    let client = Client::connect(&daemon.address()).await.unwrap();
    let by_hand = SentPin::new(PIN.as_bytes().to_vec()).unwrap();
    client.unlock("tokens/card", by_hand).await.unwrap();
    assert_eq!(logins(&daemon), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_for_a_token_that_is_away_is_not_held_against_it() {
    let daemon = start(Pin::None).await;
    assert_eq!(settled(&daemon).await.state(), TokenState::Locked);
    let client = Client::connect(&daemon.address()).await.unwrap();
    let right = || SentPin::new(PIN.as_bytes().to_vec()).unwrap();
    let serial = daemon.token("card").unwrap().serial.clone();
    let card = daemon.faults().unwrap().token(&serial).unwrap();
    card.pull().unwrap();
    for _ in 0..4 {
        client.unlock("tokens/card", right()).await.unwrap_err();
    }
    card.put_back().unwrap();
    let there_again = async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            match client.unlock("tokens/card", right()).await {
                Ok(token) => return token,
                Err(error) => assert!(error.to_string().contains("absent"), "{error}"),
            }
        }
    };
    let token = timeout(DEADLINE, there_again).await.expect("the card is not noticed");
    assert_eq!(token.state(), TokenState::Ready);
}
