//! Keeping an idle session alive: what a firewall or an HSM drops when it is silent, and a dead one found before a caller does.

use super::{Aftermath, Worker, operate::Fault};
use crate::ckr::Failure;
use crate::sync;

impl Worker {
    /// Asks the session about itself, which does nothing to it. A dead one is replaced now.
    ///
    /// A key that wants its PIN for each operation has the token to itself meanwhile, so that this never comes between the two.
    pub(super) fn keep_alive(&mut self) {
        let Some(live) = self.current() else { return };
        let Some(open) = &self.session else { return };
        let asked = {
            let _calls = sync::read(&self.shared.calls);
            if self.check_that_it_lasts(&live).is_err() {
                return;
            }
            open.session.get_session_info().map_err(Failure::from)
        };
        let Err(failure) = asked else { return };
        let (token, ckr) = (&self.shared.name, failure.ckr.name());
        tracing::debug!(token, ckr, "an idle session has died");
        self.abandon_or_close(failure.ckr.remedy());
        match self.open_session(&live) {
            Ok(session) => self.session = Some(session),
            // The anchor finds out what is the matter, and what is to be done about it.
            Err(Fault::Failed { failure, .. }) => self.clean_up(Aftermath {
                failure: Some(failure),
                close_session: false,
                examine: Some(live.generation),
            }),
            // It is about to.
            Err(Fault::Outdated | Fault::Refused(_)) => {}
        }
    }
}
