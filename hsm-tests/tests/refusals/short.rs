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

#[test]
fn a_short_message_whose_signature_fails_is_answered_with_the_error_alone() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).faulty().start().unwrap();
    daemon
        .faults()
        .unwrap()
        .put("C_Sign", Fault::answer(FUNCTION_FAILED))
        .unwrap();
    // Not even an answer begins.
    let error = block_on(sign(&daemon)).unwrap_err();
    assert_eq!(error.code(), Code::Internal, "{error:?}");
    daemon.faults().unwrap().take_back_all().unwrap();
    assert_all_is_well(&daemon);
}

#[test]
fn a_short_message_comes_back_in_one_piece() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let (content, report) = block_on(async {
        let mut answer = sign(&daemon).await.unwrap();
        let content = answer.message().await.unwrap().unwrap();
        let report = answer.message().await.unwrap().unwrap();
        assert_eq!(answer.message().await.unwrap(), None);
        (content.content, report.report)
    });
    assert!(content.ends_with(b"--\r\n"), "{}", String::from_utf8_lossy(&content));
    assert!(report.is_some());
}
