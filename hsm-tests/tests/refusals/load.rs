//! Callers that vanish, hurry, come in crowds, or are another daemon.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::Stdio,
    time::Duration,
};

use chancery_proto::v1::{
    DecryptOptions, KeyServiceSignRequest, MailServiceDecryptRequest, SignatureAlgorithm,
    key_service_client::KeyServiceClient, key_service_sign_request::Input, mail_service_client::MailServiceClient,
};
use hsm_tests::{
    daemon::{Setup, chanceryd},
    openssl::{self, Recipient},
    people::Person,
};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::{ENTITY, LETTER, assert_all_is_well, assert_left_nothing, wire::block_on};

pub(crate) fn sealed(lines: usize) -> Vec<u8> {
    let letter = [ENTITY, &b"A line of a long letter.\r\n".repeat(lines)].concat();
    let recipient = Recipient {
        person: Person::Alice,
        options: &[],
    };
    openssl::encrypt(&[recipient], &["-aes-256-gcm", "-outform", "DER"], &letter).unwrap()
}

#[test]
fn a_client_killed_in_the_middle_leaves_nothing_behind() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let out = daemon.directory().join("out");
    fs::create_dir(&out).unwrap();
    let sealed = sealed(400_000);
    for (arguments, input) in [
        (["sign", "--opaque"], &LETTER.repeat(20_000)),
        (["decrypt", "--quiet"], &sealed),
    ] {
        let mut client = daemon
            .chancery_command()
            .unwrap()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all(&input[..input.len() / 2]).unwrap();
        client.kill().unwrap();
        client.wait().unwrap();
        let mut seen = Vec::new();
        client.stdout.take().unwrap().read_to_end(&mut seen).unwrap();
        assert!(
            !seen.windows(5).any(|octets| octets == b"A lin"),
            "plaintext before the tag"
        );
    }
    assert_all_is_well(&daemon);
}

#[test]
fn streams_dropped_by_the_hundred_leave_no_memory_behind() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .configure("mail", "hold_in_memory = 65536")
        .start()
        .unwrap();
    let sealed = sealed(10_000);
    let half = sealed[..sealed.len() / 2].to_vec();
    let mut settled = 0;
    block_on(async {
        let channel = daemon.channel().await.unwrap();
        for round in 0..300 {
            if round == 100 {
                settled = daemon.memory().unwrap();
            }
            let mut mail = MailServiceClient::new(channel.clone());
            let first = MailServiceDecryptRequest {
                options: Some(DecryptOptions::default()),
                content: half.clone().into(),
            };
            // The request never ends by itself.
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            sender.send(first).await.unwrap();
            let answers = mail
                .decrypt(tokio_stream::wrappers::ReceiverStream::new(receiver))
                .await
                .unwrap();
            drop((answers, sender));
        }
    });
    let grown = daemon.memory().unwrap().saturating_sub(settled);
    eprintln!("resident memory grew by {grown} bytes");
    assert!(grown < 16 << 20, "resident memory grew by {grown} bytes");
    assert_all_is_well(&daemon);
}

#[test]
fn more_messages_at_once_than_there_are_places_for_are_refused_until_one_is_done() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .configure("limits", "mail_streams = 2")
        .start()
        .unwrap();
    let sealed = sealed(10);
    block_on(async {
        let mail = MailServiceClient::new(daemon.channel().await.unwrap());
        // The requests never end by themselves.
        let begin = || async {
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            let first = MailServiceDecryptRequest {
                options: Some(DecryptOptions::default()),
                content: sealed[..100].to_vec().into(),
            };
            sender.send(first).await.unwrap();
            let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
            let answers = mail.clone().decrypt(requests).await?;
            Ok::<_, tonic::Status>((sender, answers))
        };
        let first = begin().await.unwrap();
        let _second = begin().await.unwrap();
        let refused = begin().await.unwrap_err();
        let details = refused.get_error_details();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(details.error_info().unwrap().reason, "MAIL_BUSY");
        assert!(details.retry_info().is_some());
        drop(first);
        // Its place is free again as soon as the daemon has noticed.
        let mut third = begin().await;
        for _ in 0..100 {
            if third.is_ok() {
                break;
            }
            third = begin().await;
        }
        third.unwrap();
    });
    assert_left_nothing(&daemon);
}

#[test]
fn a_thousand_connections_that_say_nothing_do_not_keep_others_out() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .configure("limits", "connections = 1100\nconnections_per_caller = 1100")
        .start()
        .unwrap();
    let idle: Vec<UnixStream> = (0..1000)
        .map(|_| UnixStream::connect(daemon.socket()).unwrap())
        .collect();
    assert_all_is_well(&daemon);
    drop(idle);
    assert_all_is_well(&daemon);
}

#[test]
fn a_caller_with_too_many_connections_is_refused_more_and_keeps_those_it_has() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice, Person::Bob])
        .configure("limits", "connections_per_caller = 8")
        .start()
        .unwrap();
    block_on(async {
        let first = daemon.channel().await.unwrap();
        // From here on it has its place.
        sign(&first, None).await.unwrap();
        let crowd: Vec<UnixStream> = (0..1000)
            .map(|_| UnixStream::connect(daemon.socket()).unwrap())
            .collect();
        sign(&first, None).await.unwrap();
        drop(crowd);
    });
    // Not one line for each.
    let logged = daemon.log().unwrap().matches("one more was closed").count();
    assert!((1..60).contains(&logged), "{logged}");
    // Their places are free again as soon as the daemon has noticed.
    for _ in 0..100 {
        if daemon.chancery(["sign"], LETTER).unwrap().code == 0 {
            break;
        }
    }
    assert_all_is_well(&daemon);
}

async fn sign(
    channel: &tonic::transport::Channel,
    timeout: Option<Duration>,
) -> Result<tonic::Response<chancery_proto::v1::KeyServiceSignResponse>, tonic::Status> {
    let mut request = Request::new(KeyServiceSignRequest {
        name: Person::Bob.signing().key().unwrap(),
        algorithm: SignatureAlgorithm::RsaPkcs1Sha256.into(),
        input: Some(Input::Digest(vec![7; 32].into())),
        ..Default::default()
    });
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    KeyServiceClient::new(channel.clone()).sign(request).await
}

/// More than a token signs in the time they are given.
const CALLS: usize = 1000;

/// Calls on one connection: no more than it may cancel at once before the daemon takes it for an attack and closes it.
const CALLS_PER_CONNECTION: usize = 50;

#[test]
fn operations_whose_deadline_has_passed_are_not_started() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice, Person::Bob])
        .faulty()
        .start()
        .unwrap();
    let failed = block_on(async {
        let mut calls = Vec::new();
        for _ in 0..CALLS / CALLS_PER_CONNECTION {
            let channel = daemon.channel().await.unwrap();
            for _ in 0..CALLS_PER_CONNECTION {
                let channel = channel.clone();
                calls.push(tokio::spawn(async move {
                    sign(&channel, Some(Duration::from_millis(40))).await
                }));
            }
        }
        let mut failed = 0;
        for call in calls {
            if let Err(status) = call.await.unwrap() {
                // tonic's client gives up by itself, too, and calls that Cancelled.
                assert!(
                    matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
                    "{status:?}"
                );
                failed += 1;
            }
        }
        failed
    });
    let asked = usize::try_from(daemon.faults().unwrap().of("C_Sign").unwrap()).unwrap();
    eprintln!("{failed} of {CALLS} calls were too late; the token was asked {asked} times");
    // Most of the calls that were too late never reached the token; the trail says of those that got that far why not.
    assert!(
        failed > CALLS / 2 && asked < CALLS / 2,
        "{failed} failed, {asked} were started"
    );
    // Client and daemon notice at the same time: some calls are given up before the daemon has said so.
    let why_not =
        |record: &serde_json::Value| record["reason"] == "DEADLINE_EXCEEDED" || record["result"] == "abandoned";
    let records = daemon.audit().unwrap();
    assert!(records.iter().any(why_not));
    assert_all_is_well(&daemon);
}

#[test]
fn a_second_daemon_does_not_take_the_socket_of_the_first() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let ours = fs::read_to_string(daemon.configuration_file()).unwrap();
    let file = daemon.directory().join("second.toml");
    let second = |configuration: &str| {
        fs::write(&file, configuration).unwrap();
        chanceryd(["--config".as_ref(), file.as_os_str(), "run".as_ref()]).unwrap()
    };
    let same_trail = second(&ours);
    assert_ne!(same_trail.code, 0);
    let other_trail = ours.replace("audit.jsonl", "second.jsonl");
    let same_state = second(&other_trail);
    assert_ne!(same_state.code, 0);
    assert!(same_state.stderr.contains("another daemon"), "{}", same_state.stderr);
    let same_socket = second(&other_trail.replace("/state\"", "/second-state\""));
    assert_ne!(same_socket.code, 0);
    let socket = daemon.socket().display().to_string();
    assert!(same_socket.stderr.contains(&socket), "{}", same_socket.stderr);
    assert_all_is_well(&daemon);
}
