//! The one way to a private key: intent, token, outcome. Whoever comes here has been authorized. Which of the tokens that have
//! a key is asked, and which one after it, is in `replicas`.

mod choice;
mod replicas;
mod work;

use chancery_token::TokenError;

use super::{Call, Context, OpError};
use crate::audit::{Event, Outcome};
use crate::directory::Key;

pub(super) use choice::Troubles;
pub(super) use replicas::{Task, run_on_a_replica};
pub(super) use work::Work;

/// What a replica must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Sign.
    Sign,
    /// Decrypt or agree.
    Decrypt,
}

/// Does `work` on a token between the record of the intent and that of the outcome. If either cannot be written there is
/// no answer; if the intent cannot, `work` is not even begun. An outcome that cannot be written now is written later. A caller
/// who goes in between leaves an intent that the trail closes as abandoned.
pub(super) async fn run<T>(
    context: &Context,
    call: &Call,
    event: &Event<'_>,
    work: impl Future<Output = Result<T, TokenError>>,
) -> Result<T, OpError> {
    attempt(context, call, event, work).await?.result.map_err(OpError::from)
}

/// Does what makes things safer, as locking a token does: whether or not it can be recorded now.
pub(super) async fn run_in_any_case<T>(
    context: &Context,
    call: &Call,
    event: &Event<'_>,
    work: impl Future<Output = Result<T, TokenError>>,
) -> Result<T, OpError> {
    call.still_wanted()?;
    let intent = context.audit.intent_in_any_case(event);
    let result = work.await;
    let outcome = conclude(call, event, &result);
    let recorded = match intent {
        Ok(intent) => intent.outcome(outcome),
        Err(_) => context.audit.act(event, outcome),
    };
    if let Err(error) = recorded {
        let (request_id, caller, rpc, token) = (&call.request_id, &call.caller, call.rpc, event.token);
        tracing::error!(request_id, %caller, rpc, token, ?outcome, %error, "this is recorded once that is possible");
    }
    result.map_err(OpError::from)
}

/// What came of one token's try, which the trail knows by the number of its intent.
struct Attempt<T> {
    intent: u64,
    result: Result<T, TokenError>,
}

/// The same. An error is one that no other token would help against.
async fn attempt<T>(
    context: &Context,
    call: &Call,
    event: &Event<'_>,
    work: impl Future<Output = Result<T, TokenError>>,
) -> Result<Attempt<T>, OpError> {
    call.still_wanted()?;
    let intent = context.audit.intent(event)?;
    let number = intent.sequence();
    let result = work.await;
    let recorded = intent.outcome(conclude(call, event, &result));
    recorded.map_err(OpError::Unrecorded)?;
    Ok(Attempt { intent: number, result })
}

/// What the trail is told; the log has the detail of a failure.
fn conclude<T>(call: &Call, event: &Event<'_>, result: &Result<T, TokenError>) -> Outcome<'static> {
    let error = match result {
        Ok(_) => return Outcome::Done,
        Err(error) => error,
    };
    tracing::warn!(
        request_id = call.request_id,
        rpc = call.rpc,
        token = event.token,
        key = event.key,
        error = error as &dyn std::error::Error,
        "the token did not do it"
    );
    let reason = OpError::from(error.clone()).reason();
    Outcome::Failed { reason }
}

/// The role, whatever the grants say.
pub(super) fn require_role(key: &Key, wanted: Use) -> Result<(), OpError> {
    let (has, wanted) = match wanted {
        Use::Sign => (key.roles.sign, "signing"),
        Use::Decrypt => (key.roles.decrypt, "decryption"),
    };
    if has {
        Ok(())
    } else {
        Err(OpError::KeyRoleMismatch { key: key.id, wanted })
    }
}
