//! `TokenService`: what the tokens can do now, how that changes, and logging in and out of them.

mod insistence;
mod lease;
mod watch;

use std::sync::Arc;

use chancery_token::{
    Drain, MetricsSnapshot, Pin, PinChange, PinEntry, TokenError, TokenHandle, TokenState, TokenStatus, Unlock,
};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::{Call, Context, Invalid, OpError, Page, PageRequest, private_key};
use crate::audit::Event;
use crate::policy::{Operation, Target};

pub(super) use insistence::Insistence;
pub(super) use lease::Leases;
pub use lease::{Left, Terms};
pub use watch::{Watch, watch};

/// The longest PIN that is passed on, in bytes.
const PIN_LIMIT: usize = 255;

/// A token as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name in the configuration.
    pub name: String,
    /// What it can do.
    pub status: TokenStatus,
    /// For how long it is unlocked, if that has an end.
    pub lease: Option<Left>,
    /// Why it takes no new work, if it takes none.
    pub drain: Option<Drain>,
    /// Operations that wait for a worker session, or for the token to come back.
    pub jobs_waiting: usize,
    /// Operations that it has been given and has not answered.
    pub jobs_running: usize,
    /// How often the process around its module was started again.
    pub worker_restarts: u64,
    /// What it has been asked for, for callers who are told.
    pub activity: Option<MetricsSnapshot>,
}

/// The configured tokens in the order of their names, for callers with `admin` or `list`.
///
/// # Errors
///
/// [`OpError::NotPermitted`] for callers with neither.
pub fn list(context: &Context, call: &Call, page: &PageRequest) -> Result<Page<Described>, OpError> {
    may_list(context, call)?;
    let rest = by_name(context)
        .into_iter()
        .filter(|token| page.after.as_deref().is_none_or(|after| token.name() > after));
    let shows = shows_activity(context, call);
    Ok(
        page.fill(rest.map(|token| describe_wholly(context, token, shows)), |described| {
            described.name.clone()
        }),
    )
}

/// Logs in to a token, for as long as `terms` say; its keys are in the directory when this returns.
///
/// # Errors
///
/// [`OpError::NotPermitted`] without an `admin` grant, whether the token exists or not; [`OpError::Invalid`] for a PIN that
/// is too long, or empty where there is no PIN pad, or terms that are no time; [`OpError::Audit`] if it cannot be recorded that
/// somebody insists; what the token says of the PIN.
pub async fn unlock(
    context: &Arc<Context>,
    call: &Call,
    name: &str,
    pin: Zeroizing<Vec<u8>>,
    terms: Terms,
    even_if_unanswered: bool,
) -> Result<Described, OpError> {
    let (token, grant) = authorized(context, call, name)?;
    let pin = if pin.is_empty() && has_pad(token) {
        PinEntry::AtPad
    } else {
        PinEntry::Given(checked("pin", pin)?)
    };
    let terms = terms.check()?;
    let login = Unlock {
        pin,
        even_if_unanswered,
    };
    // Whoever goes before their turn has come leaves no PIN behind, and has begun nothing.
    let turn = context.leases.turn(token.name()).await;
    let insistence = match even_if_unanswered {
        true => Some(Insistence::begin(context, call, token)?),
        false => None,
    };
    let (all, unlocked, now) = (Arc::clone(context), token.clone(), call.now);
    let work = async move {
        let result = all.leases.unlock(&turn, &unlocked, login, terms, now).await;
        if let Some(insistence) = insistence {
            insistence.end(&result);
        }
        drop(turn);
        result?;
        all.wrong_pins.forget(unlocked.name());
        Ok(())
    };
    run(context, call, token, grant, Record::Before, work).await
}

/// A token whose PIN was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The token.
    pub token: Described,
    /// Where its PIN is configured, and has to be replaced too.
    pub configured_in: Option<String>,
}

/// Has a token replace its PIN.
///
/// # Errors
///
/// [`OpError::NotPermitted`] without an `admin` grant, whether the token exists or not; [`OpError::Invalid`] for a PIN that
/// is too long, or empty where there is no PIN pad; what the token says of the PINs.
pub async fn change_pin(
    context: &Arc<Context>,
    call: &Call,
    name: &str,
    old: Zeroizing<Vec<u8>>,
    new: Zeroizing<Vec<u8>>,
) -> Result<Changed, OpError> {
    let (token, grant) = authorized(context, call, name)?;
    let change = if old.is_empty() && new.is_empty() && has_pad(token) {
        PinChange::AtPad
    } else {
        PinChange::Given {
            old: checked("old_pin", old)?,
            new: checked("new_pin", new)?,
        }
    };
    let changed = token.clone();
    let work = async move { changed.change_pin(change).await };
    let token = run(context, call, token, grant, Record::Before, work).await?;
    Ok(Changed {
        configured_in: context.settings.pin_sources.get(&token.name).cloned(),
        token,
    })
}

/// Logs out of a token and forgets its PIN: at once, or when it is `drained` of all that it has to do. Until then it takes
/// nothing new. It is done even if it cannot be recorded now.
///
/// # Errors
///
/// [`OpError::NotPermitted`] without an `admin` grant, whether the token exists or not; what the token says.
pub async fn lock(context: &Arc<Context>, call: &Call, name: &str, drained: bool) -> Result<Described, OpError> {
    let (token, grant) = authorized(context, call, name)?;
    let (all, locked) = (Arc::clone(context), token.clone());
    let work = async move {
        match drained {
            true => drain(&all, &locked).await,
            false => all.leases.lock(&locked).await,
        }
    };
    run(context, call, token, grant, Record::WhenPossible, work).await
}

async fn drain(context: &Context, token: &TokenHandle) -> Result<(), TokenError> {
    token.drain_by_hand();
    if !context.leases.lock_emptied(token).await? {
        return Ok(());
    }
    let note = format!("{}: its work is done, and it is locked", token.name());
    context.audit.remark("token-drained", &note);
    Ok(())
}

fn has_pad(token: &TokenHandle) -> bool {
    token.status().protected_authentication_path
}

/// A PIN of a length that is passed on.
fn checked(field: &'static str, pin: Zeroizing<Vec<u8>>) -> Result<Pin, Invalid> {
    if (1..=PIN_LIMIT).contains(&pin.len()) {
        return Ok(Pin::new(pin));
    }
    Err(Invalid::Length {
        field,
        found: pin.len(),
        wanted: format!("1 to {PIN_LIMIT}"),
    })
}

fn may_list(context: &Context, call: &Call) -> Result<(), OpError> {
    if context.allows(call, Operation::List, &Target::default()).is_none() {
        context.authorize(call, Operation::Admin, &Target::default())?;
    }
    Ok(())
}

fn by_name(context: &Context) -> Vec<&TokenHandle> {
    let mut tokens: Vec<&TokenHandle> = context.directory.tokens().iter().collect();
    tokens.sort_by_key(|token| token.name());
    tokens
}

fn authorized<'a>(context: &'a Context, call: &Call, name: &str) -> Result<(&'a TokenHandle, Arc<str>), OpError> {
    let grant = context.authorize(call, Operation::Admin, &Target::default())?;
    let mut tokens = context.directory.tokens().iter();
    let token = tokens.find(|token| token.name() == name);
    token
        .map(|token| (token, grant))
        .ok_or_else(|| OpError::TokenNotFound(name.chars().take(80).collect()))
}

/// When something has to be in the audit trail.
#[derive(Clone, Copy)]
enum Record {
    /// Before it is done.
    Before,
    /// As soon as that is possible: it is done in any case.
    WhenPossible,
}

/// Does `work` between the record of the intent and that of the outcome, to the end even if nobody waits for it any more: what
/// becomes of a token is recorded as it ended. Then the directory is brought up to date, so that whoever unlocked a token
/// finds its keys at once.
async fn run(
    context: &Arc<Context>,
    call: &Call,
    token: &TokenHandle,
    grant: Arc<str>,
    record: Record,
    work: impl Future<Output = Result<(), TokenError>> + Send + 'static,
) -> Result<Described, OpError> {
    let name = token.name().to_owned();
    let (context, call, token) = (Arc::clone(context), call.clone(), token.clone());
    let to_the_end = async move {
        let event = Event {
            token: Some(token.name()),
            ..call.event(Operation::Admin, Some(&grant))
        };
        match record {
            Record::Before => private_key::run(&context, &call, &event, work).await?,
            Record::WhenPossible => private_key::run_in_any_case(&context, &call, &event, work).await?,
        }
        context.directory.index().await;
        Ok(describe(&context, &token))
    };
    // It only fails if it panics or the runtime ends.
    let done = tokio::spawn(to_the_end.in_current_span()).await;
    done.unwrap_or(Err(OpError::Token(TokenError::Shutdown { token: name })))
}

fn describe(context: &Context, token: &TokenHandle) -> Described {
    let status = token.status();
    // What is left of a lease means nothing once the token is locked.
    let left = || context.leases.left(token.name());
    Described {
        lease: (status.state != TokenState::Locked).then(left).flatten(),
        name: token.name().to_owned(),
        status,
        drain: token.drain(),
        jobs_waiting: token.jobs_waiting(),
        jobs_running: token.jobs_running(),
        worker_restarts: token.worker_restarts(),
        activity: None,
    }
}

/// As [`describe`], with what the token has been asked for if that is to be shown.
fn describe_wholly(context: &Context, token: &TokenHandle, shows_activity: bool) -> Described {
    Described {
        activity: shows_activity.then(|| token.metrics()),
        ..describe(context, token)
    }
}

/// How often keys are used, and for how long, is the administrator's to know.
fn shows_activity(context: &Context, call: &Call) -> bool {
    context.allows(call, Operation::Admin, &Target::default()).is_some()
}
