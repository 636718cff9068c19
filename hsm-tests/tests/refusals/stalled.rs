//! Callers of messages who neither send nor take: their places are wanted for others.

use std::time::{Duration, Instant};

use chancery_proto::v1::{
    DecryptOptions, MailServiceDecryptRequest, VerifyOptions, VerifyRequest, mail_service_client::MailServiceClient,
};
use hsm_tests::{
    daemon::{Daemon, Setup},
    people::Person,
    softhsm::fault::Fault,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::{LETTER, assert_all_is_well, assert_left_nothing, load::sealed, outcomes, wire::block_on};

/// Two places, and callers who may stall for a second.
fn impatient() -> Setup {
    Setup::new()
        .token("cards", &[Person::Alice])
        .configure("limits", "mail_streams = 2\nstream_idle = \"1s\"")
}

/// The first request of a Decrypt.
fn decrypt(content: &[u8]) -> MailServiceDecryptRequest {
    MailServiceDecryptRequest {
        options: Some(DecryptOptions::default()),
        content: content.to_vec().into(),
    }
}

/// A channel that has so little room for answers that hardly any fits.
async fn narrow_channel(daemon: &Daemon) -> Channel {
    let address = format!("unix://{}", daemon.socket().display());
    let endpoint = Endpoint::try_from(address).unwrap().initial_stream_window_size(1024);
    endpoint.connect().await.unwrap()
}

fn assert_stalled(status: &Status) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "STREAM_IDLE");
    assert!(status.message().contains(" 1s"), "{status:?}");
}

#[test]
fn callers_who_send_no_more_give_their_places_back() {
    let daemon = impatient().start().unwrap();
    let sealed = sealed(10);
    block_on(async {
        let mail = MailServiceClient::new(daemon.channel().await.unwrap());
        // One says what it wants and part of it, one nothing at all; neither ends.
        let (talker, talk) = mpsc::channel(1);
        talker.send(decrypt(&sealed[..100])).await.unwrap();
        let (mute, silence) = mpsc::channel::<MailServiceDecryptRequest>(1);
        let mut answers = Vec::new();
        for requests in [talk, silence] {
            let requests = ReceiverStream::new(requests);
            answers.push(mail.clone().decrypt(requests).await.unwrap().into_inner());
        }
        for mut answer in answers {
            let ended = timeout(Duration::from_secs(20), answer.message()).await;
            assert_stalled(&ended.unwrap().unwrap_err());
        }
        drop((talker, mute));
    });
    assert_all_is_well(&daemon);
}

#[test]
fn callers_who_take_no_answer_give_their_places_back_and_lose_their_connection_at_last() {
    assert_not_waited_for(50_000);
}

#[test]
fn callers_who_take_no_answer_that_is_there_as_a_whole_at_once_fare_no_better() {
    assert_not_waited_for(50);
}

#[track_caller]
fn assert_not_waited_for(letters: usize) {
    let daemon = impatient().start().unwrap();
    let signed = daemon
        .chancery(["sign", "--opaque"], &LETTER.repeat(letters))
        .unwrap()
        .success()
        .unwrap();
    block_on(async {
        let mail = MailServiceClient::new(narrow_channel(&daemon).await);
        let mut answers = Vec::new();
        for _ in 0..2 {
            let options = VerifyOptions { return_content: true };
            let pieces = signed.chunks(1 << 16).enumerate().map(|(n, piece)| VerifyRequest {
                options: (n == 0).then_some(options),
                content: piece.to_vec().into(),
            });
            let requests = tokio_stream::iter(pieces.collect::<Vec<_>>());
            answers.push(mail.clone().verify(requests).await.unwrap().into_inner());
        }
        // Their places are free again though they are still there; the command line says MAIL_BUSY until then.
        let deadline = Instant::now() + Duration::from_secs(20);
        while daemon.chancery(["sign"], LETTER).unwrap().code != 0 {
            assert!(Instant::now() < deadline, "the places were not given back");
        }
        while !daemon.log().unwrap().contains("a caller takes no answers any more") {
            assert!(Instant::now() < deadline, "{}", daemon.log().unwrap());
        }
        for mut answer in answers {
            let all = async {
                while answer.message().await?.is_some() {}
                Ok::<_, Status>(())
            };
            let lost = timeout(Duration::from_secs(20), all).await.unwrap().unwrap_err();
            // The error that was left for them would be there to be taken if the connection were.
            assert_ne!(lost.code(), Code::DeadlineExceeded, "{lost:?}");
        }
    });
    assert_all_is_well(&daemon);
}

#[test]
fn the_time_that_a_token_takes_is_not_the_callers() {
    let daemon = impatient().faulty().start().unwrap();
    let slow = Fault::delay(Duration::from_secs(2)).once();
    daemon.faults().unwrap().put("C_Decrypt", slow).unwrap();
    let sealed = sealed(10);
    let (first, rest) = sealed.split_at(sealed.len() - 20);
    block_on(async {
        let mail = MailServiceClient::new(daemon.channel().await.unwrap());
        let (sender, requests) = mpsc::channel(2);
        sender.send(decrypt(first)).await.unwrap();
        let mut answer = mail
            .clone()
            .decrypt(ReceiverStream::new(requests))
            .await
            .unwrap()
            .into_inner();
        // Nothing more is sent before the token is done, though the daemon would read it.
        let deadline = Instant::now() + Duration::from_secs(20);
        while outcomes(&daemon, "done") == 0 {
            assert!(Instant::now() < deadline, "{:?}", daemon.audit());
        }
        let options = None;
        let content = rest.to_vec().into();
        sender
            .send(MailServiceDecryptRequest { options, content })
            .await
            .unwrap();
        drop(sender);
        let mut report = None;
        while let Some(message) = answer.message().await.unwrap() {
            report = report.or(message.report);
        }
        assert_eq!(report.unwrap().layers.len(), 1);
    });
    assert_left_nothing(&daemon);
}
