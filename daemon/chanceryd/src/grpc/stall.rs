//! Callers that stall: who neither sends the next piece of a message nor takes the answer loses the place, so that it is there for
//! others.
//!
//! The operation cannot see to that itself. It lives in the answer, and HTTP/2 does not look at an answer that has nowhere to go.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::listen::HangUp;
use crate::ops::Turn;

/// What a watch ends.
pub(super) trait Stallable: Send + Sync + 'static {
    /// If it has `stalled`, frees what it holds and leaves nothing but an error to be taken. Whether it was so.
    fn end_if(&self, stalled: &dyn Fn() -> bool) -> bool;
}

/// A watch over one answer. Dropped, it ends.
pub(super) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends `answer` once it has been the caller's turn for `idle`. If the caller does not even take that error for as long again, its
/// connection is ended: what HTTP/2 holds of the answer is memory too.
pub(super) fn watch(answer: &Arc<impl Stallable>, turn: Turn, idle: Duration, hang_up: Option<HangUp>) -> Watch {
    let answer = Arc::downgrade(answer);
    Watch(tokio::spawn(async move {
        if until_stalled(&answer, &turn, idle).await {
            sleep(idle).await;
            if let Some(hang_up) = hang_up {
                tracing::warn!("a caller takes no answers any more; its connection is ended (limits.stream_idle)");
                hang_up.now();
            }
        }
    }))
}

/// True once it has been ended for that reason, false if it is gone.
async fn until_stalled(answer: &Weak<impl Stallable>, turn: &Turn, idle: Duration) -> bool {
    let since = || turn.of_the_caller_since().map(Instant::from_std);
    loop {
        // If it is not the caller's turn now, it cannot have been for so long before that time.
        let deadline = since().unwrap_or_else(Instant::now) + idle;
        sleep_until(deadline).await;
        let Some(answer) = answer.upgrade() else { return false };
        let stalled = || since().is_some_and(|since| since.elapsed() >= idle);
        if answer.end_if(&stalled) {
            return true;
        }
    }
}
