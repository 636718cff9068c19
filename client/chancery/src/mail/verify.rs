//! MailService.Verify.

use bytes::Bytes;
use chancery_proto::v1::{Report, VerifyOptions, VerifyRequest, VerifyResponse};

use super::transfer::{Piece, Request, transfer};
use super::{Sink, Source};
use crate::{Client, Error};

impl Client {
    /// Checks a signed message. **A verdict is no error:** the function returns the report whatever the verdict, and
    /// `SignedLayer::valid` in it is the answer. Trust in the signer's certificate is not evaluated.
    ///
    /// The sink takes the signed content if the options ask for it, before the verdict is known; `tokio::io::sink()` will
    /// do if they do not.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; what the sink has taken until then is to be thrown away.
    pub async fn verify(&self, options: VerifyOptions, source: impl Source, sink: impl Sink) -> Result<Report, Error> {
        let first = VerifyRequest {
            options: Some(options),
            content: Bytes::new(),
        };
        transfer(self.channel(), first, source, sink).await
    }
}

impl Request for VerifyRequest {
    const PATH: &'static str = "/chancery.v1.MailService/Verify";
    type Response = VerifyResponse;

    fn content(content: Bytes) -> Self {
        Self { options: None, content }
    }
}

impl Piece for VerifyResponse {
    type Report = Report;

    fn into_parts(self) -> (Bytes, Option<Report>) {
        (self.content, self.report)
    }
}
