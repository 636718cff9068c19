//! How many message operations run at once, in all and for one caller. Each holds pieces of its message in memory, so their
//! number is what bounds the memory; how long they take and what they need of a token is no matter here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::OpError;
use crate::caller::Caller;
use crate::share::{Share, Shares};

/// The places there are.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    shares: Shares,
}

/// The place of one operation. Dropped, it is free for another.
#[derive(Debug)]
pub struct Place {
    _place: OwnedSemaphorePermit,
    _share: Share,
}

impl Admission {
    pub(super) fn new(places: usize, per_caller: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            shares: Shares::new(per_caller),
        }
    }

    /// Takes a place at once; nobody waits here, since who waits holds memory too.
    pub(super) fn admit(&self, caller: &Caller) -> Result<Place, OpError> {
        let share = self.shares.take(caller);
        let share = share.ok_or(OpError::MailBusy("limits.mail_streams_per_caller"))?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| OpError::MailBusy("limits.mail_streams"))?;
        Ok(Place {
            _place: place,
            _share: share,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn user(uid: u32) -> Caller {
        Caller::Unix {
            uid,
            gid: uid,
            pid: None,
            user: None,
            groups: Vec::new(),
        }
    }

    fn refused_by(result: Result<Place, OpError>) -> &'static str {
        match result {
            Err(OpError::MailBusy(limit)) => limit,
            _ => "nothing",
        }
    }

    #[test]
    fn no_more_operations_run_at_once_than_there_are_places_in_all_and_for_one_caller() {
        let admission = Admission::new(3, 2);
        let first = admission.admit(&user(1)).unwrap();
        let _second = admission.admit(&user(1)).unwrap();
        assert_eq!(refused_by(admission.admit(&user(1))), "limits.mail_streams_per_caller");
        let _third = admission.admit(&user(2)).unwrap();
        assert_eq!(refused_by(admission.admit(&user(2))), "limits.mail_streams");
        drop(first);
        // What was refused has left nothing behind: the place that was given back is there for anybody.
        let _fourth = admission.admit(&user(2)).unwrap();
        assert_eq!(refused_by(admission.admit(&user(3))), "limits.mail_streams");
    }
}
