//! The contract's own clients, for tests that make thousands of calls or look at statuses byte by byte.

use std::future::Future;

use chancery_proto::v1::{
    DecryptOptions, MailServiceDecryptRequest, VerifyOptions, VerifyRequest, mail_service_client::MailServiceClient,
};
use hsm_tests::daemon::Daemon;
use tokio_stream::StreamExt as _;
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;

/// What a call came to: all the content, or the status.
pub(crate) type Answer = Result<Vec<u8>, Status>;

/// Content goes in pieces of this many bytes.
const PIECE: usize = 64 * 1024;

/// A client of MailService.
#[derive(Clone)]
pub(crate) struct Mail(MailServiceClient<Channel>);

impl Mail {
    pub(crate) async fn connect(daemon: &Daemon) -> Self {
        Self(MailServiceClient::new(daemon.channel().await.unwrap()))
    }

    pub(crate) async fn decrypt(&mut self, message: &[u8]) -> Answer {
        let options = MailServiceDecryptRequest {
            options: Some(DecryptOptions::default()),
            content: Vec::new().into(),
        };
        let content = pieces(message, |content| MailServiceDecryptRequest {
            options: None,
            content: content.into(),
        });
        let request = with_id(tokio_stream::once(options).chain(content));
        let mut answers = self.0.decrypt(request).await?.into_inner();
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await? {
            all.extend_from_slice(&answer.content);
        }
        Ok(all)
    }

    pub(crate) async fn verify(&mut self, message: &[u8]) -> Result<bool, Status> {
        let options = VerifyRequest {
            options: Some(VerifyOptions { return_content: true }),
            content: Vec::new().into(),
        };
        let content = pieces(message, |content| VerifyRequest {
            options: None,
            content: content.into(),
        });
        let request = with_id(tokio_stream::once(options).chain(content));
        let mut answers = self.0.verify(request).await?.into_inner();
        let mut valid = false;
        while let Some(answer) = answers.message().await? {
            if let Some(report) = answer.report {
                valid = format!("{report:?}").contains("valid: true");
            }
        }
        Ok(valid)
    }
}

/// A request under an id that is always the same, so that statuses can be compared.
pub(crate) fn with_id<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("x-request-id", "the-same-for-all".parse().unwrap());
    request
}

fn pieces<T>(message: &[u8], request: impl Fn(Vec<u8>) -> T) -> tokio_stream::Iter<std::vec::IntoIter<T>> {
    let pieces: Vec<T> = message.chunks(PIECE).map(|piece| request(piece.to_vec())).collect();
    tokio_stream::iter(pieces)
}

/// The stable reason of a status.
#[track_caller]
pub(crate) fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.unwrap_or_else(|| panic!("no ErrorInfo in {status:?}")).reason
}

/// Everything that a caller sees of a status.
pub(crate) fn bytes_of(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
