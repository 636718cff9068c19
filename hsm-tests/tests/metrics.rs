//! The metrics of a running daemon: in a form that Prometheus' own parser accepts, and true.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use hsm_tests::{
    daemon::{Daemon, Pin, Setup},
    people::Person,
    python::Python,
};
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
    let python = match Python::new() {
        Ok(python) => python,
        Err(error) if std::env::var_os("CI").is_some() => panic!("the Python client cannot run: {error:#}"),
        Err(error) => {
            eprintln!("SKIPPED: the Python client cannot run here: {error:#}");
            return;
        }
    };
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
    ] {
        assert_eq!(value(&scraped, sample), Some(expected), "{sample} in\n{scraped}");
    }
}
