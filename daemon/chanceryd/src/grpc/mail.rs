//! `MailService`: four streams of the same shape.

use std::sync::Arc;

use bytes::Bytes;
use chancery_proto::v1::mail_service_server::MailService;
use chancery_proto::v1::{
    DecryptOptions, EncryptOptions, EncryptReport, EncryptRequest, EncryptResponse, EncryptedRecipient,
    MailServiceDecryptRequest, MailServiceDecryptResponse, MailServiceSignRequest, MailServiceSignResponse,
    SignOptions, SignReport, SignedForm, VerifyOptions, VerifyRequest, VerifyResponse,
};
use chancery_smime::sign::Form;
use tonic::{Request, Response, Status, Streaming};

use super::answer::{Admitted, Answer, Piece, answer, open};
use super::brought::Confidence;
use super::{call, convert, errors, report};
use crate::listen::ConnectInfo;
use crate::ops::{self, Context, Invalid};

/// The service.
pub(super) struct Mail {
    context: Arc<Context>,
}

impl Mail {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// What is known about the call, and the place it has among those that run.
    fn begin<T>(&self, request: &Request<T>, rpc: &'static str) -> Result<Admitted, Status> {
        let call = call::of(request, rpc)?;
        let place = self.context.admit_mail(&call);
        let place = place.map_err(|error| errors::status(&error, &call.request_id))?;
        let info = request.extensions().get::<ConnectInfo>();
        Ok(Admitted {
            call,
            place,
            idle: self.context.settings.stream_idle,
            hang_up: info.map(|info| info.hang_up.clone()),
        })
    }
}

#[tonic::async_trait]
impl MailService for Mail {
    type SignStream = Answer<MailServiceSignResponse>;
    type EncryptStream = Answer<EncryptResponse>;
    type DecryptStream = Answer<MailServiceDecryptResponse>;
    type VerifyStream = Answer<VerifyResponse>;

    async fn sign(
        &self,
        request: Request<Streaming<MailServiceSignRequest>>,
    ) -> Result<Response<Self::SignStream>, Status> {
        let admitted = self.begin(&request, "chancery.v1.MailService/Sign")?;
        let confidence = Confidence::of(&request);
        let context = Arc::clone(&self.context);
        answer(admitted, signed_content, signed_report, |call, sink| async move {
            let (options, content) = open(request.into_inner(), sink.turn(), &context).await?;
            confidence.wipe_shared_if(&options.pin);
            ops::mail_sign::sign(&context, &call, sign_options(options)?, content, sink).await
        })
        .await
    }

    async fn encrypt(
        &self,
        request: Request<Streaming<EncryptRequest>>,
    ) -> Result<Response<Self::EncryptStream>, Status> {
        let admitted = self.begin(&request, "chancery.v1.MailService/Encrypt")?;
        let context = Arc::clone(&self.context);
        answer(admitted, encrypted_content, encrypted_report, |call, sink| async move {
            let (options, content) = open(request.into_inner(), sink.turn(), &context).await?;
            ops::mail_encrypt::encrypt(&context, &call, encrypt_options(options)?, content, sink).await
        })
        .await
    }

    async fn decrypt(
        &self,
        request: Request<Streaming<MailServiceDecryptRequest>>,
    ) -> Result<Response<Self::DecryptStream>, Status> {
        let admitted = self.begin(&request, "chancery.v1.MailService/Decrypt")?;
        let confidence = Confidence::of(&request);
        let context = Arc::clone(&self.context);
        answer(admitted, decrypted_content, decrypted_report, |call, sink| async move {
            let (options, content) = open(request.into_inner(), sink.turn(), &context).await?;
            confidence.wipe_shared_if(&options.pin);
            ops::mail_decrypt::decrypt(&context, &call, decrypt_options(options)?, content, sink).await
        })
        .await
    }

    async fn verify(&self, request: Request<Streaming<VerifyRequest>>) -> Result<Response<Self::VerifyStream>, Status> {
        let admitted = self.begin(&request, "chancery.v1.MailService/Verify")?;
        let context = Arc::clone(&self.context);
        answer(admitted, verified_content, verified_report, |_, sink| async move {
            let (options, content) = open(request.into_inner(), sink.turn(), &context).await?;
            ops::mail_verify::verify(&context, options.return_content, content, sink).await
        })
        .await
    }
}

impl Piece for MailServiceSignRequest {
    type Options = SignOptions;
    fn split(self) -> (Option<SignOptions>, Bytes) {
        (self.options, self.content)
    }
}

impl Piece for EncryptRequest {
    type Options = EncryptOptions;
    fn split(self) -> (Option<EncryptOptions>, Bytes) {
        (self.options, self.content)
    }
}

impl Piece for MailServiceDecryptRequest {
    type Options = DecryptOptions;
    fn split(self) -> (Option<DecryptOptions>, Bytes) {
        (self.options, self.content)
    }
}

impl Piece for VerifyRequest {
    type Options = VerifyOptions;
    fn split(self) -> (Option<VerifyOptions>, Bytes) {
        (self.options, self.content)
    }
}

fn sign_options(options: SignOptions) -> Result<ops::mail_sign::Options, Invalid> {
    let form = match SignedForm::try_from(options.form) {
        Ok(SignedForm::Unspecified | SignedForm::Clear) => Form::Clear,
        Ok(SignedForm::Opaque) => Form::Opaque,
        Err(_) => {
            return Err(Invalid::Value {
                field: "options.form",
                value: options.form.into(),
                hint: "take CLEAR or OPAQUE",
            });
        }
    };
    Ok(ops::mail_sign::Options {
        identity: identity(&options.identity)?,
        form,
        digest: convert::digest("options.digest", options.digest)?,
        rsa_pss: options.rsa_pss,
        priority: convert::priority("options.priority", options.priority)?,
        pin: convert::pin("options.pin", options.pin)?,
    })
}

fn encrypt_options(options: EncryptOptions) -> Result<ops::mail_encrypt::Options, Invalid> {
    let recipient = |recipient: chancery_proto::v1::RecipientCertificate| {
        Ok(ops::mail_encrypt::Recipient {
            key_management: convert::key_management("options.recipients.key_management", recipient.key_management)?,
            certificate: recipient.certificate,
        })
    };
    let address = |name: &String| convert::address("options.recipient_identities", name);
    Ok(ops::mail_encrypt::Options {
        certificates: options
            .recipients
            .into_iter()
            .map(recipient)
            .collect::<Result<_, Invalid>>()?,
        identities: options
            .recipient_identities
            .iter()
            .map(address)
            .collect::<Result<_, _>>()?,
        content_encryption: convert::content_encryption("options.content_encryption", options.content_encryption)?,
    })
}

fn decrypt_options(options: DecryptOptions) -> Result<ops::mail_decrypt::Options, Invalid> {
    Ok(ops::mail_decrypt::Options {
        identity: identity(&options.identity)?,
        priority: convert::priority("options.priority", options.priority)?,
        pin: convert::pin("options.pin", options.pin)?,
    })
}

fn identity(name: &str) -> Result<Option<String>, Invalid> {
    (!name.is_empty())
        .then(|| convert::address("options.identity", name))
        .transpose()
}

fn signed_content(content: Bytes) -> MailServiceSignResponse {
    MailServiceSignResponse { content, report: None }
}

fn signed_report(report: ops::mail_sign::Report) -> MailServiceSignResponse {
    let report = SignReport {
        identity: convert::identity_name(&report.identity),
        key: convert::key_name(&report.key),
        token: convert::token_name(&report.token),
        signature_algorithm: convert::signature_algorithm_to_wire(report.algorithm).into(),
        digest_algorithm: convert::digest_to_wire(report.algorithm.digest()).into(),
        content_length: report.content_length,
    };
    MailServiceSignResponse {
        content: Bytes::new(),
        report: Some(report),
    }
}

fn encrypted_content(content: Bytes) -> EncryptResponse {
    EncryptResponse { content, report: None }
}

fn encrypted_report(report: ops::mail_encrypt::Report) -> EncryptResponse {
    let recipients = report
        .recipients
        .iter()
        .map(|(certificate, key_management)| EncryptedRecipient {
            certificate: Bytes::copy_from_slice(certificate.der()),
            key_management: convert::key_management_to_wire(*key_management).into(),
        });
    let report = EncryptReport {
        content_encryption: convert::content_encryption_to_wire(report.content_encryption).into(),
        recipients: recipients.collect(),
        content_length: report.content_length,
    };
    EncryptResponse {
        content: Bytes::new(),
        report: Some(report),
    }
}

fn decrypted_content(content: Bytes) -> MailServiceDecryptResponse {
    MailServiceDecryptResponse { content, report: None }
}

fn decrypted_report(report: ops::mail_decrypt::Report) -> MailServiceDecryptResponse {
    MailServiceDecryptResponse {
        content: Bytes::new(),
        report: Some(report::encrypted(&report)),
    }
}

fn verified_content(content: Bytes) -> VerifyResponse {
    VerifyResponse { content, report: None }
}

fn verified_report(report: chancery_smime::report::SignedReport) -> VerifyResponse {
    VerifyResponse {
        content: Bytes::new(),
        report: Some(report::signed(&report)),
    }
}
