//! Which token a call into the module is counted for: that of the thread. The anchor and the workers serve one token each for
//! as long as they run, while the module's function list is shared by all tokens of the module.

use std::{cell::RefCell, sync::Arc, time::Instant};

use cryptoki_sys::CK_RV;

use super::{Function, Login, Metrics};
use crate::ckr::Failure;

thread_local! {
    static METRICS: RefCell<Option<Arc<Metrics>>> = const { RefCell::new(None) };
}

/// From now on, what this thread calls is counted there.
pub(crate) fn count_on_this_thread(metrics: Arc<Metrics>) {
    METRICS.set(Some(metrics));
}

/// Makes a call and counts it, if this thread counts.
pub(crate) fn counted(function: Function, call: impl FnOnce() -> CK_RV) -> CK_RV {
    METRICS.with_borrow(|metrics| {
        let Some(metrics) = metrics else { return call() };
        let begun = Instant::now();
        let rv = call();
        metrics.called(function, begun.elapsed(), rv);
        rv
    })
}

/// Counts how a login ended, if this thread counts.
pub(crate) fn logged_in(result: &Result<(), Failure>) {
    METRICS.with_borrow(|metrics| {
        if let Some(metrics) = metrics {
            metrics.logged_in(match result {
                Ok(()) => Login::Succeeded,
                Err(failure) if failure.ckr.is_wrong_pin() => Login::Refused,
                Err(_) => Login::Failed,
            });
        }
    });
}
