//! How a connection is ended from inside a request.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};

use crate::sync::lock;

/// Ends the connection that it belongs to, with all requests on it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct HangUp(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    done: bool,
    reader: Option<Waker>,
}

impl HangUp {
    /// Ends it.
    pub fn now(&self) {
        let reader = {
            let mut state = self.state();
            state.done = true;
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether it is to end. If not, whoever reads is woken when it is.
    pub(super) fn is_done(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        if !state.done
            && !state
                .reader
                .as_ref()
                .is_some_and(|reader| reader.will_wake(context.waker()))
        {
            state.reader = Some(context.waker().clone());
        }
        state.done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}
