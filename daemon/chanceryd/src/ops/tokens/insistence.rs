//! What the audit trail says of somebody who insists on a PIN: that it may be about to be sent, and afterwards whether it was.

use std::sync::Arc;

use chancery_token::{TokenError, TokenHandle};

use super::Call;
use crate::audit::AuditError;
use crate::ops::Context;

/// Somebody who insists on a PIN with which two tries were not answered. What came of it is recorded in any case, at the latest
/// when this is dropped.
pub(in crate::ops) struct Insistence {
    context: Arc<Context>,
    /// Which token, and by which request.
    whose: String,
    /// How many such tries have gone to the token.
    sent: Box<dyn Fn() -> u64 + Send + Sync>,
    /// As many as before this one.
    before: u64,
    is_over: bool,
}

impl Insistence {
    /// Records that it may be about to be sent. To be called, as [`end`](Self::end), by who has the turn at the token.
    ///
    /// # Errors
    /// As for an intent. It must not be sent then.
    pub(super) fn begin(context: &Arc<Context>, call: &Call, token: &TokenHandle) -> Result<Self, AuditError> {
        let name = token.name().to_owned();
        let token = token.clone();
        Self::of(context, call, &name, move || token.pins_insisted_on())
    }

    pub(in crate::ops) fn of(
        context: &Arc<Context>,
        call: &Call,
        token: &str,
        sent: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, AuditError> {
        let whose = format!("{token}: by request {}", call.request_id);
        let detail = format!("{whose}, to be sent even if two tries with it were not answered");
        context.audit.note("pin-insisted-on", &detail)?;
        Ok(Self {
            context: Arc::clone(context),
            whose,
            before: sent(),
            sent: Box::new(sent),
            is_over: false,
        })
    }

    /// Records what came of it.
    pub(in crate::ops) fn end(mut self, result: &Result<(), TokenError>) {
        match result {
            Ok(()) => self.record("the token is unlocked"),
            Err(error) => self.record(&error.to_string()),
        }
    }

    fn record(&mut self, how: &str) {
        self.is_over = true;
        let what = match (self.sent)() == self.before {
            true => "nothing was sent on the strength of that",
            false => "it was sent once more",
        };
        let detail = format!("{}, {what}: {how}", self.whose);
        self.context.audit.remark("pin-insistence-ended", &detail);
    }
}

impl Drop for Insistence {
    fn drop(&mut self) {
        if !self.is_over {
            // Its intent could not be written, its time was over, or the daemon stopped.
            self.record("the request was given up before there was an answer");
        }
    }
}
