//! Every error that the table maps, and what must not show in the answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::path::{Path, PathBuf};

use chancery_token::KeyId;

use super::*;
use crate::audit::AuditError;
use crate::ops::Invalid;

fn token() -> String {
    "card".to_owned()
}

fn key() -> KeyId {
    KeyId::from_bytes([7; 32])
}

fn io() -> std::io::Error {
    std::io::Error::other("secret detail")
}

/// Every variant of [`OpError`]. The match at the end does not compile when one is missing here.
fn all() -> Vec<(OpError, Code, &'static str, bool)> {
    use Code::{
        Cancelled, DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, NotFound, PermissionDenied,
        ResourceExhausted, Unavailable, Unimplemented,
    };
    let wanted = "signing";
    let directory = PathBuf::from("/spool");
    let closed = || AuditError::Closed {
        reason: "disk full".into(),
    };
    let detail = || "secret detail".to_owned();
    let rows = vec![
        (OpError::NotPermitted, PermissionDenied, "NOT_PERMITTED", false),
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
        (OpError::DeadlineExceeded, DeadlineExceeded, "DEADLINE_EXCEEDED", false),
        (OpError::Cancelled("x".into()), Cancelled, "CANCELLED", false),
        (OpError::Internal(detail()), Internal, "INTERNAL", false),
    ];
    let token_rows = tokens()
        .into_iter()
        .map(|(error, code, reason, retry)| (OpError::Token(error), code, reason, retry));
    rows.into_iter()
        .chain(token_rows)
        .inspect(|(error, ..)| known(error))
        .collect()
}

fn tokens() -> Vec<(TokenError, Code, &'static str, bool)> {
    use Code::{DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, ResourceExhausted, Unavailable};
    let ckr = "CKR_PIN_INCORRECT";
    vec![
        (TokenError::Absent { token: token() }, Unavailable, "TOKEN_ABSENT", true),
        (
            TokenError::Failed {
                token: token(),
                detail: "the module is left alone until a reload".to_owned(),
            },
            Unavailable,
            "TOKEN_FAILED",
            true,
        ),
        (
            TokenError::Draining { token: token() },
            Unavailable,
            "TOKEN_DRAINING",
            true,
        ),
        (
            TokenError::Locked { token: token() },
            FailedPrecondition,
            "TOKEN_LOCKED",
            false,
        ),
        (
            TokenError::PinIncorrect {
                token: token(),
                ckr: ckr.into(),
            },
            InvalidArgument,
            "PIN_INCORRECT",
            false,
        ),
        (
            TokenError::PinUnanswered { token: token() },
            InvalidArgument,
            "PIN_UNANSWERED",
            false,
        ),
        (
            TokenError::PinUnansweredAtFinalTry { token: token() },
            InvalidArgument,
            "PIN_UNANSWERED",
            false,
        ),
        (
            TokenError::PinAlreadyFailed { token: token() },
            InvalidArgument,
            "PIN_ALREADY_FAILED",
            false,
        ),
        (
            TokenError::PinIncorrectAtPad {
                token: token(),
                ckr: ckr.into(),
            },
            InvalidArgument,
            "PIN_INCORRECT",
            false,
        ),
        (
            TokenError::PinNotEntered {
                token: token(),
                ckr: "CKR_FUNCTION_CANCELED".into(),
            },
            FailedPrecondition,
            "PIN_NOT_ENTERED",
            false,
        ),
        (
            TokenError::PinMismatch { token: token() },
            InvalidArgument,
            "PIN_MISMATCH",
            false,
        ),
        (
            TokenError::PinUnknown { token: token() },
            FailedPrecondition,
            "PIN_UNKNOWN",
            false,
        ),
        (
            TokenError::NewPinRefused {
                token: token(),
                detail: "it must have 4 to 8 bytes".into(),
            },
            InvalidArgument,
            "NEW_PIN_REFUSED",
            false,
        ),
        (
            TokenError::PinChangeUnclear {
                token: token(),
                ckr: "CKR_DEVICE_ERROR".into(),
            },
            FailedPrecondition,
            "PIN_CHANGE_UNCLEAR",
            false,
        ),
        (
            TokenError::PinMemory {
                token: token(),
                detail: "/state/pins: No space left on device".to_owned(),
            },
            Unavailable,
            "PIN_MEMORY_UNAVAILABLE",
            false,
        ),
        (
            TokenError::PinLocked { token: token() },
            FailedPrecondition,
            "PIN_LOCKED",
            false,
        ),
        (
            TokenError::PinFinalTry { token: token() },
            FailedPrecondition,
            "PIN_FINAL_TRY",
            false,
        ),
        (
            TokenError::KeyNotFound {
                token: token(),
                key: key(),
            },
            FailedPrecondition,
            "KEY_ABSENT",
            false,
        ),
        (
            TokenError::KeyRole {
                token: token(),
                key: key(),
                operation: "sign".into(),
            },
            FailedPrecondition,
            "KEY_ROLE_MISMATCH",
            false,
        ),
        (
            TokenError::MechanismUnsupported {
                token: token(),
                mechanism: "CKM_ECDSA".into(),
            },
            FailedPrecondition,
            "MECHANISM_UNSUPPORTED",
            false,
        ),
        (
            TokenError::QueueFull { token: token() },
            ResourceExhausted,
            "QUEUE_FULL",
            true,
        ),
        (
            TokenError::DeadlineExceeded { token: token() },
            DeadlineExceeded,
            "DEADLINE_EXCEEDED",
            false,
        ),
        (
            TokenError::DecryptionFailed { token: token() },
            InvalidArgument,
            "DECRYPTION_FAILED",
            false,
        ),
        (
            TokenError::InputRefused {
                token: token(),
                detail: "x".into(),
            },
            InvalidArgument,
            "INPUT_REFUSED",
            false,
        ),
        (
            TokenError::Ckr {
                token: token(),
                function: "C_Sign".into(),
                ckr: ckr.into(),
            },
            Internal,
            "TOKEN_ERROR",
            true,
        ),
        (
            TokenError::TimedOut { token: token() },
            DeadlineExceeded,
            "TOKEN_TIMEOUT",
            false,
        ),
        (
            TokenError::WorkerLost {
                token: token(),
                how: "signal 11".to_owned(),
            },
            Unavailable,
            "MODULE_ENDED",
            true,
        ),
        (
            TokenError::Shutdown { token: token() },
            Unavailable,
            "SHUTTING_DOWN",
            true,
        ),
    ]
}

fn known(error: &OpError) {
    match error {
        OpError::NotPermitted
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
        | OpError::DeadlineExceeded
        | OpError::Cancelled(_)
        | OpError::Internal(_) => {}
    }
}

fn invalid() -> Vec<Invalid> {
    let (field, hint, found) = ("field", "hint", 1);
    vec![
        Invalid::Unreadable("x".into()),
        Invalid::RequestTooLarge("x".into()),
        Invalid::MetadataTooLarge { limit: 1 },
        Invalid::name("name", "keys/{sha256}", "x"),
        Invalid::PageSize,
        Invalid::PageToken,
        Invalid::Missing { field, hint },
        Invalid::Value { field, value: 1, hint },
        Invalid::AlgorithmMismatch {
            key: "a P-256 key".into(),
            wanted: "rsa-pkcs1-sha256",
        },
        Invalid::Length {
            field,
            found,
            wanted: "exactly 2".into(),
        },
        Invalid::PeerPublicKey {
            curve: "P-256",
            why: "it is not on the curve",
        },
        Invalid::CiphertextRange,
        Invalid::OptionsMissing,
        Invalid::OptionsRepeated,
        Invalid::ContentTooLarge { found, limit: 1 },
        Invalid::MessageTooLarge { limit: 1 },
        Invalid::MessageEmpty,
        Invalid::SenderUnknown,
        Invalid::SenderAmbiguous { count: 2 },
        Invalid::NoRecipients,
        Invalid::TooManyRecipients { found, limit: 1 },
        Invalid::RecipientCertificate {
            which: "1".into(),
            why: "x".into(),
        },
        Invalid::RecipientNotValid {
            subject: "CN=x".into(),
            when: "expired on 2020-01-01T00:00:00Z".into(),
        },
    ]
}

#[test]
fn every_error_has_its_code_reason_request_id_and_retry() {
    for (error, code, reason, retries) in all() {
        let status = status(&error, "request-1");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{error:?}");
        assert_eq!(info.domain, "chancery");
        assert_eq!(info.metadata.get("request_id").map(String::as_str), Some("request-1"));
        assert_eq!(details.retry_info().is_some(), retries, "{error:?}");
        assert!(!status.message().is_empty());
    }
}

#[test]
fn every_invalid_request_is_an_invalid_argument_with_a_reason_of_its_own() {
    let mut reasons = std::collections::BTreeSet::new();
    for one in invalid() {
        let error = OpError::Invalid(one);
        let status = status(&error, "r");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(reasons.insert(error.reason()), "{} stands twice", error.reason());
    }
}

#[test]
fn the_token_and_its_ckr_stand_in_the_metadata() {
    let error = OpError::Token(TokenError::Ckr {
        token: token(),
        function: "C_Sign".into(),
        ckr: "CKR_DEVICE_ERROR".into(),
    });
    let details = status(&error, "r").get_error_details();
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!(metadata.get("token").map(String::as_str), Some("card"));
    assert_eq!(metadata.get("ckr").map(String::as_str), Some("CKR_DEVICE_ERROR"));
}

#[test]
fn the_detail_of_an_internal_error_stays_in_the_log() {
    for (error, ..) in all() {
        let status = status(&error, "request-1");
        if status.code() == Code::Internal {
            assert!(!status.message().contains("secret detail"), "{}", status.message());
        }
    }
}

#[test]
fn a_failed_decryption_looks_the_same_wherever_it_failed() {
    let one = status(&OpError::DecryptionFailed, "r");
    let other = status(&OpError::from(TokenError::DecryptionFailed { token: token() }), "r");
    assert_eq!(one.code(), other.code());
    assert_eq!(one.message(), other.message());
    assert_eq!(one.details(), other.details());
}

#[test]
fn the_documentation_lists_exactly_the_reasons_that_there_are() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let page = std::fs::read_to_string(page).unwrap();
    let listed: std::collections::BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(reason, _)| reason.to_owned())
        .collect();
    let all = all().into_iter().map(|(_, _, reason, _)| reason.to_owned());
    let invalid = invalid().into_iter().map(|invalid| invalid.reason().to_owned());
    assert_eq!(listed, all.chain(invalid).collect());
}
