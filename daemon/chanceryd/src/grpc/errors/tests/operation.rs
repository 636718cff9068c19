//! Every error of an operation that is not the token's.

use std::path::PathBuf;
use std::time::Duration;

use tonic::Code;

use super::{key, token};
use crate::audit::AuditError;
use crate::ops::{Invalid, OpError};
use crate::spool::SpoolError;

fn io() -> std::io::Error {
    std::io::Error::other("secret detail")
}

/// Each with its code, its reason and whether it says when to try again.
pub(super) fn errors() -> Vec<(OpError, Code, &'static str, bool)> {
    use Code::{
        Cancelled, DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, NotFound, PermissionDenied,
        ResourceExhausted, Unauthenticated, Unavailable, Unimplemented,
    };
    let wanted = "signing";
    let directory = PathBuf::from("/spool");
    let closed = || AuditError::Closed {
        reason: "disk full".into(),
    };
    let detail = || "secret detail".to_owned();
    let rows = vec![
        (OpError::NotPermitted, PermissionDenied, "NOT_PERMITTED", false),
        (OpError::NoCaller, Unauthenticated, "NO_CALLER", false),
        (OpError::KeyNotFound(key()), NotFound, "KEY_NOT_FOUND", false),
        (
            OpError::IdentityNotFound("a@b".into()),
            NotFound,
            "IDENTITY_NOT_FOUND",
            false,
        ),
        (OpError::TokenNotFound(token()), NotFound, "TOKEN_NOT_FOUND", false),
        (OpError::ServiceNotFound, NotFound, "SERVICE_NOT_FOUND", false),
        (OpError::Unimplemented, Unimplemented, "UNIMPLEMENTED", false),
        (
            OpError::KeyRoleMismatch { key: key(), wanted },
            FailedPrecondition,
            "KEY_ROLE_MISMATCH",
            false,
        ),
        (
            OpError::NoSigningKey("a@b".into()),
            FailedPrecondition,
            "NO_SIGNING_KEY",
            false,
        ),
        (
            OpError::NoEncryptionCertificate("a@b".into()),
            FailedPrecondition,
            "NO_ENCRYPTION_CERTIFICATE",
            false,
        ),
        (
            OpError::NoDecryptionKey { recipients: 2 },
            FailedPrecondition,
            "NO_DECRYPTION_KEY",
            false,
        ),
        (
            OpError::PinRequired { token: token() },
            FailedPrecondition,
            "PIN_REQUIRED",
            false,
        ),
        (
            OpError::PinMismatch {
                token: token(),
                left: 2,
            },
            InvalidArgument,
            "PIN_MISMATCH",
            false,
        ),
        (
            OpError::PinRefused { token: token() },
            PermissionDenied,
            "PIN_REFUSED",
            false,
        ),
        (OpError::TooManyAgents, ResourceExhausted, "TOO_MANY_AGENTS", false),
        (
            OpError::PinTriesSpent { token: token() },
            FailedPrecondition,
            "PIN_TRIES_SPENT",
            false,
        ),
        (OpError::DecryptionFailed, InvalidArgument, "DECRYPTION_FAILED", false),
        (
            OpError::Malformed("x".into()),
            InvalidArgument,
            "MALFORMED_MESSAGE",
            false,
        ),
        (
            OpError::WrongKind("x".into()),
            InvalidArgument,
            "WRONG_MESSAGE_KIND",
            false,
        ),
        (
            OpError::Unsupported("x".into()),
            InvalidArgument,
            "UNSUPPORTED_MESSAGE",
            false,
        ),
        (OpError::Limit("x".into()), InvalidArgument, "LIMIT_EXCEEDED", false),
        (
            OpError::Invalid(Invalid::PageSize),
            InvalidArgument,
            "INVALID_PAGE_SIZE",
            false,
        ),
        (OpError::Audit(closed()), Unavailable, "AUDIT_UNAVAILABLE", false),
        (OpError::Unrecorded(closed()), Unavailable, "AUDIT_UNAVAILABLE", false),
        (
            OpError::Spool(SpoolError::Full {
                directory: directory.clone(),
                source: io(),
            }),
            ResourceExhausted,
            "SPOOL_FULL",
            true,
        ),
        (
            OpError::Spool(SpoolError::Io {
                directory,
                source: io(),
            }),
            Internal,
            "INTERNAL",
            false,
        ),
        (
            OpError::MailBusy("limits.mail_streams"),
            ResourceExhausted,
            "MAIL_BUSY",
            true,
        ),
        (OpError::TooManyWatches, ResourceExhausted, "TOO_MANY_WATCHES", false),
        (
            OpError::StreamIdle(Duration::from_millis(1500)),
            DeadlineExceeded,
            "STREAM_IDLE",
            false,
        ),
        (OpError::Stopping, Unavailable, "SHUTTING_DOWN", true),
        (OpError::DeadlineExceeded, DeadlineExceeded, "DEADLINE_EXCEEDED", false),
        (OpError::Cancelled("x".into()), Cancelled, "CANCELLED", false),
        (OpError::Internal(detail()), Internal, "INTERNAL", false),
    ];
    rows.into_iter().inspect(|(error, ..)| known(error)).collect()
}

/// Does not compile when a variant is missing, which is then to be added above, or to those of the token.
fn known(error: &OpError) {
    match error {
        OpError::NotPermitted
        | OpError::NoCaller
        | OpError::Invalid(_)
        | OpError::KeyNotFound(_)
        | OpError::IdentityNotFound(_)
        | OpError::TokenNotFound(_)
        | OpError::ServiceNotFound
        | OpError::Unimplemented
        | OpError::KeyRoleMismatch { .. }
        | OpError::NoSigningKey(_)
        | OpError::NoEncryptionCertificate(_)
        | OpError::NoDecryptionKey { .. }
        | OpError::DecryptionFailed
        | OpError::Malformed(_)
        | OpError::WrongKind(_)
        | OpError::Unsupported(_)
        | OpError::Limit(_)
        | OpError::PinRequired { .. }
        | OpError::PinMismatch { .. }
        | OpError::PinTriesSpent { .. }
        | OpError::PinRefused { .. }
        | OpError::TooManyAgents
        | OpError::Token(_)
        | OpError::Audit(_)
        | OpError::Unrecorded(_)
        | OpError::Spool(_)
        | OpError::MailBusy(_)
        | OpError::TooManyWatches
        | OpError::StreamIdle(_)
        | OpError::Stopping
        | OpError::DeadlineExceeded
        | OpError::Cancelled(_)
        | OpError::Internal(_) => {}
    }
}
