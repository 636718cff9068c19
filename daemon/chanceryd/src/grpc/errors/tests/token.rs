//! Every error of a token.

use chancery_token::TokenError;
use tonic::Code;

use super::{key, token};

/// Each with its code, its reason and whether it says when to try again.
pub(super) fn errors() -> Vec<(TokenError, Code, &'static str, bool)> {
    use Code::{DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, ResourceExhausted, Unavailable};
    let ckr = "CKR_PIN_INCORRECT";
    vec![
        (TokenError::Absent { token: token() }, Unavailable, "TOKEN_ABSENT", true),
        (
            TokenError::Failed {
                token: token(),
                detail: "its module is parked for a minute, or until a reload".to_owned(),
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
            TokenError::PinInsistenceSpent {
                token: token(),
                remedy: "start the daemon anew".to_owned(),
            },
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
            TokenError::ModuleEnded {
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
