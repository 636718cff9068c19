//! What an operation can fail with. gRPC codes are not known here: `grpc/errors.rs` maps these to statuses. The stable
//! reasons are, because the audit trail writes them too.

use std::time::Duration;

use chancery_token::{KeyId, TokenError};

use super::invalid::Invalid;
use crate::audit::AuditError;
use crate::spool::SpoolError;

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// No grant allows it; or what was named does not exist and no grant would have allowed it either. The two cannot be
    /// told apart. Trying again does not help.
    #[error(
        "no grant allows this caller to do that, or there is no such thing; ask the operator of this daemon for a grant"
    )]
    NotPermitted,
    /// The request did not come through one of the daemon's listeners, which say who calls. Trying again does not help.
    #[error("the connection has no caller; connect through the daemon's own socket")]
    NoCaller,
    /// The request is wrong in itself.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A caller who holds a grant for this very key names a key that no token has.
    #[error("no token has the key keys/{0}")]
    KeyNotFound(KeyId),
    /// A caller who holds a grant for this very identity names one that no certificate has.
    #[error("no certificate here belongs to identities/{0}")]
    IdentityNotFound(String),
    /// A caller who may administer names a token that is not configured.
    #[error("there is no token {0:?} in the configuration")]
    TokenNotFound(String),
    /// Health or reflection is asked about a service or symbol that there is not.
    #[error("there is no service or symbol of that name here")]
    ServiceNotFound,
    /// There is no such method, or its request is compressed, which is not understood.
    #[error("there is no such method here, or not for requests that are compressed: this daemon is {}", env!("CARGO_PKG_VERSION"))]
    Unimplemented,
    /// A signature with a key for decryption or the other way round. No grant can allow it.
    #[error(
        "the key keys/{key} is not for {wanted}: its certificate's keyUsage or its attributes on the token say otherwise"
    )]
    KeyRoleMismatch {
        /// The key.
        key: KeyId,
        /// What was wanted of it.
        wanted: &'static str,
    },
    /// The identity has no valid signing certificate with its key on a token.
    #[error("identities/{0} has no key with a currently valid signing certificate")]
    NoSigningKey(String),
    /// The identity has no valid encryption certificate.
    #[error("identities/{0} has no currently valid encryption certificate")]
    NoEncryptionCertificate(String),
    /// None of the message's recipients is a key that the caller may decrypt with. It depends on the message's public
    /// bytes, the catalogue and the grants alone.
    #[error(
        "the message is encrypted to {recipients} recipient(s), none of them a key that this caller may decrypt with"
    )]
    NoDecryptionKey {
        /// Recipients of the message.
        recipients: usize,
    },
    /// The one decryption error: padding, unwrapping, tag, whatever it was.
    #[error("decryption failed")]
    DecryptionFailed,
    /// The message's public structure cannot be read.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// The message is not of the kind that was asked for.
    #[error("{0}")]
    WrongKind(String),
    /// The message uses an algorithm that this release does not know.
    #[error("{0}")]
    Unsupported(String),
    /// The message exceeds one of the limits on its structure.
    #[error("{0}")]
    Limit(String),
    /// The policy wants the token's PIN with each use of this key, and none came with the call.
    #[error("the policy wants the PIN of token {token} with each use of this key: send it with the call")]
    PinRequired {
        /// A token that has the key.
        token: String,
    },
    /// The policy wants the token's PIN with each use of this key, and whoever was asked for it refused.
    #[error(
        "the policy wants the PIN of token {token} with each use of this key, and whoever was asked for it refused"
    )]
    PinRefused {
        /// A token that has the key.
        token: String,
    },
    /// What came with the call is not the token's PIN. It was not sent to the token.
    #[error(
        "what came with the call is not the PIN of token {token}: it was not sent to the token; {left} more may be wrong"
    )]
    PinMismatch {
        /// The token.
        token: String,
        /// Wrong PINs that this caller may still give.
        left: u8,
    },
    /// The caller has given too many wrong PINs. Helps once somebody has unlocked the token anew.
    #[error(
        "too many wrong PINs of token {token} came with this caller's calls: none is compared any more until an administrator has \
         unlocked the token anew"
    )]
    PinTriesSpent {
        /// The token.
        token: String,
    },
    /// The token did not do it.
    #[error(transparent)]
    Token(TokenError),
    /// The audit trail cannot be written, so nothing happens.
    #[error("the audit trail cannot be written, so nothing was done; no private key is used until it can")]
    Audit(#[from] AuditError),
    /// It was begun, and how it ended cannot be written yet. Nothing is given out that the trail does not know of.
    #[error(
        "the audit trail cannot be written: a private key was used, or the token was asked to, but how that ended could not be \
         recorded, so the result is withheld; it is recorded once that is possible"
    )]
    Unrecorded(#[source] AuditError),
    /// Held ciphertext could not be kept.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// As many message operations run as may. Trying again helps once one of them is done.
    #[error("too many messages are worked on at once ({0}); try again when one of them is done")]
    MailBusy(&'static str),
    /// As many calls watch tokens as may, in all or for this caller. Trying again helps once one of them has ended.
    #[error("too many calls watch tokens at once, in all or for this caller; end one of them")]
    TooManyWatches,
    /// As many agents attend as may, in all or for this caller. Trying again helps once one of them has gone.
    #[error("too many agents attend at once, in all or for this caller; end one of them")]
    TooManyAgents,
    /// The caller neither sent nor took anything of a message for too long, and its place is wanted for others. Trying again
    /// helps a caller who goes on then.
    #[error(
        "nothing was sent and nothing taken for {}s, so the message was given up (limits.stream_idle)",
        .0.as_secs_f64()
    )]
    StreamIdle(Duration),
    /// The daemon was told to stop before anything of the message had come. Trying again helps once it has started again.
    #[error("the daemon is about to stop, and nothing of the message had come")]
    Stopping,
    /// The caller's deadline passed.
    #[error("the caller's deadline passed before it was done")]
    DeadlineExceeded,
    /// The caller has gone or broke the stream off.
    #[error("the caller broke the stream off: {0}")]
    Cancelled(String),
    /// A defect or a failure of the machine. The detail is for the log alone.
    #[error("internal error: {0}")]
    Internal(String),
}

impl OpError {
    /// The stable reason that clients and the audit trail see.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotPermitted => "NOT_PERMITTED",
            Self::NoCaller => "NO_CALLER",
            Self::Invalid(invalid) => invalid.reason(),
            Self::KeyNotFound(_) => "KEY_NOT_FOUND",
            Self::IdentityNotFound(_) => "IDENTITY_NOT_FOUND",
            Self::TokenNotFound(_) => "TOKEN_NOT_FOUND",
            Self::ServiceNotFound => "SERVICE_NOT_FOUND",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::KeyRoleMismatch { .. } => "KEY_ROLE_MISMATCH",
            Self::NoSigningKey(_) => "NO_SIGNING_KEY",
            Self::NoEncryptionCertificate(_) => "NO_ENCRYPTION_CERTIFICATE",
            Self::NoDecryptionKey { .. } => "NO_DECRYPTION_KEY",
            Self::DecryptionFailed => "DECRYPTION_FAILED",
            Self::Malformed(_) => "MALFORMED_MESSAGE",
            Self::WrongKind(_) => "WRONG_MESSAGE_KIND",
            Self::Unsupported(_) => "UNSUPPORTED_MESSAGE",
            Self::Limit(_) => "LIMIT_EXCEEDED",
            Self::PinRequired { .. } => "PIN_REQUIRED",
            Self::PinRefused { .. } => "PIN_REFUSED",
            Self::PinMismatch { .. } => "PIN_MISMATCH",
            Self::PinTriesSpent { .. } => "PIN_TRIES_SPENT",
            Self::Token(error) => token_reason(error),
            Self::Audit(_) | Self::Unrecorded(_) => "AUDIT_UNAVAILABLE",
            Self::Spool(SpoolError::Full { .. }) => "SPOOL_FULL",
            Self::MailBusy(_) => "MAIL_BUSY",
            Self::TooManyWatches => "TOO_MANY_WATCHES",
            Self::TooManyAgents => "TOO_MANY_AGENTS",
            Self::StreamIdle(_) => "STREAM_IDLE",
            Self::Stopping => "SHUTTING_DOWN",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Cancelled(_) => "CANCELLED",
            Self::Spool(_) | Self::Internal(_) => "INTERNAL",
        }
    }
}

impl From<TokenError> for OpError {
    /// A failed decryption is the one decryption error, without the token's words for it.
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::DecryptionFailed { .. } => Self::DecryptionFailed,
            other => Self::Token(other),
        }
    }
}

/// The reason for a token's error; what is not known here is internal.
fn token_reason(error: &TokenError) -> &'static str {
    match error {
        TokenError::Absent { .. } => "TOKEN_ABSENT",
        TokenError::Failed { .. } => "TOKEN_FAILED",
        TokenError::Draining { .. } => "TOKEN_DRAINING",
        TokenError::Locked { .. } => "TOKEN_LOCKED",
        TokenError::PinIncorrect { .. } | TokenError::PinIncorrectAtPad { .. } => "PIN_INCORRECT",
        TokenError::PinNotEntered { .. } => "PIN_NOT_ENTERED",
        TokenError::PinAlreadyFailed { .. } => "PIN_ALREADY_FAILED",
        TokenError::PinUnanswered { .. }
        | TokenError::PinUnansweredAtFinalTry { .. }
        | TokenError::PinInsistenceSpent { .. } => "PIN_UNANSWERED",
        TokenError::PinMismatch { .. } => "PIN_MISMATCH",
        TokenError::PinUnknown { .. } => "PIN_UNKNOWN",
        TokenError::NewPinRefused { .. } => "NEW_PIN_REFUSED",
        TokenError::PinChangeUnclear { .. } => "PIN_CHANGE_UNCLEAR",
        TokenError::PinMemory { .. } => "PIN_MEMORY_UNAVAILABLE",
        TokenError::PinLocked { .. } => "PIN_LOCKED",
        TokenError::PinFinalTry { .. } => "PIN_FINAL_TRY",
        TokenError::KeyNotFound { .. } => "KEY_ABSENT",
        TokenError::KeyRole { .. } => "KEY_ROLE_MISMATCH",
        TokenError::MechanismUnsupported { .. } => "MECHANISM_UNSUPPORTED",
        TokenError::QueueFull { .. } => "QUEUE_FULL",
        TokenError::DeadlineExceeded { .. } => "DEADLINE_EXCEEDED",
        TokenError::TimedOut { .. } => "TOKEN_TIMEOUT",
        TokenError::ModuleEnded { .. } => "MODULE_ENDED",
        TokenError::DecryptionFailed { .. } => "DECRYPTION_FAILED",
        TokenError::InputRefused { .. } => "INPUT_REFUSED",
        TokenError::Ckr { .. } => "TOKEN_ERROR",
        TokenError::Shutdown { .. } => "SHUTTING_DOWN",
        _ => "INTERNAL",
    }
}
