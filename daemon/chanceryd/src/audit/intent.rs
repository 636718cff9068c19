//! Something that was announced in the trail and has not ended yet.

use super::{AuditError, Outcome, Trail};

/// An intent without its outcome. Dropped, it ends as abandoned: the caller has gone, or the handler was cancelled.
#[derive(Debug)]
#[must_use = "an intent needs its outcome"]
pub struct Intent {
    trail: Trail,
    sequence: u64,
    request_id: String,
    pending: bool,
}

impl Intent {
    pub(super) fn new(trail: Trail, sequence: u64, request_id: &str) -> Self {
        Self {
            trail,
            sequence,
            request_id: request_id.to_owned(),
            pending: true,
        }
    }

    /// Writes how it ended. What cannot be written now is kept, and written before any other intent.
    ///
    /// # Errors
    /// It has ended like that, and is not recorded yet: the result must not be handed out.
    pub fn outcome(mut self, outcome: Outcome<'_>) -> Result<(), AuditError> {
        self.pending = false;
        self.write(outcome)
    }

    /// The number of its record.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    fn write(&self, outcome: Outcome<'_>) -> Result<(), AuditError> {
        self.trail.append_or_keep(&outcome.of(self.sequence, &self.request_id))
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if self.pending
            && let Err(error) = self.write(Outcome::Abandoned)
        {
            tracing::error!(%error, intent = self.sequence, "that it was abandoned is recorded once that is possible");
        }
    }
}
