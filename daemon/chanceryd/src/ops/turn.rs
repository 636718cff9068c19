//! Whose turn it is while a message passes through: the caller's, to send the next piece or to take one of the answer, or ours.
//! It is asked only for how long it has been the caller's; what follows from that is decided in `grpc`.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::sync::lock;

/// Whose turn it is. Cheap to clone; all clones are of the same message.
#[derive(Clone, Debug, Default)]
pub struct Turn(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Since when the next piece is waited for.
    asked: Option<Instant>,
    /// Since when what was handed over has not been followed by a wish for more.
    offered: Option<Instant>,
    /// What has arrived is worked on, perhaps at a token or by somebody who is asked for a PIN, whatever is read ahead meanwhile.
    at_work: bool,
}

impl Turn {
    /// Does `work`. As long as it is not done, nobody waits for the caller to send more.
    pub(super) async fn at_work<T>(&self, work: impl Future<Output = T>) -> T {
        self.state().at_work = true;
        let done = work.await;
        let mut state = self.state();
        state.at_work = false;
        // The time of the work is not the caller's.
        state.asked = state.asked.map(|_| Instant::now());
        done
    }

    /// The next piece is wanted, and not there.
    pub fn asked(&self) {
        self.state().asked.get_or_insert_with(Instant::now);
    }

    /// The next piece has come, or the end.
    pub fn sent(&self) {
        self.state().asked = None;
    }

    /// Something has been handed over.
    pub fn offered(&self) {
        self.state().offered = Some(Instant::now());
    }

    /// More is wanted.
    pub fn taken(&self) {
        self.state().offered = None;
    }

    /// Since when it has been the caller's turn, if it is.
    #[must_use]
    pub fn of_the_caller_since(&self) -> Option<Instant> {
        let state = self.state();
        state.offered.or(state.asked.filter(|_| !state.at_work))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn it_is_the_callers_turn_when_a_piece_is_waited_for_or_one_is_not_taken() {
        let turn = Turn::default();
        assert_eq!(turn.of_the_caller_since(), None);
        turn.asked();
        let since = turn.of_the_caller_since().unwrap();
        turn.asked();
        assert_eq!(
            turn.of_the_caller_since(),
            Some(since),
            "asking again is no sign of life"
        );
        turn.sent();
        assert_eq!(turn.of_the_caller_since(), None);
        turn.offered();
        assert!(turn.of_the_caller_since().is_some());
        turn.taken();
        assert_eq!(turn.of_the_caller_since(), None);
    }

    #[tokio::test]
    async fn it_is_not_the_callers_turn_while_a_token_works() {
        let turn = Turn::default();
        turn.asked();
        let asked = turn.of_the_caller_since().unwrap();
        let during = turn.at_work(async { turn.of_the_caller_since() }).await;
        assert_eq!(during, None);
        assert!(
            turn.of_the_caller_since().unwrap() > asked,
            "the token's time is not the caller's"
        );
    }
}
