//! A module's process that does not do what it should, played by a shell.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::time::Duration;

use chancery_token::{Backlog, Ending, Launch, ModuleConfig, Notice, TokenConfig, TokenSelector, Tokens};

/// What the daemon notes when a module's process does this.
async fn ending_of(script: &str) -> Notice {
    let module = ModuleConfig {
        name: "m".into(),
        path: "/bin/sh".into(),
        environment: Default::default(),
        network: false,
        programs: false,
        hidden: vec![],
        load_time: Duration::from_secs(60),
    };
    let token = TokenConfig {
        name: "t".into(),
        module: "m".into(),
        selector: TokenSelector::Attributes {
            label: Some("t".into()),
            serial: None,
        },
        sessions: 1,
        queue: 1,
        pin: None,
        pin_pad: false,
        pin_memory: None,
        certificates: vec![],
        call_deadline: Duration::from_secs(1),
        call_grace: Duration::from_secs(1),
        keep_alive: None,
    };
    let launch = Launch {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
    };
    let started =
        tokio::task::spawn_blocking(move || Tokens::start(&[module], vec![token], &launch, &Backlog::default()));
    let mut tokens = started.await.unwrap().unwrap();
    let notice = tokens.take_notices().unwrap().recv().await.unwrap();
    tokens.shutdown().await;
    notice
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_sends_nonsense_is_ended_and_replaced_though_it_would_live_on() {
    let notice = ending_of(r"printf '\377\377\377\377' >&0; exec sleep 1000").await;
    assert_eq!(notice.ending, Ending::Replaced);
    assert!(notice.how.contains("nonsense"), "{}", notice.how);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_closes_its_socket_is_ended_and_replaced_though_it_would_live_on() {
    let notice = ending_of("head -c 3 > /dev/null; exec sleep 1000 <&-").await;
    assert_eq!(notice.ending, Ending::Replaced);
    assert!(notice.how.contains("closed its socket"), "{}", notice.how);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_is_replaced_though_something_that_it_started_holds_its_socket_open() {
    let notice = ending_of("exec 3<&0; sleep 30 & kill -9 $$").await;
    assert_eq!(notice.ending, Ending::Replaced);
    assert!(
        notice.how.starts_with("signal 9, SIGKILL: killed from outside"),
        "{}",
        notice.how
    );
}
