//! How much one caller may have at once, connections or message operations, so that nobody takes all there is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::caller::Caller;
use crate::sync::lock;

/// Who counts as one caller: a user, or the holder of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    User(u32),
    Key([u8; 32]),
}

impl Holder {
    pub(crate) fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Unix { uid, .. } => Self::User(*uid),
            Caller::Tls { spki_sha256, .. } => Self::Key(*spki_sha256),
        }
    }
}

/// What every caller has. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    open: Arc<Mutex<HashMap<Holder, usize>>>,
    limit: usize,
}

/// One of the things that a caller has. Dropped, it may have another.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    holder: Holder,
}

impl Shares {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            open: Arc::default(),
            limit,
        }
    }

    /// `None` if the caller has as many as it may have.
    pub(crate) fn take(&self, caller: &Caller) -> Option<Share> {
        let holder = Holder::of(caller);
        let mut open = self.open();
        let count = open.entry(holder).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Share {
            shares: self.clone(),
            holder,
        })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Holder, usize>> {
        // A count goes up or down in one step; no panic leaves it in between.
        lock(&self.open)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.shares.open();
        match open.get_mut(&self.holder) {
            Some(count) if *count > 1 => *count -= 1,
            // Callers that have nothing are forgotten.
            _ => drop(open.remove(&self.holder)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn each_caller_has_a_share_of_its_own_and_gets_it_back() {
        let shares = Shares::new(2);
        let first = shares.take(&Caller::of_uid(1)).unwrap();
        let _second = shares.take(&Caller::of_uid(1)).unwrap();
        assert!(shares.take(&Caller::of_uid(1)).is_none());
        let other = shares.take(&Caller::of_uid(2)).unwrap();
        let key = Caller::Tls {
            spki_sha256: [1; 32],
            sans: Vec::new(),
            subject: String::new(),
        };
        let _key = shares.take(&key).unwrap();
        drop(first);
        let _third = shares.take(&Caller::of_uid(1)).unwrap();
        assert!(shares.take(&Caller::of_uid(1)).is_none());
        drop(other);
        assert!(!shares.open().contains_key(&Holder::User(2)));
    }
}
