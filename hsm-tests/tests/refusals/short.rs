//! Short messages: what is answered is all or, if the signature fails, the error alone.

use chancery_proto::v1::{
    MailServiceSignRequest, MailServiceSignResponse, SignOptions, mail_service_client::MailServiceClient,
};
use hsm_tests::{
    daemon::{Daemon, Setup},
    people::Person,
    softhsm::fault::Fault,
};
use tonic::{Code, Status, Streaming};

use crate::{LETTER, assert_all_is_well, wire::block_on};

/// CKR_FUNCTION_FAILED.
const FUNCTION_FAILED: u64 = 0x06;

async fn sign(daemon: &Daemon) -> Result<Streaming<MailServiceSignResponse>, Status> {
    let request = MailServiceSignRequest {
        options: Some(SignOptions::default()),
        content: LETTER.into(),
    };
    let mut mail = MailServiceClient::new(daemon.channel().await.unwrap());
    let answer = mail.sign(tokio_stream::once(request)).await?;
    Ok(answer.into_inner())
}

/// How often it is tried: the end of a message may come a moment after the message itself, and what is ready does not wait for it.
const TRIES: usize = 50;

#[test]
fn a_short_message_whose_signature_fails_is_answered_with_the_error_alone() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).faulty().start().unwrap();
    let fails = Fault::answer(FUNCTION_FAILED);
    daemon.faults().unwrap().put("C_Sign", fails).unwrap();
    // Not even an answer begins.
    let error = (0..TRIES).find_map(|_| block_on(sign(&daemon)).err()).unwrap();
    assert_eq!(error.code(), Code::Internal, "{error:?}");
    daemon.faults().unwrap().take_back_all().unwrap();
    assert_all_is_well(&daemon);
}

#[test]
fn a_short_message_comes_back_in_one_piece() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let comes_whole = || {
        block_on(async {
            let mut answer = sign(&daemon).await.unwrap();
            let first = answer.message().await.unwrap().unwrap();
            let second = answer.message().await.unwrap().unwrap();
            first.content.ends_with(b"--\r\n") && second.report.is_some()
        })
    };
    assert!((0..TRIES).any(|_| comes_whole()));
}
