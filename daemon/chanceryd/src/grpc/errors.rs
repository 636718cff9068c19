//! The one place where errors become statuses: a gRPC code, `google.rpc.ErrorInfo` with a stable reason, and
//! `google.rpc.RetryInfo` where trying again helps. docs/errors.md lists the reasons for callers.
//!
//! Closed by default: what is not listed here is `INTERNAL`, and its detail goes to the log alone.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use chancery_proto::ERROR_DOMAIN;
use chancery_token::TokenError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::ops::{Invalid, OpError};
use crate::spool::SpoolError;

/// When a queue that was full is worth another try.
const SOON: Duration = Duration::from_secs(1);
/// When something that a person or a restart has to change is worth another try.
const LATER: Duration = Duration::from_secs(10);

/// The status for an error.
pub(super) fn status(error: &OpError, request_id: &str) -> Status {
    let code = code(error);
    let mut metadata = HashMap::from([("request_id".to_owned(), request_id.to_owned())]);
    let mut details = ErrorDetails::new();
    let (reason, message) = if code == Code::Internal && !is_told(error) {
        tracing::error!(request_id, error = error as &dyn Error, "internal error");
        (
            "INTERNAL",
            format!("internal error; the log has the detail under request id {request_id}"),
        )
    } else {
        if let Some(token) = token(error) {
            metadata.insert("token".to_owned(), token.to_owned());
        }
        if let OpError::Token(error) = error
            && let Some(ckr) = error.ckr()
        {
            metadata.insert("ckr".to_owned(), ckr.to_owned());
        }
        (error.reason(), error.to_string())
    };
    details.set_error_info(reason, ERROR_DOMAIN, metadata);
    if let Some(delay) = retry(error) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code, message, details)
}

/// What a status without a reason is about, which gRPC's own machinery made: reading a request, or, if its answer has `begun`,
/// after that.
pub(super) fn of_transport(status: &Status, begun: bool) -> OpError {
    let said = || status.message().to_owned();
    match status.code() {
        // With a source it is the connection that failed, without one the message.
        Code::Internal if !begun && status.source().is_none() => Invalid::Unreadable(said()).into(),
        Code::OutOfRange | Code::ResourceExhausted if status.source().is_none() => {
            Invalid::RequestTooLarge(said()).into()
        }
        Code::Unimplemented => OpError::Unimplemented,
        Code::NotFound => OpError::ServiceNotFound,
        Code::DeadlineExceeded => OpError::DeadlineExceeded,
        Code::Cancelled => OpError::Cancelled(said()),
        Code::Unauthenticated => OpError::NoCaller,
        Code::Unknown | Code::Unavailable | Code::Internal if !begun => OpError::Cancelled(said()),
        _ if !begun && status.source().is_some() => OpError::Cancelled(said()),
        code => OpError::Internal(format!("{code:?} from gRPC: {}", status.message())),
    }
}

/// The token that it is about.
fn token(error: &OpError) -> Option<&str> {
    match error {
        OpError::Token(error) => Some(error.token()),
        OpError::PinRequired { token }
        | OpError::PinRefused { token }
        | OpError::PinMismatch { token, .. }
        | OpError::PinTriesSpent { token } => Some(token),
        _ => None,
    }
}

/// Errors of code `INTERNAL` whose words are fit for callers: what the token answered, by name.
fn is_told(error: &OpError) -> bool {
    matches!(error, OpError::Token(TokenError::Ckr { .. }))
}

fn code(error: &OpError) -> Code {
    match error {
        OpError::NotPermitted | OpError::PinRefused { .. } => Code::PermissionDenied,
        OpError::NoCaller => Code::Unauthenticated,
        OpError::KeyNotFound(_)
        | OpError::IdentityNotFound(_)
        | OpError::TokenNotFound(_)
        | OpError::ServiceNotFound => Code::NotFound,
        OpError::Unimplemented => Code::Unimplemented,
        OpError::KeyRoleMismatch { .. }
        | OpError::NoSigningKey(_)
        | OpError::NoEncryptionCertificate(_)
        | OpError::NoDecryptionKey { .. }
        | OpError::PinRequired { .. }
        | OpError::PinTriesSpent { .. } => Code::FailedPrecondition,
        OpError::Invalid(_)
        | OpError::PinMismatch { .. }
        | OpError::DecryptionFailed
        | OpError::Malformed(_)
        | OpError::WrongKind(_)
        | OpError::Unsupported(_)
        | OpError::Limit(_) => Code::InvalidArgument,
        OpError::Token(error) => token_code(error),
        OpError::Audit(_) | OpError::Unrecorded(_) | OpError::Stopping => Code::Unavailable,
        OpError::Spool(SpoolError::Full { .. })
        | OpError::MailBusy(_)
        | OpError::TooManyWatches
        | OpError::TooManyAgents => Code::ResourceExhausted,
        OpError::StreamIdle(_) | OpError::DeadlineExceeded => Code::DeadlineExceeded,
        OpError::Cancelled(_) => Code::Cancelled,
        OpError::Spool(_) | OpError::Internal(_) => Code::Internal,
    }
}

fn token_code(error: &TokenError) -> Code {
    match error {
        TokenError::Absent { .. }
        | TokenError::Failed { .. }
        | TokenError::Draining { .. }
        | TokenError::Shutdown { .. }
        | TokenError::PinMemory { .. }
        | TokenError::ModuleEnded { .. } => Code::Unavailable,
        TokenError::Locked { .. }
        | TokenError::PinLocked { .. }
        | TokenError::PinFinalTry { .. }
        | TokenError::PinChangeUnclear { .. }
        | TokenError::PinNotEntered { .. }
        | TokenError::PinUnknown { .. }
        | TokenError::KeyNotFound { .. }
        | TokenError::KeyRole { .. }
        | TokenError::MechanismUnsupported { .. } => Code::FailedPrecondition,
        TokenError::PinIncorrect { .. }
        | TokenError::PinIncorrectAtPad { .. }
        | TokenError::PinAlreadyFailed { .. }
        | TokenError::PinUnanswered { .. }
        | TokenError::PinUnansweredAtFinalTry { .. }
        | TokenError::PinInsistenceSpent { .. }
        | TokenError::PinMismatch { .. }
        | TokenError::NewPinRefused { .. }
        | TokenError::DecryptionFailed { .. }
        | TokenError::InputRefused { .. } => Code::InvalidArgument,
        TokenError::QueueFull { .. } => Code::ResourceExhausted,
        TokenError::DeadlineExceeded { .. } | TokenError::TimedOut { .. } => Code::DeadlineExceeded,
        _ => Code::Internal,
    }
}

/// When another try may help, if one may.
fn retry(error: &OpError) -> Option<Duration> {
    match error {
        OpError::MailBusy(_)
        | OpError::Token(TokenError::QueueFull { .. } | TokenError::Ckr { .. } | TokenError::ModuleEnded { .. }) => {
            Some(SOON)
        }
        OpError::Token(
            TokenError::Absent { .. }
            | TokenError::Failed { .. }
            | TokenError::Draining { .. }
            | TokenError::Shutdown { .. },
        ) => Some(LATER),
        OpError::Spool(SpoolError::Full { .. }) | OpError::Stopping => Some(LATER),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
