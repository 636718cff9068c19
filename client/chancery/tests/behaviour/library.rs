//! The streaming calls of the library.

use std::io;

use bytes::{Bytes, BytesMut};
use chancery::{Breach, Client, Error, ErrorKind, Source, v1};
use tokio::sync::watch;
use tonic::Code;

use crate::fake::{Answer, Fake, Script, status};

const FIRST_HALF: &[u8] = b"the first half";

/// Gives some bytes, waits until the daemon has them, and then fails.
struct Breaks {
    given: bool,
    received: watch::Receiver<usize>,
}

impl Source for Breaks {
    async fn next(&mut self, _: &mut BytesMut) -> io::Result<Bytes> {
        if !std::mem::replace(&mut self.given, true) {
            return Ok(Bytes::from_static(FIRST_HALF));
        }
        self.received
            .wait_for(|received| *received == FIRST_HALF.len())
            .await
            .unwrap();
        Err(io::Error::other("the disk is on fire"))
    }
}

async fn sign(answer: Answer, message: &[u8]) -> (Result<v1::SignReport, Error>, Vec<u8>, Fake) {
    let fake = Fake::start(Script {
        answer,
        ..Script::default()
    });
    let client = Client::connect(&fake.address).await.unwrap();
    let mut signed = Vec::new();
    let result = client.sign(v1::SignOptions::default(), message, &mut signed).await;
    (result, signed, fake)
}

#[tokio::test]
async fn megabytes_pass_whole_and_in_order_in_bounded_pieces() {
    let message: Vec<u8> = (0..5_000_003_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let (report, signed, fake) = sign(Answer::Echo, &message).await;
    assert_eq!(report.unwrap().content_length, message.len() as u64);
    assert!(signed == message, "the content is not what was sent");
    assert!(fake.first_call().await.longest <= chancery::CHUNK_LEN);
}

#[tokio::test]
async fn an_empty_message_is_a_message() {
    let (report, signed, _fake) = sign(Answer::Echo, b"").await;
    assert_eq!(report.unwrap().content_length, 0);
    assert!(signed.is_empty());
}

#[tokio::test]
async fn a_message_that_cannot_be_read_to_its_end_never_looks_complete_to_the_daemon() {
    let fake = Fake::start(Script::default());
    let client = Client::connect(&fake.address).await.unwrap();
    let source = Breaks {
        given: false,
        received: fake.received(),
    };
    let error = client
        .sign(v1::SignOptions::default(), source, Vec::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Read(_)), "{error}");
    let call = fake.first_call().await;
    assert!(
        !call.complete,
        "the daemon took {:?} for the whole message",
        String::from_utf8_lossy(&call.content)
    );
}

#[tokio::test]
async fn a_call_that_is_dropped_never_looks_complete_to_the_daemon() {
    let fake = Fake::start(Script::default());
    let client = Client::connect(&fake.address).await.unwrap();
    let (reader, mut writer) = tokio::io::duplex(64);
    let call = tokio::spawn(async move { client.sign(v1::SignOptions::default(), reader, Vec::new()).await });
    tokio::io::AsyncWriteExt::write_all(&mut writer, FIRST_HALF)
        .await
        .unwrap();
    fake.received()
        .wait_for(|received| *received == FIRST_HALF.len())
        .await
        .unwrap();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert!(!fake.first_call().await.complete);
}

#[tokio::test]
async fn a_refusal_arrives_while_the_message_is_still_awaited() {
    let fake = Fake::start(Script {
        answer: Answer::Refuse(status(Code::PermissionDenied, "NOT_GRANTED", "no grant allows it")),
        ..Script::default()
    });
    let client = Client::connect(&fake.address).await.unwrap();
    let (reader, _writer_that_never_writes) = tokio::io::duplex(64);
    let error = client
        .sign(v1::SignOptions::default(), reader, Vec::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.failure().unwrap().reason(), Some("NOT_GRANTED"));
}

#[tokio::test]
async fn a_stream_without_its_report_is_a_breach() {
    let (result, _, _fake) = sign(Answer::NoReport, b"x").await;
    assert!(matches!(result, Err(Error::Contract(Breach::NoReport))), "{result:?}");
}

#[tokio::test]
async fn a_report_before_the_end_of_the_message_is_a_breach() {
    let fake = Fake::start(Script {
        answer: Answer::EarlyReport,
        ..Script::default()
    });
    let client = Client::connect(&fake.address).await.unwrap();
    let (reader, _writer_that_never_ends) = tokio::io::duplex(64);
    let result = client.sign(v1::SignOptions::default(), reader, Vec::new()).await;
    assert!(
        matches!(result, Err(Error::Contract(Breach::EarlyReport))),
        "{result:?}"
    );
}

#[tokio::test]
async fn nobody_at_the_address_is_unreachable() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("unix:{}/nobody.sock", directory.path().display());
    let error = Client::connect(&address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("nobody.sock"), "{error}");
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let tokens: Vec<_> = (0..7)
        .map(|at| v1::Token {
            name: format!("tokens/{at}"),
            ..v1::Token::default()
        })
        .collect();
    let fake = Fake::start(Script {
        tokens: tokens.clone(),
        page_len: 3,
        ..Script::default()
    });
    let client = Client::connect(&fake.address).await.unwrap();
    assert_eq!(client.tokens().await.unwrap(), tokens);
}

#[tokio::test]
async fn a_watch_tells_all_tokens_first_and_then_the_latest_of_each_change_and_its_end() {
    let token = |name: &str, generation| v1::Token {
        name: format!("tokens/{name}"),
        generation,
        ..v1::Token::default()
    };
    let fake = Fake::start(Script {
        tokens: vec![token("a", 1), token("b", 1)],
        token_changes: vec![vec![token("a", 2)], vec![token("b", 2)], vec![token("a", 3)]],
        ..Script::default()
    });
    let client = Client::connect(&fake.address).await.unwrap();
    let mut watch = client.watch_tokens(None).await.unwrap();
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!(first.tokens, [token("a", 1), token("b", 1)]);
    assert_eq!(first.daemon_version, "1.2.3");
    let (mut seen, mut responses) = (first.tokens, 0);
    while let Some(response) = watch.next().await.unwrap() {
        responses += 1;
        for change in response.tokens {
            let known = seen.iter_mut().find(|known| known.name == change.name).unwrap();
            assert!(known.generation < change.generation, "{change:?}");
            *known = change;
        }
    }
    assert_eq!(seen, [token("a", 3), token("b", 2)]);
    assert!((1..=3).contains(&responses), "{responses}");
}
