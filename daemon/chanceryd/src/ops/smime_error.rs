//! What the S/MIME core says about a message, sorted into what a caller is told. All of it depends on public bytes alone,
//! apart from the one decryption error. What is not listed is internal.

use chancery_smime::ber::BerError;
use chancery_smime::decrypt::{DecryptError, ParametersError};
use chancery_smime::encrypt::EncryptError;
use chancery_smime::mime::MimeError;
use chancery_smime::sign::SignError;
use chancery_smime::verify::VerifyError;

use super::{Invalid, OpError};

/// A message that is wrong as MIME.
pub(super) fn mime(error: MimeError) -> OpError {
    let text = error.to_string();
    match error {
        MimeError::HeaderTooLong { .. } | MimeError::NestingTooDeep { .. } => OpError::Limit(text),
        MimeError::NotSmime { .. } => OpError::WrongKind(text),
        MimeError::Protocol { .. } => OpError::Unsupported(text),
        _ => OpError::Malformed(text),
    }
}

/// A CMS object that is wrong as BER.
fn ber(error: BerError) -> OpError {
    let text = error.to_string();
    match error {
        BerError::TooDeep { .. } | BerError::ElementTooLong { .. } => OpError::Limit(text),
        BerError::UnsupportedContentType(_) => OpError::WrongKind(text),
        _ => OpError::Malformed(text),
    }
}

/// A message that cannot be signed.
pub(super) fn sign(error: SignError) -> OpError {
    match error {
        SignError::Mime(error) => mime(error),
        // The certificate and the algorithm are chosen here, so what is wrong with them is a defect.
        other => OpError::Internal(other.to_string()),
    }
}

/// A message that cannot be verified.
pub(super) fn verify(error: VerifyError) -> OpError {
    let text = error.to_string();
    match error {
        VerifyError::Mime(error) => mime(error),
        VerifyError::Ber(error) => ber(error),
        VerifyError::NotSigned(_) => OpError::WrongKind(text),
        VerifyError::TooMany { .. } => OpError::Limit(text),
        _ => OpError::Malformed(text),
    }
}

/// A message that cannot be encrypted.
pub(super) fn encrypt(error: EncryptError) -> OpError {
    match error {
        EncryptError::Mime(error) => mime(error),
        EncryptError::Recipient { certificate, source } => OpError::Invalid(Invalid::RecipientCertificate {
            which: certificate,
            why: source.to_string(),
        }),
        EncryptError::ContentTooLong => OpError::Limit(error.to_string()),
        other => OpError::Internal(other.to_string()),
    }
}

/// A message that cannot be opened.
pub(super) fn decrypt(error: DecryptError) -> OpError {
    let text = error.to_string();
    match error {
        DecryptError::Failed => OpError::DecryptionFailed,
        DecryptError::MalformedMime(error) => mime(error),
        DecryptError::MalformedCms(error) => ber(error),
        DecryptError::NotEncrypted { .. } | DecryptError::MultipartSigned => OpError::WrongKind(text),
        DecryptError::ContentEncryption(ParametersError::Unsupported(_)) | DecryptError::UnsupportedContent { .. } => {
            OpError::Unsupported(text)
        }
        DecryptError::ContentTooLong => OpError::Limit(text),
        DecryptError::KeyNotAnswered => OpError::Internal(text),
        _ => OpError::Malformed(text),
    }
}
