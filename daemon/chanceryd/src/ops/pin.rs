//! The PIN that the policy wants with each use of a key (`[[protect]]`), whatever the token wants. It is compared with the one
//! that the token was unlocked with, and not sent: no try of the token's is spent, and none of them would stop a guesser. So
//! wrong ones are counted here, for each caller apart, and after a few in a row nothing is compared any more until somebody
//! has unlocked the token anew.

use std::collections::HashMap;
use std::sync::Mutex;

use chancery_token::{Pin, TokenError};

use super::agents::{self, Answer};
use super::context::target_of;
use super::{Call, Context, OpError};
use crate::audit::Event;
use crate::directory::Key;
use crate::share::Holder;
use crate::sync::lock;

/// Wrong PINs in a row that a caller may give for a token.
const TRIES: u8 = 3;

/// How many wrong PINs each caller has given for each token since its last right one. As many entries as callers with a grant
/// for a protected key.
#[derive(Debug, Default)]
pub(super) struct WrongPins(Mutex<HashMap<(String, Holder), u8>>);

impl WrongPins {
    /// Somebody has unlocked the token: all callers may try anew.
    pub(super) fn forget(&self, token: &str) {
        let mut wrong = lock(&self.0);
        wrong.retain(|(of, _), _| of != token);
    }

    /// Asks whether a PIN is right, as long as the caller may.
    fn compare(
        &self,
        token: &str,
        holder: Holder,
        is_right: impl FnOnce() -> Result<bool, TokenError>,
    ) -> Result<(), OpError> {
        // Held meanwhile, so that of many at once each counts.
        let mut wrong = lock(&self.0);
        let token = token.to_owned();
        let place = (token.clone(), holder);
        let before = wrong.get(&place).copied().unwrap_or(0);
        let Some(left) = TRIES.checked_sub(before + 1) else {
            return Err(OpError::PinTriesSpent { token });
        };
        if is_right().map_err(OpError::Token)? {
            wrong.remove(&place);
            return Ok(());
        }
        wrong.insert(place, before + 1);
        Err(OpError::PinMismatch { token, left })
    }
}

/// Fails unless the PIN came with the call that the policy wants for this key, if it wants one, or an agent gives it. Call it
/// before anything is made of a message; what is refused is in the audit trail.
pub(super) async fn demand(
    context: &Context,
    call: &Call,
    event: &Event<'_>,
    key: &Key,
    pin: Option<&Pin>,
) -> Result<(), OpError> {
    if !context.grants.wants_pin(event.operation, &target_of(key)) {
        return Ok(());
    }
    let refusal = match judge(context, call, event, key, pin).await {
        Ok(()) => return Ok(()),
        Err(refusal) => refusal,
    };
    context.write_refusal(event, &refusal);
    Err(context.as_told(call, refusal))
}

/// The PIN of any token that has the key is right. If none is, the answer is about a token that could say so, if there is one.
async fn judge(context: &Context, call: &Call, event: &Event<'_>, key: &Key, pin: Option<&Pin>) -> Result<(), OpError> {
    let tokens = || {
        key.replicas
            .iter()
            .filter_map(|replica| context.directory.token_of(replica))
    };
    let first = tokens().next().ok_or(OpError::KeyNotFound(key.id))?;
    let (pin, holder) = match pin {
        Some(pin) => (pin.clone(), Holder::of(&call.caller)),
        None => {
            let token = || first.name().to_owned();
            let answer = agents::ask(context, call, event, key, first.name()).await;
            let Answer { pin, agent } = answer.ok_or_else(|| OpError::PinRequired { token: token() })?;
            tracing::info!(request_id = call.request_id, %agent, given = pin.is_some(), "an agent has answered");
            let pin = pin.ok_or_else(|| OpError::PinRefused { token: token() })?;
            (pin, Holder::of(&agent))
        }
    };
    let mut answer = None;
    for token in tokens() {
        let is_right = || token.is_unlocked_with(&pin);
        match context.wrong_pins.compare(token.name(), holder, is_right) {
            Ok(()) => return Ok(()),
            Err(error) if answer.is_none() || !matches!(error, OpError::Token(_)) => answer = Some(error),
            Err(_) => {}
        }
    }
    Err(answer.unwrap_or(OpError::KeyNotFound(key.id)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    const ALICE: Holder = Holder::User(1);
    const BOB: Holder = Holder::User(2);

    /// The answer to a PIN that is right or wrong.
    fn answer(wrong: &WrongPins, token: &str, holder: Holder, is_right: bool) -> &'static str {
        match wrong.compare(token, holder, || Ok(is_right)) {
            Ok(()) => "right",
            Err(error) => error.reason(),
        }
    }

    #[test]
    fn after_three_wrong_pins_in_a_row_a_caller_learns_no_more_of_this_token_until_it_is_unlocked() {
        let wrong = WrongPins::default();
        for _ in 0..TRIES {
            assert_eq!(answer(&wrong, "card", ALICE, false), "PIN_MISMATCH");
        }
        let never = || panic!("it was compared");
        assert!(matches!(
            wrong.compare("card", ALICE, never),
            Err(OpError::PinTriesSpent { .. })
        ));
        assert_eq!(answer(&wrong, "card", BOB, true), "right");
        assert_eq!(answer(&wrong, "hsm", ALICE, false), "PIN_MISMATCH");
        wrong.forget("card");
        assert_eq!(answer(&wrong, "card", ALICE, true), "right");
        let Err(OpError::PinMismatch { left, .. }) = wrong.compare("hsm", ALICE, || Ok(false)) else {
            panic!("it is another token")
        };
        assert_eq!(left, 1);
    }

    #[test]
    fn a_right_pin_forgives_the_callers_own_wrong_ones() {
        let wrong = WrongPins::default();
        for _ in 0..5 {
            assert_eq!(answer(&wrong, "card", ALICE, false), "PIN_MISMATCH");
            assert_eq!(answer(&wrong, "card", ALICE, false), "PIN_MISMATCH");
            assert_eq!(answer(&wrong, "card", ALICE, true), "right");
        }
        for _ in 0..TRIES {
            assert_eq!(answer(&wrong, "card", BOB, false), "PIN_MISMATCH");
            assert_eq!(answer(&wrong, "card", ALICE, true), "right");
        }
        assert_eq!(answer(&wrong, "card", BOB, true), "PIN_TRIES_SPENT");
    }

    #[test]
    fn a_pin_that_could_not_be_compared_counts_for_nothing() {
        let wrong = WrongPins::default();
        let locked = || {
            Err(TokenError::Locked {
                token: "card".to_owned(),
            })
        };
        for _ in 0..=TRIES {
            assert_eq!(
                wrong.compare("card", ALICE, locked).unwrap_err().reason(),
                "TOKEN_LOCKED"
            );
        }
        assert_eq!(answer(&wrong, "card", ALICE, true), "right");
    }
}
