//! Refusals: a few of each caller's one by one, and how many there were beside. Whoever asks for what he may not have must not
//! fill the disk, since then nobody can use a key any more. What used a key is not concerned: of that nothing is left out.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::record::{Body, CallerCount, EventBody};
use super::{AuditError, Event, Trail};
use crate::ration::Ration;
use crate::share::Holder;
use crate::sync::lock;

impl Trail {
    /// Writes that something was refused before it could touch a key. False if the caller has had too many refusals of late, so
    /// that this one was only counted.
    ///
    /// # Errors
    /// The refusal stands, and is counted.
    pub fn refusal(&self, event: &Event<'_>, reason: &str) -> Result<bool, AuditError> {
        let holder = Some(Holder::of(event.caller));
        let now = Instant::now();
        let is_written = self.refusals().allows(holder, now);
        if !is_written {
            self.0.left_out.fetch_add(1, Ordering::Relaxed);
            return Ok(false);
        }
        let refused = EventBody::new(event);
        let written = self.with(|state| state.writer.append(&Body::Refusal { refused, reason }));
        if written.is_err() {
            self.0.left_out.fetch_add(1, Ordering::Relaxed);
            self.refusals().count(holder, now);
        }
        written.map(|_| true)
    }

    /// How many refusals were not written down one by one.
    #[must_use]
    pub fn refusals_left_out(&self) -> u64 {
        self.0.left_out.load(Ordering::Relaxed)
    }

    /// Writes how many there were, once that is due or `at_once`.
    pub(super) fn tell_left_out(&self, at_once: bool) {
        let now = Instant::now();
        let Some(left_out) = self.refusals().take_left_out(now, at_once) else {
            return;
        };
        let callers = left_out.callers.iter();
        let told = Body::Refusals {
            count: left_out.count(),
            callers: callers
                .map(|(holder, count)| CallerCount::new(*holder, *count))
                .collect(),
            others: left_out.others,
        };
        match self.with(|state| state.writer.append(&told)) {
            Ok(_) => tracing::warn!(
                refusals = left_out.count(),
                "more was refused than the log says; the audit trail has how often and to whom"
            ),
            Err(_) => self.refusals().put_back(left_out, now),
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Ration> {
        // A panic leaves at worst one that is counted twice.
        lock(&self.0.refusals)
    }
}
