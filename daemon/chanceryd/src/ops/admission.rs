//! How many operations of a kind that lasts run at once, in all and for one caller: those on messages hold pieces of them in
//! memory, and those that watch tokens what they have told, so their number is what bounds the memory. How long they take and
//! what they need of a token is no matter here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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

/// Which places are all taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Those of this caller.
    Caller,
    /// Those of all callers together.
    All,
}

impl Admission {
    pub(super) fn new(places: usize, per_caller: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            shares: Shares::new(per_caller),
        }
    }

    /// Takes a place at once; nobody waits here, since who waits holds memory too.
    pub(super) fn admit(&self, caller: &Caller) -> Result<Place, Full> {
        let share = self.shares.take(caller).ok_or(Full::Caller)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Full::All)?;
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

    #[test]
    fn no_more_operations_run_at_once_than_there_are_places_in_all_and_for_one_caller() {
        let admission = Admission::new(3, 2);
        let first = admission.admit(&Caller::of_uid(1)).unwrap();
        let _second = admission.admit(&Caller::of_uid(1)).unwrap();
        assert_eq!(admission.admit(&Caller::of_uid(1)).unwrap_err(), Full::Caller);
        let _third = admission.admit(&Caller::of_uid(2)).unwrap();
        assert_eq!(admission.admit(&Caller::of_uid(2)).unwrap_err(), Full::All);
        drop(first);
        // What was refused has left nothing behind: the place that was given back is there for anybody.
        let _fourth = admission.admit(&Caller::of_uid(2)).unwrap();
        assert_eq!(admission.admit(&Caller::of_uid(3)).unwrap_err(), Full::All);
    }
}
