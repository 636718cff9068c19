//! What the audit trail says of somebody who insists on a PIN: that it may be about to be sent, and afterwards whether it was.

use chancery_token::{TokenError, TokenHandle};

use super::Call;
use crate::audit::AuditError;
use crate::ops::Context;

/// Somebody who insists on a PIN with which two tries were not answered.
pub(super) struct Insistence {
    /// Which token, and by which request.
    whose: String,
    /// Such tries that went to the token before.
    before: u64,
}

impl Insistence {
    /// Records that it may be about to be sent. To be called, as [`end`](Self::end), by who has the turn at the token.
    ///
    /// # Errors
    /// As for an intent. It must not be sent then.
    pub(super) fn begin(context: &Context, call: &Call, token: &TokenHandle) -> Result<Self, AuditError> {
        let whose = format!("{}: by request {}", token.name(), call.request_id);
        let detail = format!("{whose}, to be sent even if two tries with it were not answered");
        context.audit.note("pin-insisted-on", &detail)?;
        Ok(Self {
            whose,
            before: token.pins_insisted_on(),
        })
    }

    /// Records what came of it.
    pub(super) fn end(self, context: &Context, token: &TokenHandle, result: &Result<(), TokenError>) {
        let what = match token.pins_insisted_on() == self.before {
            true => "nothing was sent on the strength of that",
            false => "it was sent once more",
        };
        let how = match result {
            Ok(()) => "the token is unlocked".to_owned(),
            Err(error) => error.to_string(),
        };
        let detail = format!("{}, {what}: {how}", self.whose);
        context.audit.remark("pin-insistence-ended", &detail);
    }
}
