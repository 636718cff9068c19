//! MailService.Decrypt.

use bytes::Bytes;
use chancery_proto::v1::{DecryptOptions, MailServiceDecryptRequest, MailServiceDecryptResponse, Report};

use super::transfer::{Piece, Request, transfer};
use super::{Sink, Source};
use crate::{Client, Error};

impl Client {
    /// Opens an encrypted message with any decryption key that the caller may use. The report says whether the content was
    /// authenticated; where it was not (CBC), somebody on the way may have changed it.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; what the sink has taken until then is to be thrown away.
    pub async fn decrypt(
        &self,
        options: DecryptOptions,
        source: impl Source,
        sink: impl Sink,
    ) -> Result<Report, Error> {
        let first = MailServiceDecryptRequest {
            options: Some(options),
            content: Bytes::new(),
        };
        transfer(self.channel(), first, source, sink).await
    }
}

impl Request for MailServiceDecryptRequest {
    const PATH: &'static str = "/chancery.v1.MailService/Decrypt";
    type Response = MailServiceDecryptResponse;

    fn content(content: Bytes) -> Self {
        Self { options: None, content }
    }
}

impl Piece for MailServiceDecryptResponse {
    type Report = Report;

    fn into_parts(self) -> (Bytes, Option<Report>) {
        (self.content, self.report)
    }
}
