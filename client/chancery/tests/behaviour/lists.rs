//! Tables and JSON of keys, identities, tokens and the daemon's state; man pages and completions.

use std::time::Duration;

use chancery::v1;
use tonic::Code;

use crate::fake::{Fake, Script, status};

fn script() -> Script {
    let key = v1::Key {
        name: "keys/00ff".to_owned(),
        algorithm: v1::KeyAlgorithm::Rsa.into(),
        key_bits: 3072,
        roles: vec![v1::KeyRole::Sign.into()],
        public_key: vec![0x30, 0].into(),
        replicas: vec![v1::KeyReplica {
            token: "tokens/card".to_owned(),
            object_id: vec![0xab].into(),
            object_label: "alice\u{1b}[2J".to_owned(),
            available: true,
            ..v1::KeyReplica::default()
        }],
        ..v1::Key::default()
    };
    let identity = v1::Identity {
        name: "identities/alice@example.org".to_owned(),
        signing: Some(v1::IdentityKey {
            key: "keys/00ff".to_owned(),
            available: true,
            ..v1::IdentityKey::default()
        }),
        ..v1::Identity::default()
    };
    let token = |name: &str, state: v1::TokenState| v1::Token {
        name: format!("tokens/{name}"),
        state: state.into(),
        last_error: "CKR_PIN_INCORRECT".to_owned(),
        sessions: 2,
        jobs_waiting: 7,
        jobs_running: 3,
        worker_restarts: 1,
        ..v1::Token::default()
    };
    Script {
        keys: vec![key],
        identities: vec![identity],
        tokens: vec![
            token("card", v1::TokenState::Ready),
            token("hsm", v1::TokenState::Locked),
        ],
        ..Script::default()
    }
}

async fn json(fake: &Fake, command: &str) -> serde_json::Value {
    let run = fake.run(&[command, "--json"]).await;
    assert_eq!(run.status, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

#[tokio::test]
async fn keys_identities_and_tokens_are_listed_in_tables() {
    let fake = Fake::start(script());
    let keys = fake.run(&["keys"]).await.stdout;
    assert_eq!(
        keys,
        "KEY   ALGORITHM  ROLES  AVAILABLE  TOKENS  LABEL\n00ff  rsa-3072   sign   yes        card    alice\u{fffd}[2J\n"
    );
    let identities = fake.run(&["identities"]).await.stdout;
    assert!(
        identities.ends_with("\nalice@example.org  signing  yes        00ff\n"),
        "{identities}"
    );
    let tokens = fake.run(&["tokens"]).await.stdout;
    assert!(
        tokens.contains("\nhsm    locked  0     -      -       CKR_PIN_INCORRECT\n"),
        "{tokens}"
    );
}

#[tokio::test]
async fn json_has_the_documented_fields() {
    let fake = Fake::start(script());
    let keys = json(&fake, "keys").await;
    assert_eq!(keys["keys"][0]["algorithm"], "rsa");
    assert_eq!(keys["keys"][0]["bits"], 3072);
    assert_eq!(keys["keys"][0]["roles"][0], "sign");
    assert_eq!(keys["keys"][0]["replicas"][0]["object_id"], "ab");
    assert_eq!(
        keys["keys"][0]["public_key"],
        "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"
    );
    let identities = json(&fake, "identities").await;
    assert_eq!(identities["identities"][0]["address"], "alice@example.org");
    assert_eq!(identities["identities"][0]["signing"]["key"], "keys/00ff");
    assert!(identities["identities"][0]["encryption"].is_null());
    let tokens = json(&fake, "tokens").await;
    assert_eq!(tokens["tokens"][1]["state"], "locked");
    assert_eq!(tokens["tokens"][1]["last_error"], "CKR_PIN_INCORRECT");
    assert!(tokens["tokens"][1]["pin_status"].is_null());
}

#[tokio::test]
async fn status_tells_the_health_of_the_daemon_and_of_its_tokens() {
    let fake = Fake::start(script());
    let state = json(&fake, "status").await;
    assert_eq!(state["health"], "serving");
    assert_eq!(state["tokens"][0]["health"], "serving");
    assert_eq!(state["tokens"][1]["health"], "not-serving");
    assert_eq!(state["daemon_version"], "1.2.3");
    assert_eq!(state["tokens"][0]["name"], "tokens/card");
    assert_eq!(state["tokens"][0]["jobs_waiting"], 7);
    assert_eq!(state["tokens"][0]["jobs_running"], 3);
    let text = fake.run(&["status"]).await.stdout;
    assert!(text.starts_with("chanceryd 1.2.3 at unix:"), "{text}");
    assert!(text.contains(": serving\n"), "{text}");
    assert!(
        text.contains("\ncard   ready   -    0     2         7        1         CKR_PIN_INCORRECT  -\n"),
        "{text}"
    );
}

#[tokio::test]
async fn status_tells_what_a_token_has_been_asked_for_if_the_daemon_does() {
    let durations = |count, microseconds| v1::Durations {
        count,
        median: Duration::from_micros(microseconds).try_into().ok(),
        percentile_99: None,
    };
    let mut script = script();
    script.tokens[0].generation = 1;
    script.tokens[0].activity = Some(v1::TokenActivity {
        queue_time: Some(durations(9, 50)),
        execution_time: Some(durations(8, 1000)),
        functions: vec![v1::FunctionActivity {
            function: "C_Sign".to_owned(),
            durations: Some(durations(7, 500)),
            failures: vec![v1::ReturnValueCount {
                ckr: "CKR_DEVICE_ERROR".to_owned(),
                count: 2,
            }],
        }],
        logins_succeeded: 3,
        logins_refused: 1,
        logins_failed: 0,
    });
    let fake = Fake::start(script);
    let state = json(&fake, "status").await;
    let activity = &state["tokens"][0]["activity"];
    assert_eq!(activity["functions"]["C_Sign"]["median"], 0.0005);
    assert!(activity["functions"]["C_Sign"]["percentile_99"].is_null());
    assert_eq!(activity["functions"]["C_Sign"]["failures"]["CKR_DEVICE_ERROR"], 2);
    assert_eq!(activity["queue_time"]["count"], 9);
    assert_eq!(activity["logins_refused"], 1);
    assert!(state["tokens"][1]["activity"].is_null());
    let text = fake.run(&["status"]).await.stdout;
    for row in [
        "card   waited for a session  9      ≤ 50µs   -     -",
        "card   operations            8      ≤ 1ms    -     -",
        "card   looked everything up  1      -        -     -",
        "card   logins                4      -        -     1 refused, 0 failed",
        "card   C_Sign                7      ≤ 500µs  -     2 CKR_DEVICE_ERROR",
    ] {
        assert!(text.contains(&format!("\n{row}\n")), "{row} is not in\n{text}");
    }
    assert!(!text.contains("hsm    C_Sign"), "{text}");
}

#[tokio::test]
async fn a_token_that_is_drained_is_shown_as_not_serving_with_the_reason() {
    let mut drained = script();
    drained.tokens[0].set_drain_reason(v1::DrainReason::Maintenance);
    let fake = Fake::start(drained);
    let state = json(&fake, "status").await;
    let token = &state["tokens"][0];
    assert_eq!(
        (&token["state"], &token["health"]),
        (&"ready".into(), &"not-serving".into())
    );
    assert_eq!(token["drain_reason"], "maintenance");
    assert!(state["tokens"][1]["drain_reason"].is_null());
    for (arguments, wanted) in [(&["lock", "card", "--drain"][..], true), (&["lock", "card"], false)] {
        let run = fake.run(arguments).await;
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert_eq!(run.stdout.contains("drained"), wanted, "{}", run.stdout);
    }
}

/// The second token is locked, then ready.
fn changing() -> Script {
    let script = script();
    let ready = v1::Token {
        state: v1::TokenState::Ready.into(),
        ..script.tokens[1].clone()
    };
    Script {
        token_changes: vec![vec![ready]],
        ..script
    }
}

#[tokio::test]
async fn a_watched_status_is_one_line_of_json_for_each_change_until_the_daemon_stops() {
    let run = Fake::start(changing()).run(&["status", "--watch", "--json"]).await;
    assert_eq!(run.status, 69, "{}", run.stderr);
    assert_eq!(run.stderr, "chancery: chanceryd is stopping\n");
    let lines = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    let states: Vec<_> = lines.iter().map(|line| &line["tokens"][1]["state"]).collect();
    assert_eq!(states, ["locked", "ready"]);
    // Every line has the whole status.
    for line in lines {
        assert_eq!(line["daemon_version"], "1.2.3");
        assert_eq!(line["tokens"][0]["state"], "ready");
    }
}

#[tokio::test]
async fn a_watched_status_is_printed_again_where_there_is_no_terminal() {
    let run = Fake::start(changing()).run(&["status", "--watch"]).await;
    assert_eq!(run.status, 69, "{}", run.stderr);
    let printed: Vec<&str> = run.stdout.split("\n\n").collect();
    assert_eq!(printed.len(), 2, "{}", run.stdout);
    assert!(!run.stdout.contains('\u{1b}'));
    for (text, state) in printed.iter().zip(["locked", "ready"]) {
        assert!(text.contains(&format!("\nhsm    {state} ")), "{text}");
    }
}

#[tokio::test]
async fn status_works_for_whom_may_see_no_token() {
    let refuse_unary = Some(status(Code::PermissionDenied, "NOT_PERMITTED", "no"));
    let fake = Fake::start(Script {
        refuse_unary,
        ..script()
    });
    assert!(json(&fake, "status").await["tokens"].is_null());
    assert_eq!(fake.run(&["tokens"]).await.status, 3);
}

#[tokio::test]
async fn man_pages_and_completions_cover_every_command() {
    let fake = Fake::start(Script::default());
    let pages = fake.file("man");
    assert_eq!(fake.run(&["man", "--out-dir", &pages]).await.status, 0);
    for command in ["", "-sign", "-encrypt", "-decrypt", "-verify", "-unlock"] {
        let page = std::fs::read_to_string(format!("{pages}/chancery{command}.1")).unwrap();
        assert!(page.contains(".TH chancery"), "{page}");
    }
    assert!(fake.run(&["man"]).await.stdout.contains("Exit status"));
    for shell in ["bash", "zsh", "fish"] {
        let script = fake.run(&["completions", shell]).await.stdout;
        assert!(
            script.contains("encrypt") && script.contains("recipient-cert"),
            "{shell}"
        );
    }
}
