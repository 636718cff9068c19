//! The daemon's own errors: a gRPC status with `google.rpc.ErrorInfo` and, where trying again helps, `RetryInfo`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::ErrorKind;
use crate::ERROR_DOMAIN;

/// An error that the daemon answered.
#[derive(Clone, Debug)]
pub struct Failure {
    code: Code,
    message: String,
    reason: Option<String>,
    metadata: BTreeMap<String, String>,
    retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn from_status(status: &Status) -> Self {
        // A reason of another domain (a proxy's, say) means nothing here.
        let info = status
            .get_details_error_info()
            .filter(|info| info.domain == ERROR_DOMAIN);
        let (reason, metadata) = match info {
            Some(info) => (Some(info.reason), info.metadata.into_iter().collect()),
            None => (None, BTreeMap::new()),
        };
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason,
            metadata,
            retry_after: status.get_details_retry_info().and_then(|info| info.retry_delay),
        }
    }

    /// The gRPC status code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the daemon says, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The stable UPPER_SNAKE reason, such as `DECRYPTION_FAILED`. Absent if it was not chanceryd that answered.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What the reason is about: the token's name, the CKR name, the request id, in the daemon's own keys.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// How long to wait before trying again; absent where trying again does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What kind of thing went wrong. The reason decides where the status code alone is too broad; a reason that is not
    /// known here falls back on the code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        let reason = self.reason().unwrap_or_default();
        match reason {
            "DECRYPTION_FAILED" => return ErrorKind::Undecryptable,
            "NO_SIGNING_KEY"
            | "NO_ENCRYPTION_CERTIFICATE"
            | "NO_DECRYPTION_KEY"
            | "MECHANISM_UNSUPPORTED"
            | "TOKEN_ERROR" => return ErrorKind::Unavailable,
            "MALFORMED_MESSAGE"
            | "WRONG_MESSAGE_KIND"
            | "UNSUPPORTED_MESSAGE"
            | "LIMIT_EXCEEDED"
            | "MESSAGE_EMPTY"
            | "MESSAGE_TOO_LARGE" => return ErrorKind::Malformed,
            _ => {}
        }
        let begins_with = |prefixes: &[&str]| prefixes.iter().any(|prefix| reason.starts_with(prefix));
        match self.code {
            Code::PermissionDenied | Code::Unauthenticated => ErrorKind::Refused,
            Code::InvalidArgument | Code::FailedPrecondition if begins_with(&["PIN_"]) => ErrorKind::Unavailable,
            Code::Unavailable | Code::FailedPrecondition | Code::NotFound
                if begins_with(&["TOKEN_", "KEY_", "IDENTITY_"]) =>
            {
                ErrorKind::Unavailable
            }
            Code::InvalidArgument | Code::OutOfRange | Code::NotFound => ErrorKind::Usage,
            Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Cancelled
            | Code::FailedPrecondition => ErrorKind::Busy,
            _ => ErrorKind::Internal,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            write!(f, "chanceryd answered {:?}", self.code)?;
        } else {
            f.write_str(&self.message)?;
        }
        let Some(reason) = self.reason() else {
            return if self.message.is_empty() {
                Ok(())
            } else {
                write!(f, " ({:?})", self.code)
            };
        };
        write!(f, " ({reason}")?;
        for (key, value) in &self.metadata {
            write!(f, ", {key}: {value}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn failure(code: Code, reason: &str) -> Failure {
        let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new());
        details.set_retry_info(Some(Duration::from_secs(2)));
        Failure::from_status(&Status::with_error_details(code, "no", details))
    }

    #[test]
    fn the_kind_follows_the_code_and_the_reason() {
        use ErrorKind::*;
        for (code, reason, kind) in [
            (Code::PermissionDenied, "NOT_PERMITTED", Refused),
            (Code::PermissionDenied, "KEY_SOMETHING", Refused),
            (Code::Unauthenticated, "", Refused),
            (Code::Unavailable, "TOKEN_ABSENT", Unavailable),
            (Code::FailedPrecondition, "TOKEN_LOCKED", Unavailable),
            (Code::Internal, "TOKEN_ERROR", Unavailable),
            (Code::NotFound, "KEY_NOT_FOUND", Unavailable),
            (Code::FailedPrecondition, "NO_DECRYPTION_KEY", Unavailable),
            (Code::InvalidArgument, "PIN_INCORRECT", Unavailable),
            (Code::InvalidArgument, "MALFORMED_MESSAGE", Malformed),
            (Code::InvalidArgument, "WRONG_MESSAGE_KIND", Malformed),
            (Code::InvalidArgument, "DECRYPTION_FAILED", Undecryptable),
            (Code::InvalidArgument, "INVALID_NAME", Usage),
            (Code::InvalidArgument, "", Usage),
            (Code::NotFound, "", Usage),
            (Code::ResourceExhausted, "QUEUE_FULL", Busy),
            (Code::Unavailable, "", Busy),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", Busy),
            (Code::Internal, "INTERNAL", Internal),
            (Code::Unimplemented, "", Internal),
        ] {
            assert_eq!(failure(code, reason).kind(), kind, "{code:?} {reason}");
        }
    }

    #[test]
    fn reason_metadata_and_retry_hint_are_carried() {
        let metadata = HashMap::from([("token".to_owned(), "tokens/card".to_owned())]);
        let mut details = ErrorDetails::with_error_info("TOKEN_ABSENT", ERROR_DOMAIN, metadata);
        details.set_retry_info(Some(Duration::from_secs(2)));
        let failure = Failure::from_status(&Status::with_error_details(
            Code::Unavailable,
            "it is not there",
            details,
        ));
        assert_eq!(failure.reason(), Some("TOKEN_ABSENT"));
        assert_eq!(failure.retry_after(), Some(Duration::from_secs(2)));
        assert_eq!(
            failure.to_string(),
            "it is not there (TOKEN_ABSENT, token: tokens/card)"
        );
    }

    #[test]
    fn a_reason_of_another_domain_is_not_ours() {
        let details = ErrorDetails::with_error_info("DECRYPTION_FAILED", "example.org", HashMap::new());
        let failure = Failure::from_status(&Status::with_error_details(Code::Internal, "", details));
        assert_eq!(failure.reason(), None);
        assert_eq!(failure.kind(), ErrorKind::Internal);
        assert_eq!(failure.to_string(), "chanceryd answered Internal");
    }
}
