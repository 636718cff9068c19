//! What every operation has at hand, and what it knows about the call that asked for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chancery_smime::algorithm::{ContentEncryptionAlgorithm, DigestAlgorithm};
use chancery_smime::limits::Limits;
use chancery_token::{Priority, TokenError};
use tokio::sync::watch;

use super::OpError;
use super::admission::{Admission, Full, Place};
use super::agents::Agents;
use super::pin::WrongPins;
use super::private_key::Troubles;
use super::rejection::ImplicitRejection;
use super::tokens::Leases;
use crate::audit::{Detail, Event, Trail};
use crate::caller::Caller;
use crate::directory::{Directory, Key};
use crate::policy::{Decision, Live, Operation, Target};
use crate::ration::LogRation;
use crate::spool::SpoolSettings;

/// Calls that watch tokens at once.
const WATCHES: usize = 256;
/// Of these, one caller's.
const WATCHES_PER_CALLER: usize = 32;

/// Agents that attend at once.
const AGENTS: usize = 256;
/// Of these, one caller's.
const AGENTS_PER_CALLER: usize = 8;

/// What every operation works with. Made once, shared by all calls.
#[derive(Debug)]
pub struct Context {
    /// Keys, identities and tokens.
    pub directory: Directory,
    /// The grants in force.
    pub grants: Live,
    /// The audit trail.
    pub audit: Trail,
    /// Limits and defaults from the configuration.
    pub settings: Settings,
    pub(super) rejection: ImplicitRejection,
    mail: Admission,
    watches: Admission,
    pub(super) leases: Arc<Leases>,
    pub(super) troubles: Troubles,
    pub(super) wrong_pins: WrongPins,
    pub(super) agents: Agents,
    agent_places: Admission,
    stopping: watch::Sender<bool>,
    /// What the log says of callers who look at what is not theirs.
    lookups: LogRation,
}

/// Limits and defaults from the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest message, in bytes.
    pub message_bytes: u64,
    /// Message operations at once.
    pub mail_streams: usize,
    /// Of these, one caller's.
    pub mail_streams_per_caller: usize,
    /// How long the caller of one may neither send nor take anything.
    pub stream_idle: Duration,
    /// The longest request message on the wire, in bytes.
    pub request_bytes: usize,
    /// Limits on the structure of messages.
    pub limits: Limits,
    /// The digest of signatures when a request names none.
    pub digest: DigestAlgorithm,
    /// The content encryption when a request names none.
    pub content_encryption: ContentEncryptionAlgorithm,
    /// The queue of messages whose request names none.
    pub mail_priority: Priority,
    /// How long one operation may take, on all tokens that are asked for it together.
    pub call_deadline: Duration,
    /// How long a request waits for a token that is absent; zero for not at all.
    pub absent_wait: Duration,
    /// Where the PINs of tokens are configured, for people, by the token's name.
    pub pin_sources: HashMap<String, String>,
    /// Where ciphertext waits for its tag.
    pub spool: SpoolSettings,
}

impl Context {
    /// Puts the parts together.
    ///
    /// # Errors
    ///
    /// If the system has no randomness to give.
    pub fn new(directory: Directory, grants: Live, audit: Trail, settings: Settings) -> Result<Self, getrandom::Error> {
        let mail = Admission::new(settings.mail_streams, settings.mail_streams_per_caller);
        let leases = Leases::new(audit.clone());
        let troubles = Troubles::new(directory.tokens().len());
        Ok(Self {
            directory,
            grants,
            audit,
            settings,
            rejection: ImplicitRejection::new()?,
            mail,
            watches: Admission::new(WATCHES, WATCHES_PER_CALLER),
            leases,
            troubles,
            wrong_pins: WrongPins::default(),
            agents: Agents::default(),
            agent_places: Admission::new(AGENTS, AGENTS_PER_CALLER),
            stopping: watch::Sender::new(false),
            lookups: LogRation::default(),
        })
    }

    /// Ends the operations that would otherwise last as long as their callers like. What else runs may finish.
    pub fn stop(&self) {
        self.agents.close();
        self.stopping.send_replace(true);
    }

    /// Returns once [`Context::stop`] has been called.
    pub async fn stopped(&self) {
        // The sender is here, so there is no error.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// A place for a message operation, to be kept until its last byte has been handed over.
    ///
    /// # Errors
    ///
    /// [`OpError::MailBusy`] if as many run as may, in all or for this caller.
    pub fn admit_mail(&self, call: &Call) -> Result<Place, OpError> {
        self.mail.admit(&call.caller).map_err(|full| {
            OpError::MailBusy(match full {
                Full::Caller => "limits.mail_streams_per_caller",
                Full::All => "limits.mail_streams",
            })
        })
    }

    /// A place for a call that watches tokens, to be kept as long as it does.
    pub(super) fn admit_watch(&self, call: &Call) -> Result<Place, OpError> {
        self.watches.admit(&call.caller).map_err(|_| OpError::TooManyWatches)
    }

    /// A place for an agent, to be kept as long as it attends.
    pub(super) fn admit_agent(&self, call: &Call) -> Result<Place, OpError> {
        self.agent_places
            .admit(&call.caller)
            .map_err(|_| OpError::TooManyAgents)
    }

    /// The grant that allows it, or the one answer that does not tell a missing grant from a missing thing.
    pub(super) fn authorize(
        &self,
        call: &Call,
        operation: Operation,
        target: &Target<'_>,
    ) -> Result<Arc<str>, OpError> {
        match self.grants.decide(&call.caller, operation, target) {
            Decision::Allowed { grant } => Ok(grant),
            Decision::Denied => {
                self.refused(call, operation, target);
                Err(OpError::NotPermitted)
            }
        }
    }

    /// The grant that allows it, if there is one; silent, for choosing among many.
    pub(super) fn allows(&self, call: &Call, operation: Operation, target: &Target<'_>) -> Option<Arc<str>> {
        match self.grants.decide(&call.caller, operation, target) {
            Decision::Allowed { grant } => Some(grant),
            Decision::Denied => None,
        }
    }

    /// An error of a token's as this caller is told it. Why a token failed, with what its module and the system said, may name
    /// files and other tokens: that is for those who may look at tokens, and for the log.
    pub(super) fn as_told(&self, call: &Call, error: OpError) -> OpError {
        let error = match error {
            OpError::Token(error @ (TokenError::Failed { .. } | TokenError::ModuleEnded { .. })) => error,
            error => return error,
        };
        let looks = [Operation::List, Operation::Admin];
        if looks
            .into_iter()
            .any(|look| self.allows(call, look, &Target::default()).is_some())
        {
            return OpError::Token(error);
        }
        let request_id = &call.request_id;
        tracing::info!(request_id, %error, "the caller is not told why");
        let withheld = format!("the log has the detail under request id {request_id}");
        OpError::Token(match error {
            TokenError::Failed { token, .. } => TokenError::Failed {
                token,
                detail: withheld,
            },
            TokenError::ModuleEnded { token, .. } => TokenError::ModuleEnded { token, how: withheld },
            error => error,
        })
    }

    fn refused(&self, call: &Call, operation: Operation, target: &Target<'_>) {
        let event = Event {
            key: target.key,
            identity: target.identities.first().map(String::as_str),
            ..call.event(operation, None)
        };
        self.write_refusal(&event, &OpError::NotPermitted);
    }

    /// Writes a refusal down: in the log, and in the audit trail if it was about more than looking; of a caller who has been
    /// refused too often of late, only how often.
    pub(super) fn write_refusal(&self, event: &Event<'_>, refusal: &OpError) {
        let (request_id, reason) = (event.request_id, refusal.reason());
        let is_told = match event.operation {
            Operation::List => Ok(self.lookups.allows(Some(event.caller), "a caller may not look at this")),
            _ => self.audit.refusal(event, reason),
        };
        match is_told {
            Ok(true) => tracing::info!(
                request_id, caller = %event.caller, rpc = event.rpc, operation = %event.operation, key = event.key,
                identity = event.identity, reason, "refused"
            ),
            Ok(false) => {}
            Err(error) => tracing::error!(request_id, %error, "a refusal could not be written to the audit trail"),
        }
    }
}

/// A call, as the edge found it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// What ties log, audit trail and answer together.
    pub request_id: String,
    /// The name of the method, such as `chancery.v1.KeyService/Sign`.
    pub rpc: &'static str,
    /// When it arrived.
    pub now: SystemTime,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

impl Call {
    /// Fails once the caller has stopped waiting: what has not been started is not started then.
    pub(super) fn still_wanted(&self) -> Result<(), OpError> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(OpError::DeadlineExceeded),
            _ => Ok(()),
        }
    }

    /// An event of this call, for the audit trail.
    pub(super) fn event<'a>(&'a self, operation: Operation, grant: Option<&'a str>) -> Event<'a> {
        Event {
            request_id: &self.request_id,
            caller: &self.caller,
            operation,
            rpc: self.rpc,
            grant,
            identity: None,
            key: None,
            token: None,
            retry_of: None,
            detail: Detail::default(),
        }
    }
}

/// A key as grants see it: by its name and by every address in its certificates.
pub(super) fn target_of(key: &Key) -> Target<'_> {
    Target {
        key: Some(&key.hex),
        identities: &key.identities,
    }
}
