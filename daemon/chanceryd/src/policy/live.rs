//! The grants in force, replaceable while requests are being decided.

use std::sync::{Arc, RwLock};

use super::{Decision, Grants, Operation, Target};
use crate::caller::Caller;
use crate::sync;

/// A cheap handle to the grants in force. Clones see a replacement at once.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<RwLock<Arc<Grants>>>);

impl Live {
    /// Starts with these grants.
    #[must_use]
    pub fn new(grants: Grants) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(grants))))
    }

    /// The grants in force now. Keep them for one request, so that its answers fit together, and no longer.
    #[must_use]
    pub fn load(&self) -> Arc<Grants> {
        // The lock is held for a clone or a store of an Arc; neither can leave it half done.
        Arc::clone(&sync::read(&self.0))
    }

    /// Puts other grants in force. Requests that have been decided are not decided again.
    pub fn replace(&self, grants: Grants) {
        *sync::write(&self.0) = Arc::new(grants);
    }

    /// [`Grants::decide`] with the grants in force now.
    pub fn decide(&self, caller: &Caller, operation: Operation, target: &Target<'_>) -> Decision {
        self.load().decide(caller, operation, target)
    }

    /// [`Grants::wants_pin`] with what is protected now.
    #[must_use]
    pub fn wants_pin(&self, operation: Operation, target: &Target<'_>) -> bool {
        self.load().wants_pin(operation, target)
    }
}
