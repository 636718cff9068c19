//! The audit trail: one JSON object a line, every record chained by hash to the one before it.
//!
//! Every use of a private key is written down twice, as an intent before and an outcome after. If the intent cannot be
//! written the operation does not happen; a write that fails closes the trail, and with it every operation, until the
//! file has been opened again.
//!
//! ```text
//!   {"seq":8,"time":"…","previous":H7,"event":"intent", … ,"hash":H8}      H8 = SHA-256(H7 ‖ the line up to ,"hash")
//!   {"seq":9,"time":"…","previous":H8,"event":"outcome","intent":8, … ,"hash":H9}
//! ```
//!
//! What has happened while the trail was closed is written first once it is open again: the outcomes of what was under way, and
//! that tokens were locked, which needs no record to be done. Refusals are rationed.
//!
//! A write is one `write(2)` to a local file under a mutex: microseconds, less than handing it to another thread. Beside
//! the file, `FILE.head` holds the last record's number and hash, so that the chain goes on after a rotation and records
//! cut off the end are missed. It is written before the thread that wrote the record sleeps.

mod event;
mod file;
mod intent;
mod kept;
mod moved;
mod record;
mod refusals;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::ration::Ration;
use crate::sync::lock;
use file::Writer;
use kept::{Kept, When};
use record::{Body, EventBody};

pub use event::{Detail, Event, Outcome};
pub(crate) use file::head_path;
pub use intent::Intent;
pub use verify::{Finding, OpenIntent, Problem, Report, verify};

/// How often a closed trail is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// When the trail reaches the disk, as opposed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before the operation goes on. Survives a power failure; costs a disk flush for each record.
    Always,
    /// Every so often, from [`Trail::tick`]. A power failure may take the records of that time.
    Interval(Duration),
    /// When the kernel likes.
    Never,
}

/// Why a record could not be written. The operation that it was for must not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The file or its companion cannot be opened, or another daemon has them. Trying again helps once that is put right.
    #[error("audit trail {}: cannot {action}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The end of the file holds no record to continue from.
    #[error(
        "audit trail {}: no intact record within the last {window} bytes; check it with `chanceryd verify-audit`, then move it \
         away",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// How far back was looked.
        window: u64,
    },
    /// The trail is closed since a write failed. It is tried again every second and on reload.
    #[error("the audit trail is closed since a write failed, and operations with it: {reason}")]
    Closed {
        /// What failed.
        reason: Arc<str>,
    },
    /// The record is too long to write. The trail stays open.
    #[error("an audit record of {length} bytes is longer than {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

/// The trail. Cheap to clone; all clones write the same file.
#[derive(Debug, Clone)]
pub struct Trail(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    sync: Sync,
    open: watch::Sender<bool>,
    refusals: Mutex<Ration>,
    /// Refusals that were not written down one by one.
    left_out: AtomicU64,
    /// When a closed trail was last tried again, and an open one flushed.
    tried: Last,
    flushed: Last,
}

/// When something was last done.
#[derive(Debug, Default)]
struct Last(Mutex<Option<Instant>>);

impl Last {
    /// Whether it is to be done now, and then it counts as done.
    fn is_due(&self, every: Duration) -> bool {
        let mut last = lock(&self.0);
        // A clock that ticks as often is sometimes a little early.
        let due = last.is_none_or(|last| last.elapsed() >= every - every / 4);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[derive(Debug)]
struct State {
    writer: Writer,
    kept: Kept,
}

impl Trail {
    /// Opens or creates the file, takes its lock, and finds the end of the chain. What a crash left half written at the
    /// end stays there and is noted in the next record.
    ///
    /// # Errors
    /// When the file cannot be opened, another process holds it, or its end cannot be read.
    pub fn open(path: &Path, sync: Sync) -> Result<Self, AuditError> {
        let state = State {
            writer: Writer::open(path, sync == Sync::Always)?,
            kept: Kept::default(),
        };
        Ok(Self(Arc::new(Shared {
            state: Mutex::new(state),
            sync,
            open: watch::Sender::new(true),
            refusals: Mutex::default(),
            left_out: AtomicU64::new(0),
            tried: Last::default(),
            flushed: Last::default(),
        })))
    }

    /// Writes that something is about to happen. Only when this returns may it.
    ///
    /// # Errors
    /// The operation must be refused.
    pub fn intent(&self, event: &Event<'_>) -> Result<Intent, AuditError> {
        self.announce(event, "AUDIT_UNAVAILABLE")
    }

    /// The same of what is done in any case, and then recorded with [`Trail::act`] if this is an error.
    ///
    /// # Errors
    /// As for an intent.
    pub fn intent_in_any_case(&self, event: &Event<'_>) -> Result<Intent, AuditError> {
        self.announce(event, "RECORDED_AS_ACT")
    }

    /// Should the intent turn out to be in the file though that could not be made sure of, `otherwise` is why it failed.
    fn announce(&self, event: &Event<'_>, otherwise: &'static str) -> Result<Intent, AuditError> {
        let sequence = self.with(|state| state.intent(event, otherwise))?;
        Ok(Intent::new(self.clone(), sequence, event.request_id))
    }

    /// Writes that something was done without an intent, and how it ended: what makes things safer, as locking a token does, is
    /// done whether or not it can be written down. What cannot be written now is kept and written later.
    ///
    /// # Errors
    /// It is kept.
    pub fn act(&self, event: &Event<'_>, outcome: Outcome<'_>) -> Result<(), AuditError> {
        let (result, reason) = outcome.words();
        self.append_or_keep(&Body::Act {
            done: EventBody::new(event),
            result,
            reason,
        })
    }

    /// Writes down something in the life of the daemon.
    ///
    /// # Errors
    /// As for an intent.
    pub fn note(&self, what: &str, detail: &str) -> Result<(), AuditError> {
        self.with(|state| state.writer.append(&Body::Note { what, detail }))?;
        self.settle();
        Ok(())
    }

    /// Writes down what has happened in any case, later if that cannot be done now.
    pub fn remark(&self, what: &str, detail: &str) {
        let written = self.append_or_keep(&Body::Note { what, detail });
        self.settle();
        if let Err(error) = written {
            tracing::error!(what, detail, %error, "this is recorded in the audit trail once that is possible");
        }
    }

    /// Opens the file anew, after a rotation or a failure, and goes on with the chain: first with what could not be written when
    /// it was due.
    ///
    /// # Errors
    /// The trail stays, or becomes, closed.
    pub fn reopen(&self) -> Result<(), AuditError> {
        let mut state = self.state();
        let result = state.reopen();
        self.publish(&state.writer);
        result
    }

    /// Has `FILE.head` name the last record. Threads that use the trail call this before they sleep, so that many records
    /// that are written together cost one write of it.
    pub fn settle(&self) {
        let mut state = self.state();
        if state.writer.write_head().is_err() {
            self.publish(&state.writer);
        }
    }

    /// What has to be done now and then: flush to the disk, tell what was left out, and try to open a closed trail again. Blocks
    /// for as long as the disk takes; call it every [`Trail::tick_interval`] where blocking is allowed.
    pub fn tick(&self) {
        if !*self.0.open.borrow() {
            if !self.0.tried.is_due(RETRY) {
                return;
            }
            match self.reopen() {
                Ok(()) => tracing::warn!("the audit trail is open again"),
                Err(error) => tracing::error!(%error, "the audit trail stays closed; every operation is refused"),
            }
            return;
        }
        self.settle();
        if let Sync::Interval(interval) = self.0.sync
            && self.0.flushed.is_due(interval)
        {
            self.flush();
        }
        self.tell_left_out(false);
    }

    /// Writes what has been kept back, before the last record. Blocks.
    pub fn finish(&self) {
        if !*self.0.open.borrow() && self.reopen().is_err() {
            let records = self.state().kept.len();
            tracing::error!(records, "so much is missing from the audit trail: it cannot be written");
        }
        self.tell_left_out(true);
    }

    /// How often [`Trail::tick`] wants to be called.
    #[must_use]
    pub fn tick_interval(&self) -> Duration {
        match self.0.sync {
            Sync::Interval(interval) => interval.min(RETRY),
            Sync::Always | Sync::Never => RETRY,
        }
    }

    /// Flushes to the disk whatever the policy. Blocks.
    pub fn flush(&self) {
        self.settle();
        let file = self.state().writer.take_unsynced();
        if let Some(file) = file
            && let Err(error) = file.sync_data()
        {
            let mut state = self.state();
            state.writer.close("flush to the disk", &error);
            self.publish(&state.writer);
        }
    }

    /// Waits until a record could be written. Blocks; it is short while all is well, and a sign of trouble when not.
    pub fn wait_for_a_turn(&self) {
        drop(self.state());
    }

    /// Whether the trail takes records, now and after every change.
    #[must_use]
    pub fn is_open(&self) -> watch::Receiver<bool> {
        self.0.open.subscribe()
    }

    /// For a record of what has happened. An error is one for those to whom it matters that it is written by now.
    fn append_or_keep(&self, body: &Body<'_>) -> Result<(), AuditError> {
        self.with(|state| state.append_or_keep(body))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let work = || {
            let mut state = self.state();
            let result = work(&mut state);
            self.publish(&state.writer);
            result
        };
        match self.0.sync {
            Sync::Always => blocking(work),
            Sync::Interval(_) | Sync::Never => work(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves either the old state or the new one: the state moves after the write.
        lock(&self.0.state)
    }

    /// Under the writer's lock, so that the last to tell is the last to have changed it.
    fn publish(&self, writer: &Writer) {
        let now = writer.closed().is_none();
        let changed = self.0.open.send_if_modified(|open| std::mem::replace(open, now) != now);
        if let (true, Some(reason)) = (changed, writer.closed()) {
            tracing::error!(
                reason,
                "the audit trail is closed; every operation is refused until it can be written again"
            );
        }
    }
}

impl State {
    fn intent(&mut self, event: &Event<'_>, otherwise: &'static str) -> Result<u64, AuditError> {
        let was_open = self.writer.closed().is_none();
        let written = self.writer.append(&Body::Intent(EventBody::new(event)));
        if let (Err(_), true, Some(intent)) = (&written, was_open, self.writer.doubt()) {
            let never = Outcome::Failed { reason: otherwise };
            self.kept.keep(&never.of(intent, event.request_id), When::IfThatIsThere);
        }
        written
    }

    fn append_or_keep(&mut self, body: &Body<'_>) -> Result<(), AuditError> {
        let was_open = self.writer.closed().is_none();
        let written = self.writer.append(body);
        if let Err(AuditError::Closed { .. }) = &written {
            let when = match was_open && self.writer.doubt().is_some() {
                true => When::UnlessThatIsThere,
                false => When::InAnyCase,
            };
            self.kept.keep(body, when);
        }
        written.map(drop)
    }

    fn reopen(&mut self) -> Result<(), AuditError> {
        let reopened = self.writer.reopen();
        if let Some(is_there) = self.writer.take_settled() {
            self.kept.settle(is_there);
        }
        reopened?;
        while let Some(record) = self.kept.first() {
            match self.writer.append(record) {
                Ok(_) => {}
                Err(error @ AuditError::TooLong { .. }) => tracing::error!(%error, "a record is lost"),
                Err(error) => {
                    if self.writer.doubt().is_some() {
                        self.kept.doubt_first();
                    }
                    return Err(error);
                }
            }
            self.kept.remove_first();
        }
        match self.kept.take_lost() {
            0 => Ok(()),
            lost => {
                let detail = format!("{lost} records of what was done while the trail was closed");
                let what = "records-lost";
                self.append_or_keep(&Body::Note { what, detail: &detail })
            }
        }
    }
}

/// Runs something that waits for the disk without holding up the other tasks of this worker thread.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests;
