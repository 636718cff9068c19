//! The fake MailService: four streams that give back what they get.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use chancery::v1;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Answer, Call, Calls, Script};

pub(crate) struct Mail {
    pub(crate) script: Arc<Script>,
    pub(crate) calls: Calls,
}

/// What the test reads of a request, and writes into a response.
trait Messages {
    type Request: Send + 'static;
    type Response: Send + 'static;
    fn parts(request: Self::Request) -> (Option<String>, Bytes);
    /// The PIN among the options.
    fn pin(request: &Self::Request) -> Option<Bytes>;
    fn content(content: Bytes) -> Self::Response;
    fn report(script: &Script, length: u64) -> Self::Response;
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Mail {
    async fn serve<M: Messages + 'static>(
        &self,
        request: Request<Streaming<M::Request>>,
    ) -> Result<Response<Responses<M::Response>>, Status>
    where
        M::Request: Send,
    {
        if let Answer::Refuse(status) = &self.script.answer {
            return Err(status.clone());
        }
        let (sender, receiver) = mpsc::channel(2);
        let (script, calls) = (Arc::clone(&self.script), self.calls.clone());
        tokio::spawn(async move {
            let mut call = Call {
                options: String::new(),
                content: Vec::new(),
                complete: false,
                longest: 0,
            };
            if read::<M>(request.into_inner(), &script, &calls, &sender, &mut call).await {
                call.complete = true;
            }
            let complete = call.complete;
            let length = call.content.len() as u64;
            calls.push(call);
            if !complete {
                return;
            }
            let _ = match &script.answer {
                Answer::EchoThenFail(status) => sender.send(Err(status.clone())).await,
                Answer::NoReport => Ok(()),
                Answer::HoldUntil(signal) => {
                    signal.notified().await;
                    sender.send(Ok(M::report(&script, length))).await
                }
                _ => sender.send(Ok(M::report(&script, length))).await,
            };
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Reads to the end of the message; false if it broke off.
async fn read<M: Messages>(
    mut requests: Streaming<M::Request>,
    script: &Script,
    calls: &Calls,
    sender: &mpsc::Sender<Result<M::Response, Status>>,
    call: &mut Call,
) -> bool {
    loop {
        match requests.message().await {
            Ok(Some(request)) => {
                if let Some(pin) = M::pin(&request).filter(|pin| script.wants_pin && *pin != script.pin) {
                    let reason = if pin.is_empty() { "PIN_REQUIRED" } else { "PIN_MISMATCH" };
                    let metadata = HashMap::from([("token".to_owned(), "card".to_owned())]);
                    let details = ErrorDetails::with_error_info(reason, chancery::ERROR_DOMAIN, metadata);
                    let refusal = Status::with_error_details(Code::FailedPrecondition, "the PIN, please", details);
                    let _ = sender.send(Err(refusal)).await;
                    return false;
                }
                let (options, content) = M::parts(request);
                if let Some(options) = options {
                    assert_eq!(call.options, "", "options come once");
                    call.options = options;
                }
                call.longest = call.longest.max(content.len());
                call.content.extend_from_slice(&content);
                calls.received.send_modify(|received| *received += content.len());
                if matches!(script.answer, Answer::EarlyReport) {
                    let _ = sender.send(Ok(M::report(script, 0))).await;
                } else if !content.is_empty() && !matches!(script.answer, Answer::HoldUntil(_)) {
                    let _ = sender.send(Ok(M::content(content))).await;
                }
            }
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

macro_rules! messages {
    ($name:ident, $request:ident, $response:ident, $pin:expr, $report:expr) => {
        struct $name;

        impl Messages for $name {
            type Request = v1::$request;
            type Response = v1::$response;

            fn parts(request: v1::$request) -> (Option<String>, Bytes) {
                (
                    request.options.map(|options| format!("{options:?}")),
                    request.content,
                )
            }

            fn pin(request: &v1::$request) -> Option<Bytes> {
                let pin: fn(&v1::$request) -> Option<Bytes> = $pin;
                pin(request)
            }

            fn content(content: Bytes) -> v1::$response {
                v1::$response {
                    content,
                    report: None,
                }
            }

            fn report(script: &Script, length: u64) -> v1::$response {
                let report: fn(&Script, u64) -> _ = $report;
                v1::$response {
                    content: Bytes::new(),
                    report: Some(report(script, length)),
                }
            }
        }
    };
}

messages!(
    Sign,
    MailServiceSignRequest,
    MailServiceSignResponse,
    |request| Some(request.options.as_ref()?.pin.clone()),
    |_, length| {
        v1::SignReport {
            identity: "identities/alice@example.org".to_owned(),
            key: "keys/00".to_owned(),
            token: "tokens/card".to_owned(),
            signature_algorithm: v1::SignatureAlgorithm::EcdsaSha256.into(),
            digest_algorithm: v1::DigestAlgorithm::Sha256.into(),
            content_length: length,
        }
    }
);
messages!(Encrypt, EncryptRequest, EncryptResponse, |_| None, |_, length| {
    v1::EncryptReport {
        content_encryption: v1::ContentEncryptionAlgorithm::Aes256Gcm.into(),
        recipients: Vec::new(),
        content_length: length,
    }
});
messages!(
    Decrypt,
    MailServiceDecryptRequest,
    MailServiceDecryptResponse,
    |request| Some(request.options.as_ref()?.pin.clone()),
    |script, _| script.report.clone()
);
messages!(Verify, VerifyRequest, VerifyResponse, |_| None, |script, _| script
    .report
    .clone());

#[tonic::async_trait]
impl v1::mail_service_server::MailService for Mail {
    type SignStream = Responses<v1::MailServiceSignResponse>;
    type EncryptStream = Responses<v1::EncryptResponse>;
    type DecryptStream = Responses<v1::MailServiceDecryptResponse>;
    type VerifyStream = Responses<v1::VerifyResponse>;

    async fn sign(
        &self,
        request: Request<Streaming<v1::MailServiceSignRequest>>,
    ) -> Result<Response<Self::SignStream>, Status> {
        self.serve::<Sign>(request).await
    }

    async fn encrypt(
        &self,
        request: Request<Streaming<v1::EncryptRequest>>,
    ) -> Result<Response<Self::EncryptStream>, Status> {
        self.serve::<Encrypt>(request).await
    }

    async fn decrypt(
        &self,
        request: Request<Streaming<v1::MailServiceDecryptRequest>>,
    ) -> Result<Response<Self::DecryptStream>, Status> {
        self.serve::<Decrypt>(request).await
    }

    async fn verify(
        &self,
        request: Request<Streaming<v1::VerifyRequest>>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        self.serve::<Verify>(request).await
    }
}
