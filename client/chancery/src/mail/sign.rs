//! MailService.Sign.

use bytes::Bytes;
use chancery_proto::v1::{MailServiceSignRequest, MailServiceSignResponse, SignOptions, SignReport};

use super::transfer::{Piece, Request, transfer};
use super::{Sink, Source};
use crate::{Client, Error};

impl Client {
    /// Signs a message with the current signing key of an identity: that in the options, or that of the message's From.
    ///
    /// The source is RFC 5322 (its outer header fields stay outside, its Content-* fields move inside) or a bare MIME
    /// entity; the sink takes the signed message, with CRLF line ends.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; what the sink has taken until then is to be thrown away.
    pub async fn sign(&self, options: SignOptions, source: impl Source, sink: impl Sink) -> Result<SignReport, Error> {
        let first = MailServiceSignRequest {
            options: Some(options),
            content: Bytes::new(),
        };
        transfer(self.channel(), first, source, sink).await
    }
}

impl Request for MailServiceSignRequest {
    const PATH: &'static str = "/chancery.v1.MailService/Sign";
    type Response = MailServiceSignResponse;

    fn content(content: Bytes) -> Self {
        Self { options: None, content }
    }
}

impl Piece for MailServiceSignResponse {
    type Report = SignReport;

    fn into_parts(self) -> (Bytes, Option<SignReport>) {
        (self.content, self.report)
    }
}
