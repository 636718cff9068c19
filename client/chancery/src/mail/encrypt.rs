//! MailService.Encrypt.

use bytes::Bytes;
use chancery_proto::v1::{EncryptOptions, EncryptReport, EncryptRequest, EncryptResponse};

use super::transfer::{Piece, Request, transfer};
use super::{Sink, Source};
use crate::{Client, Error};

impl Client {
    /// Encrypts a message to the recipients in the options; [`recipient`](crate::recipient) finds their certificates. No
    /// private key is used.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; what the sink has taken until then is to be thrown away.
    pub async fn encrypt(
        &self,
        options: EncryptOptions,
        source: impl Source,
        sink: impl Sink,
    ) -> Result<EncryptReport, Error> {
        let first = EncryptRequest {
            options: Some(options),
            content: Bytes::new(),
        };
        transfer(self.channel(), first, source, sink).await
    }
}

impl Request for EncryptRequest {
    const PATH: &'static str = "/chancery.v1.MailService/Encrypt";
    type Response = EncryptResponse;

    fn content(content: Bytes) -> Self {
        Self { options: None, content }
    }
}

impl Piece for EncryptResponse {
    type Report = EncryptReport;

    fn into_parts(self) -> (Bytes, Option<EncryptReport>) {
        (self.content, self.report)
    }
}
