//! What the trail is told: who wants what, and how it ended.

use super::record::Body;
use crate::caller::Caller;
use crate::policy::Operation;

/// One use of a key, or an act of administration, about to happen.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Who asks.
    pub caller: &'a Caller,
    /// For what.
    pub operation: Operation,
    /// Through which method: `chancery.v1.MailService/Sign`.
    pub rpc: &'static str,
    /// The grant that allows it.
    pub grant: Option<&'a str>,
    /// The addr-spec it is done for.
    pub identity: Option<&'a str>,
    /// The key's name, in hexadecimal.
    pub key: Option<&'a str>,
    /// The token's name in the configuration.
    pub token: Option<&'a str>,
    /// The number of the intent of a try before, which this one repeats after it has failed.
    pub retry_of: Option<u64>,
    /// What exactly.
    pub detail: Detail<'a>,
}

/// What exactly is done with the key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Detail<'a> {
    /// The algorithm, as the contract names it.
    pub algorithm: Option<&'a str>,
    /// The digest that is signed, in hexadecimal.
    pub digest: Option<&'a str>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// As asked.
    Done,
    /// Not as asked.
    Failed {
        /// The reason that the caller is told.
        reason: &'a str,
    },
    /// Nobody waited for the end.
    Abandoned,
}

impl<'a> Outcome<'a> {
    /// As the record of the outcome of an intent.
    pub(super) fn of(self, intent: u64, request: &'a str) -> Body<'a> {
        let (result, reason) = self.words();
        Body::Outcome {
            intent,
            request,
            result,
            reason,
        }
    }

    pub(super) const fn words(self) -> (&'static str, Option<&'a str>) {
        match self {
            Self::Done => ("done", None),
            Self::Failed { reason } => ("failed", Some(reason)),
            Self::Abandoned => ("abandoned", None),
        }
    }
}
