//! The metrics of a running daemon: in a form that Prometheus' own parser accepts, and true.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use hsm_tests::{
    daemon::{Daemon, Pin, Setup},
    people::Person,
    python::Python,
};
use rustix::process::{Pid, Signal, getuid, kill_process};
use serde_json::Value;

const LETTER: &[u8] = b"From: Alice <alice@example.org>\r\nSubject: Hello\r\n\r\nHello\r\n";

/// A daemon that is measured. Its socket is in a directory that the daemon's own does not name yet.
fn start(setup: Setup) -> (Daemon, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let listen = format!("listen = \"unix:{}\"", socket(&directory).display());
    (setup.configure("metrics", &listen).start().unwrap(), directory)
}

fn socket(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("metrics.sock")
}

fn scrape(directory: &tempfile::TempDir) -> String {
    let mut stream = UnixStream::connect(socket(directory)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body.to_owned()
}

/// The value of a sample, given as `name{labels}`.
fn value(scraped: &str, sample: &str) -> Option<f64> {
    let lines = scraped.lines();
    let mut values = lines.filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    values.next().map(|value| value.parse().unwrap())
}

#[test]
fn prometheus_own_parser_accepts_what_the_daemon_tells() {
    let Some(python) = Python::if_it_can_run() else { return };
    let (daemon, directory) = start(Setup::new().token("cards", &[Person::Alice]));
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    let scraped = scrape(&directory);
    let parsed = python.script("metrics.py", &daemon, scraped.as_bytes()).unwrap();
    let samples: Vec<Value> = serde_json::from_slice(&parsed).unwrap();
    let signed = samples.iter().find(|sample| {
        sample["name"] == "chancery_requests_total"
            && sample["labels"]["rpc"] == "chancery.v1.MailService/Sign"
            && sample["labels"]["code"] == "OK"
    });
    assert_eq!(signed.unwrap()["value"], 1.0);
    // Only names of the configuration, of the contract and of PKCS#11 are labels.
    let labels = samples.iter().filter_map(|sample| sample["labels"].as_object());
    let mut names: Vec<&str> = labels.flatten().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let known = [
        "ckr",
        "code",
        "function",
        "le",
        "operation",
        "reason",
        "result",
        "rpc",
        "state",
        "status",
        "token",
        "version",
    ];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
}

#[test]
fn requests_and_tokens_are_told_as_they_are() {
    let (daemon, directory) = start(Setup::new().token("alice", &[Person::Alice]).token_with_pin(
        "bob",
        &[Person::Bob],
        Pin::None,
    ));
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    assert_eq!(
        daemon
            .chancery(["sign", "--from", "bob@example.org"], LETTER)
            .unwrap()
            .code,
        4
    );
    let scraped = scrape(&directory);
    for (sample, expected) in [
        (
            "chancery_requests_total{rpc=\"chancery.v1.MailService/Sign\",code=\"OK\"}",
            1.0,
        ),
        ("chancery_requests_in_flight{rpc=\"chancery.v1.MailService/Sign\"}", 0.0),
        (
            "chancery_request_duration_seconds_count{rpc=\"chancery.v1.MailService/Sign\"}",
            2.0,
        ),
        ("chancery_audit_trail_open", 1.0),
        ("chancery_token_state{token=\"alice\",state=\"ready\"}", 1.0),
        ("chancery_token_state{token=\"alice\",state=\"locked\"}", 0.0),
        ("chancery_token_state{token=\"bob\",state=\"ready\"}", 0.0),
        ("chancery_token_state{token=\"bob\",state=\"locked\"}", 1.0),
        ("chancery_token_keys{token=\"alice\"}", 2.0),
        ("chancery_token_generation{token=\"alice\"}", 1.0),
        ("chancery_token_drain{token=\"alice\",reason=\"lock\"}", 0.0),
        ("chancery_token_jobs_waiting{token=\"alice\"}", 0.0),
        ("chancery_token_jobs_running{token=\"alice\"}", 0.0),
        ("chancery_token_passed_on_total{token=\"alice\"}", 0.0),
        ("chancery_token_queue_duration_seconds_count{token=\"alice\"}", 1.0),
        ("chancery_token_worker_restarts_total{token=\"alice\"}", 0.0),
    ] {
        assert_eq!(value(&scraped, sample), Some(expected), "{sample} in\n{scraped}");
    }
}

/// Scrapes until the sample has the value: what a module's process counts is told to the daemon twice a second.
fn wait_for(directory: &tempfile::TempDir, sample: &str, expected: f64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let scraped = scrape(directory);
        if value(&scraped, sample) == Some(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{sample} is not {expected} in\n{scraped}");
    }
}

#[test]
fn calls_into_the_module_logins_and_failures_are_counted_in_its_process() {
    let (daemon, directory) = start(Setup::new().token("alice", &[Person::Alice]).token_with_pin(
        "bob",
        &[Person::Bob],
        Pin::Wrong,
    ));
    for _ in 0..3 {
        daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    }
    for (sample, expected) in [
        (
            "chancery_pkcs11_call_duration_seconds_count{token=\"alice\",function=\"C_Sign\"}",
            3.0,
        ),
        (
            "chancery_token_execution_duration_seconds_count{token=\"alice\",operation=\"sign\"}",
            3.0,
        ),
        ("chancery_token_logins_total{token=\"alice\",result=\"succeeded\"}", 1.0),
        ("chancery_token_logins_total{token=\"bob\",result=\"refused\"}", 1.0),
        (
            "chancery_pkcs11_failures_total{token=\"bob\",function=\"C_Login\",ckr=\"CKR_PIN_INCORRECT\"}",
            1.0,
        ),
    ] {
        wait_for(&directory, sample, expected);
    }
}

#[test]
fn a_module_process_that_is_killed_is_counted_and_what_it_had_counted_stays() {
    let (daemon, directory) = start(Setup::new().token("alice", &[Person::Alice]));
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    let signed = "chancery_pkcs11_call_duration_seconds_count{token=\"alice\",function=\"C_Sign\"}";
    wait_for(&directory, signed, 1.0);
    let children = daemon.children().unwrap();
    assert_eq!(children.len(), 1, "{children:?}");
    let child = Pid::from_raw(children[0].cast_signed()).unwrap();
    kill_process(child, Signal::KILL).unwrap();
    wait_for(&directory, "chancery_token_worker_restarts_total{token=\"alice\"}", 1.0);
    wait_for(
        &directory,
        "chancery_token_logins_total{token=\"alice\",result=\"succeeded\"}",
        2.0,
    );
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    wait_for(&directory, signed, 2.0);
    let status = daemon.chancery(["status", "--json"], b"").unwrap().success().unwrap();
    let status: Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(status["tokens"][0]["worker_restarts"], 1);
}

#[test]
fn status_shows_an_administrator_the_same_numbers_and_nobody_else() {
    let (daemon, directory) = start(Setup::new().token("alice", &[Person::Alice]));
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    let counted = "chancery_pkcs11_call_duration_seconds_count{token=\"alice\",function=\"C_Sign\"}";
    wait_for(&directory, counted, 1.0);
    let status = |daemon: &Daemon| -> Value {
        let status = daemon.chancery(["status", "--json"], b"").unwrap().success().unwrap();
        serde_json::from_slice(&status).unwrap()
    };
    let activity = &status(&daemon)["tokens"][0]["activity"];
    assert_eq!(activity["functions"]["C_Sign"]["count"], 1, "{activity}");
    assert!(activity["functions"]["C_Sign"]["median"].as_f64().unwrap() > 0.0);
    assert_eq!(activity["queue_time"]["count"], 1);
    assert_eq!(activity["execution_time"]["count"], 1);
    assert_eq!(activity["logins_succeeded"], 1);
    // Who may list tokens need not know how often others use them.
    let only_lists = Setup::new()
        .token("alice", &[Person::Alice])
        .grant(&format!(
            "name = \"looks\"\ncaller = {{ uid = {} }}\nidentities = [\"*\"]\noperations = [\"list\"]",
            getuid().as_raw()
        ))
        .start()
        .unwrap();
    let status = status(&only_lists);
    assert_eq!(status["tokens"][0]["state"], "ready", "{status}");
    assert!(status["tokens"][0]["activity"].is_null(), "{status}");
}
