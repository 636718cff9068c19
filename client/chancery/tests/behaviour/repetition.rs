//! Calls on a connection that ends: what surely was not begun is made again, and nothing else is.

mod ending;

use chancery::{Client, Error, ErrorKind, v1};

use crate::fake::{Fake, Script};
use ending::{Ending, Front};

fn token() -> v1::Token {
    v1::Token {
        name: "tokens/card".to_owned(),
        ..v1::Token::default()
    }
}

/// A daemon behind a front whose first connection ends so, and a client of the front.
async fn behind(ending: Ending) -> (Fake, Front, Client) {
    let fake = Fake::start(Script {
        tokens: vec![token()],
        ..Script::default()
    });
    let front = Front::of(&fake, ending);
    let client = Client::connect(&front.address).await.unwrap();
    (fake, front, client)
}

#[tokio::test]
async fn a_call_that_was_about_to_be_sent_is_made_again_on_a_new_connection() {
    let (_fake, front, client) = behind(Ending::GoAwayAtAll).await;
    // While this one runs, the connection stays.
    let running = tokio::spawn({
        let client = client.clone();
        async move { client.watch_tokens(None).await.map(|_| ()) }
    });
    front.said().await;
    assert_eq!(client.tokens().await.unwrap(), [token()]);
    assert_eq!(
        front.requests(),
        1,
        "the second call was never on the connection that ends"
    );
    running.abort();
}

#[tokio::test]
async fn a_call_that_a_goaway_says_was_not_read_is_made_again_on_a_new_connection() {
    let (_fake, front, client) = behind(Ending::GoAwayBelow { after: 0 }).await;
    assert_eq!(client.tokens().await.unwrap(), [token()]);
    assert_eq!(front.requests(), 1);
}

#[tokio::test]
async fn a_message_that_was_sent_and_not_read_is_sent_again_whole() {
    let message: Vec<u8> = (0..700_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let (fake, front, client) = behind(Ending::GoAwayBelow { after: message.len() }).await;
    let mut signed = Vec::new();
    let report = client
        .sign(v1::SignOptions::default(), message.as_slice(), &mut signed)
        .await
        .unwrap();
    assert_eq!(report.content_length, message.len() as u64);
    assert!(signed == message, "the content is not what was sent");
    let call = fake.first_call().await;
    assert!(call.complete && call.content == message);
    assert_eq!(front.requests(), 1);
}

#[tokio::test]
async fn of_a_longer_message_that_was_not_read_the_error_says_that_the_call_can_be_made_again() {
    let message = vec![b'x'; 3 << 20];
    let (_fake, front, client) = behind(Ending::GoAwayBelow { after: 2 << 20 }).await;
    let error = client
        .sign(v1::SignOptions::default(), message.as_slice(), Vec::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotBegun(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("can be made again"), "{error}");
    assert_eq!(front.requests(), 1);
}

#[tokio::test]
async fn a_call_that_is_refused_again_and_again_is_given_up_and_was_never_begun() {
    let (_fake, front, client) = behind(Ending::Reset(h2::Reason::REFUSED_STREAM)).await;
    let error = client.tokens().await.unwrap_err();
    assert!(matches!(error, Error::NotBegun(_)), "{error:?}");
    assert_eq!(front.requests(), 3);
}

#[tokio::test]
async fn a_call_that_the_daemon_may_have_begun_with_is_never_made_again() {
    for ending in [
        Ending::Reset(h2::Reason::CANCEL),
        Ending::Reset(h2::Reason::INTERNAL_ERROR),
        Ending::Close,
        Ending::GoAwayAtAllAndClose,
    ] {
        let (_fake, front, client) = behind(ending).await;
        let error = client.tokens().await.unwrap_err();
        assert!(matches!(error, Error::Lost(_)), "{ending:?}: {error:?}");
        assert_eq!((front.requests(), front.connections()), (1, 1), "{ending:?}");
    }
}

#[tokio::test]
async fn a_call_for_which_nobody_answers_any_more_was_never_begun() {
    let (_fake, front, client) = behind(Ending::Close).await;
    client.tokens().await.unwrap_err();
    front.stop().await;
    let error = client.tokens().await.unwrap_err();
    assert!(matches!(error, Error::NotBegun(_)), "{error:?}");
}
