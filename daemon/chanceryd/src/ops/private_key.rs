//! The one way to a private key: intent, token, outcome. Whoever comes here has been authorized.

use std::sync::atomic::{AtomicUsize, Ordering};

use chancery_token::{TokenError, TokenHandle, TokenState};

use super::{Call, Context, OpError};
use crate::audit::{Event, Outcome};
use crate::directory::{Directory, Key, Replica};
use crate::policy::Operation;

/// What a replica must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Sign.
    Sign,
    /// Decrypt or agree.
    Decrypt,
}

/// Does `work` on a token between the record of the intent and that of the outcome. If either cannot be written there is
/// no answer; if the intent cannot, `work` is not even begun. A caller who goes in between leaves an intent that the trail
/// closes as abandoned.
pub(super) async fn run<T>(
    context: &Context,
    call: &Call,
    event: &Event<'_>,
    work: impl Future<Output = Result<T, TokenError>>,
) -> Result<T, OpError> {
    call.still_wanted()?;
    let intent = context.audit.intent(event)?;
    let result = leased(context, event, work).await.map_err(OpError::from);
    let outcome = match &result {
        Ok(_) => Outcome::Done,
        Err(error) => {
            tracing::warn!(
                request_id = call.request_id,
                rpc = call.rpc,
                token = event.token,
                key = event.key,
                error = error as &dyn std::error::Error,
                "the token did not do it"
            );
            Outcome::Failed { reason: error.reason() }
        }
    };
    intent.outcome(outcome)?;
    result
}

/// Does `work` as one of the uses for which the token was unlocked, if they are counted or limited in time.
async fn leased<T>(
    context: &Context,
    event: &Event<'_>,
    work: impl Future<Output = Result<T, TokenError>>,
) -> Result<T, TokenError> {
    let _use = match event.token {
        Some(token) if event.operation != Operation::Admin => context.leases.take(token)?,
        _ => None,
    };
    work.await
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

/// A token that can do it with this key now; if there are several, each in turn. If none is ready, the error says what
/// the first of them lacks.
pub(super) fn choose<'a>(directory: &'a Directory, key: &Key, wanted: Use) -> Result<&'a TokenHandle, OpError> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let able = |replica: &&Replica| match wanted {
        Use::Sign => replica.can_sign,
        Use::Decrypt => replica.can_decrypt,
    };
    let tokens: Vec<&TokenHandle> = key
        .replicas
        .iter()
        .filter(able)
        .filter_map(|r| directory.token_of(r))
        .collect();
    if let [only] = tokens.as_slice() {
        // The token itself answers when it is not there.
        return Ok(only);
    }
    let ready: Vec<&TokenHandle> = tokens
        .iter()
        .copied()
        .filter(|token| token.status().state == TokenState::Ready)
        .collect();
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let chosen = turn
        .checked_rem(ready.len())
        .and_then(|n| ready.get(n))
        .or(tokens.first());
    chosen.copied().ok_or(OpError::KeyNotFound(key.id))
}
