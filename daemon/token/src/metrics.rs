//! What is counted about one token while it is used: calls into the module, how long jobs waited and took, logins, restarts.
//!
//! Plain numbers, filled where things happen and read by whoever shows them: nothing in here knows how they are shown, and
//! what [`Metrics`] holds in one process a [`MetricsSnapshot`] carries to another, where a [`Tally`] keeps the sum. No number
//! has a key, a caller or an address.
//!
//! **Decryptions are counted with care.** Whoever may look at the numbers must not learn from them how a ciphertext was
//! padded: what C_Decrypt answers is counted only if it cannot have been the padding, and of how long a decryption took
//! no more is kept than the bucket.

mod histogram;
mod tally;
mod thread;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cryptoki_sys::{CK_RV, CKR_OK};
use serde::{Deserialize, Serialize};

use crate::ckr::Ckr;
use crate::sync::lock;
pub use histogram::{BOUNDS, Histogram, HistogramSnapshot};
pub(crate) use tally::Tally;
pub(crate) use thread::{count_on_this_thread, counted, logged_in};

macro_rules! functions {
    ($($name:ident)*) => {
        /// The functions whose calls are counted, by the names that PKCS#11 gives them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(non_camel_case_types, reason = "the names are PKCS#11's")]
        pub(crate) enum Function { $($name),* }

        const FUNCTIONS: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];
    };
}

functions! {
    C_CloseAllSessions C_Decrypt C_DecryptInit C_DeriveKey C_DestroyObject C_GetAttributeValue C_GetInfo C_Login
    C_SetPIN C_Sign C_SignInit
}

/// What a job asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A signature.
    Sign,
    /// A decryption.
    Decrypt,
    /// A key agreement.
    Agree,
}

impl Operation {
    /// All of them, in the order of [`MetricsSnapshot::executed`].
    pub const ALL: [Self; 3] = [Self::Sign, Self::Decrypt, Self::Agree];

    /// `sign`, `decrypt` or `agree`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Decrypt => "decrypt",
            Self::Agree => "agree",
        }
    }
}

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The token took the PIN.
    Succeeded,
    /// The token looked at the PIN and refused it.
    Refused,
    /// The token could not say.
    Failed,
}

impl Login {
    /// All of them, in the order of [`MetricsSnapshot::logins`].
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Refused, Self::Failed];

    /// `succeeded`, `refused` or `failed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The counters of one token in one process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    calls: [Histogram; FUNCTIONS.len()],
    /// Bounded: a function of the list above and one of the names that there are for return values.
    failures: Mutex<BTreeMap<(u8, u64), u64>>,
    logins: [AtomicU64; Login::ALL.len()],
    queued: Histogram,
    executed: [Histogram; Operation::ALL.len()],
    restarts: AtomicU64,
}

/// What was counted about one token up to a moment, in one process or in several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSnapshot {
    /// Calls of each function that was called, and how long they took.
    pub calls: Vec<CallsSnapshot>,
    /// Calls that failed, by function and return value.
    pub failures: Vec<FailuresSnapshot>,
    /// Logins as the user, by how they ended, in the order of [`Login::ALL`].
    pub logins: Vec<u64>,
    /// How long jobs waited in the queue, before a worker took them or they were laid ready for one (ADR 9).
    pub queued: HistogramSnapshot,
    /// How long jobs took from then on, in the order of [`Operation::ALL`].
    pub executed: Vec<HistogramSnapshot>,
    /// How often the process around the module was started again.
    pub restarts: u64,
}

/// The calls of one function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallsSnapshot {
    function: u8,
    /// How long they took.
    pub durations: HistogramSnapshot,
}

/// The calls of one function that failed in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailuresSnapshot {
    function: u8,
    ckr: u64,
    /// How many.
    pub count: u64,
}

impl Metrics {
    /// Counts a call into the module.
    pub(crate) fn called(&self, function: Function, took: Duration, rv: CK_RV) {
        let index = function as u8;
        if let Some(durations) = self.calls.get(usize::from(index)) {
            if matches!(function, Function::C_Decrypt | Function::C_DeriveKey) {
                durations.record_coarsely(took);
            } else {
                durations.record(took);
            }
        }
        // An operation, which knows whether the session is lost as well, may find that it was not the padding.
        if rv == CKR_OK || (function == Function::C_Decrypt && Ckr(rv).may_be_the_padding(true)) {
            return;
        }
        let mut failures = lock(&self.failures);
        *failures.entry((index, Ckr(rv).common().0)).or_default() += 1;
    }

    /// Counts a login.
    pub(crate) fn logged_in(&self, login: Login) {
        if let Some(count) = self.logins.get(login as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts how long a job waited before a worker took it.
    pub(crate) fn waited(&self, time: Duration) {
        // A job waits for as long as the one before it takes, which may be a decryption.
        self.queued.record_coarsely(time);
    }

    /// Counts how long a job took from then on.
    pub(crate) fn executed(&self, operation: Operation, took: Duration) {
        if let Some(durations) = self.executed.get(operation as usize) {
            match operation {
                Operation::Sign => durations.record(took),
                Operation::Decrypt | Operation::Agree => durations.record_coarsely(took),
            }
        }
    }

    /// Counts that the process around the module was started again.
    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the process around the module was started again.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// What has been counted so far.
    pub(crate) fn snapshot(&self) -> MetricsSnapshot {
        let calls = (0..).zip(&self.calls).map(|(function, durations)| CallsSnapshot {
            function,
            durations: durations.snapshot(),
        });
        let failures = lock(&self.failures);
        let failures = failures
            .iter()
            .map(|(&(function, ckr), &count)| FailuresSnapshot { function, ckr, count });
        MetricsSnapshot {
            calls: calls.filter(|calls| calls.durations.count() > 0).collect(),
            failures: failures.collect(),
            logins: self.logins.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            queued: self.queued.snapshot(),
            executed: self.executed.iter().map(Histogram::snapshot).collect(),
            restarts: self.restarts(),
        }
    }
}

impl MetricsSnapshot {
    /// Adds what was counted about the same token elsewhere. What is counted under a name that there is not is left out: the
    /// other side may be a process that runs a vendor's code.
    pub fn add(&mut self, other: &Self) {
        for more in &other.calls {
            match self.calls.iter_mut().find(|calls| calls.function == more.function) {
                Some(calls) => calls.durations.add(&more.durations),
                None if usize::from(more.function) < FUNCTIONS.len() => {
                    let mut durations = HistogramSnapshot::default();
                    durations.add(&more.durations);
                    self.calls.push(CallsSnapshot {
                        function: more.function,
                        durations,
                    });
                }
                None => {}
            }
        }
        for more in &other.failures {
            let (function, ckr) = (more.function, Ckr(more.ckr).common().0);
            let same = |failures: &&mut FailuresSnapshot| failures.function == function && failures.ckr == ckr;
            match self.failures.iter_mut().find(same) {
                Some(failures) => failures.count = failures.count.saturating_add(more.count),
                None if usize::from(function) < FUNCTIONS.len() => self.failures.push(FailuresSnapshot {
                    function,
                    ckr,
                    count: more.count,
                }),
                None => {}
            }
        }
        for (count, more) in self.logins.iter_mut().zip(&other.logins) {
            *count = count.saturating_add(*more);
        }
        self.queued.add(&other.queued);
        for (durations, more) in self.executed.iter_mut().zip(&other.executed) {
            durations.add(more);
        }
        self.restarts = self.restarts.saturating_add(other.restarts);
    }
}

impl Default for MetricsSnapshot {
    /// Nothing has been counted.
    fn default() -> Self {
        Metrics::default().snapshot()
    }
}

impl CallsSnapshot {
    /// The function's name, such as `C_Sign`.
    pub fn function(&self) -> &'static str {
        name(self.function)
    }
}

impl FailuresSnapshot {
    /// The function's name, such as `C_Sign`.
    pub fn function(&self) -> &'static str {
        name(self.function)
    }

    /// The return value's name, such as `CKR_DEVICE_ERROR`.
    pub fn ckr(&self) -> &'static str {
        Ckr(self.ckr).name()
    }
}

fn name(function: u8) -> &'static str {
    FUNCTIONS.get(usize::from(function)).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use cryptoki_sys::{
        CKR_DEVICE_REMOVED, CKR_ENCRYPTED_DATA_INVALID, CKR_GENERAL_ERROR, CKR_SESSION_CLOSED, CKR_VENDOR_DEFINED,
    };

    use super::*;

    const SOON: Duration = Duration::from_micros(30);

    #[test]
    fn calls_and_failures_are_counted_under_their_names() {
        let metrics = Metrics::default();
        metrics.called(Function::C_Sign, SOON, CKR_OK);
        metrics.called(Function::C_Sign, SOON, CKR_DEVICE_REMOVED);
        metrics.called(Function::C_Login, SOON, CKR_VENDOR_DEFINED | 3);
        metrics.called(Function::C_Login, SOON, CKR_VENDOR_DEFINED | 4);
        let snapshot = metrics.snapshot();
        let calls: Vec<_> = snapshot
            .calls
            .iter()
            .map(|calls| (calls.function(), calls.durations.count()))
            .collect();
        assert_eq!(calls, [("C_Login", 2), ("C_Sign", 2)]);
        let failures: Vec<_> = snapshot
            .failures
            .iter()
            .map(|failures| (failures.function(), failures.ckr(), failures.count))
            .collect();
        assert_eq!(
            failures,
            [
                ("C_Login", "CKR_VENDOR_DEFINED", 2),
                ("C_Sign", "CKR_DEVICE_REMOVED", 1)
            ]
        );
    }

    #[test]
    fn a_ciphertext_that_is_padded_badly_is_counted_like_another() {
        let counted = |answer| {
            let metrics = Metrics::default();
            metrics.called(Function::C_Decrypt, SOON, answer);
            metrics.executed(Operation::Decrypt, SOON);
            metrics.waited(SOON);
            metrics.snapshot()
        };
        let good = counted(CKR_OK);
        for bad in [
            CKR_ENCRYPTED_DATA_INVALID,
            CKR_GENERAL_ERROR,
            CKR_VENDOR_DEFINED | 1,
            0x0fff_0000,
        ] {
            assert_eq!(counted(bad), good, "{bad:#x}");
        }
        assert_eq!(counted(CKR_SESSION_CLOSED).failures[0].ckr(), "CKR_SESSION_CLOSED");
        // Nor do a few microseconds more or less show in any sum.
        let metrics = Metrics::default();
        metrics.called(Function::C_Decrypt, SOON * 3 / 2, CKR_OK);
        metrics.executed(Operation::Decrypt, SOON * 3 / 2);
        metrics.waited(SOON * 3 / 2);
        assert_eq!(metrics.snapshot(), good);
    }

    #[test]
    fn what_another_process_counted_is_added_and_names_that_there_are_not_are_left_out() {
        let metrics = Metrics::default();
        metrics.called(Function::C_Sign, SOON, CKR_DEVICE_REMOVED);
        metrics.logged_in(Login::Refused);
        metrics.executed(Operation::Agree, SOON);
        metrics.restarted();
        let (mut sum, mut odd) = (MetricsSnapshot::default(), metrics.snapshot());
        sum.add(&metrics.snapshot());
        assert_eq!(sum, metrics.snapshot());
        odd.calls[0].function = 200;
        odd.failures[0].function = 200;
        odd.logins = vec![1; 1000];
        odd.executed.clear();
        sum.add(&odd);
        assert_eq!((sum.calls.len(), sum.failures.len()), (1, 1));
        assert_eq!((sum.logins.as_slice(), sum.restarts), ([1, 2, 1].as_slice(), 2));
        assert_eq!(sum.executed[Operation::Agree as usize].count(), 1);
    }
}
