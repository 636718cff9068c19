//! Agents: who is asked for the PIN of a protected key when none came with the call, and what comes of the answer.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use chancery::{Agent, Client, Pin as SentPin, v1::Question};
use hsm_tests::{
    daemon::{Daemon, PIN},
    people::Person,
};
use rustix::process::getuid;
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    assert_left_nothing,
    policy::{NOBODY, program_for_everybody, refusals},
    protection::{protecting, sign, why},
    separation::used,
    wire::block_on,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody wants to sign as Alice, without a PIN.
fn signing(client: &Client) -> JoinHandle<Result<(), chancery::Error>> {
    let client = client.clone();
    tokio::spawn(async move { sign(&client, Person::Alice, Bytes::new()).await })
}

async fn question(agent: &mut Agent) -> Question {
    timeout(PATIENCE, agent.next())
        .await
        .expect("nobody asks")
        .unwrap()
        .unwrap()
}

fn pin(text: &str) -> Option<SentPin> {
    Some(SentPin::new(text.as_bytes().to_vec()).unwrap())
}

async fn connect(daemon: &Daemon) -> Client {
    Client::connect(&daemon.address()).await.unwrap()
}

#[test]
fn an_agent_is_shown_who_wants_which_key_for_what_and_its_pin_counts() {
    let daemon = protecting("identities = [\"alice@example.org\"]");
    block_on(async {
        let client = connect(&daemon).await;
        let mut agent = connect(&daemon).await.attend().await.unwrap();
        for (answer, came_to) in [
            (pin(PIN), None),
            (None, Some("PIN_REFUSED")),
            (pin("wrong"), Some("PIN_MISMATCH")),
        ] {
            let signature = signing(&client);
            let asked = question(&mut agent).await;
            assert_eq!(asked.token, "tokens/cards");
            assert_eq!(asked.key, Person::Alice.signing().key().unwrap());
            assert_eq!(
                (asked.identity.as_str(), asked.operation.as_str()),
                ("identities/alice@example.org", "sign")
            );
            assert!(
                asked.caller.contains(&getuid().as_raw().to_string()),
                "{}",
                asked.caller
            );
            assert!(asked.expire_time.is_some());
            agent.answer(&asked, answer).await;
            let result = signature.await.unwrap();
            assert_eq!(result.err().map(|error| why::<()>(Err(error))).as_deref(), came_to);
        }
        // Of those who may, the one that came last is asked; when it goes, another.
        let mut latest = connect(&daemon).await.attend().await.unwrap();
        let signature = signing(&client);
        question(&mut latest).await;
        drop(latest);
        let asked = question(&mut agent).await;
        // Somebody else's question, or none at all, is nobody's to answer.
        let other = Question {
            question_id: asked.question_id + 1,
            ..asked.clone()
        };
        agent.answer(&other, pin(PIN)).await;
        agent.answer(&asked, pin(PIN)).await;
        signature.await.unwrap().unwrap();
        drop(agent);
        // A PIN that comes with the call needs no agent.
        sign(&client, Person::Alice, Bytes::from_static(PIN.as_bytes()))
            .await
            .unwrap();
    });
    assert_eq!((used(&daemon, "C_Login"), used(&daemon, "C_Sign")), (1, 3));
    let refusals = refusals(&daemon);
    let reasons: Vec<&str> = refusals
        .iter()
        .map(|refusal| refusal["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["PIN_REFUSED", "PIN_MISMATCH"]);
    assert_left_nothing(&daemon);
}

#[test]
fn the_daemon_stops_under_an_agent_and_a_question() {
    let daemon = protecting("identities = [\"*\"]");
    block_on(async {
        let client = connect(&daemon).await;
        let mut agent = connect(&daemon).await.attend().await.unwrap();
        let signature = signing(&client);
        question(&mut agent).await;
        tokio::task::spawn_blocking(move || daemon.stop())
            .await
            .unwrap()
            .unwrap();
        signature.await.unwrap().unwrap_err();
        assert!(agent.next().await.unwrap().is_none());
    });
}

#[test]
fn an_agent_without_a_grant_for_the_key_is_not_asked() {
    if !getuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "only root can become somebody else");
        eprintln!("SKIPPED: only root can become somebody else");
        return;
    }
    let daemon = protecting("identities = [\"alice@example.org\"]");
    std::fs::set_permissions(daemon.socket(), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
        .arg(program_for_everybody(&daemon))
        .arg("agent")
        .env("CHANCERY_ADDRESS", daemon.address())
        .stderr(Stdio::piped());
    let mut agent = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(agent.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("attending"), "{line}");
    block_on(async {
        let client = connect(&daemon).await;
        // At once: nobody is waited for.
        let refused = timeout(PATIENCE, sign(&client, Person::Alice, Bytes::new())).await;
        assert_eq!(why(refused.expect("somebody is asked")), "PIN_REQUIRED");
    });
    agent.kill().unwrap();
    agent.wait().unwrap();
}
