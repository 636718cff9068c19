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
//! A write is one `write(2)` to a local file under a mutex: microseconds, less than handing it to another thread. Beside
//! the file, `FILE.head` holds the last record's number and hash, so that the chain goes on after a rotation and records
//! cut off the end are missed. It is written before the thread that wrote the record sleeps.

mod file;
mod record;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::caller::Caller;
use crate::policy::Operation;
use file::Writer;
use record::{Body, EventBody};

pub(crate) use file::head_path;
pub use verify::{Finding, OpenIntent, Problem, Report, verify};

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
        "audit trail {}: no intact record within the last {window} bytes; check it with `chanceryd verify-audit`, then move it away",
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

/// One use of a key, or an act of administration, about to happen.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Who asks.
    pub caller: &'a Caller,
    /// For what.
    pub operation: Operation,
    /// Through which method: `chancery.v1.MailService/Sign`.
    pub rpc: &'static str,
    /// The grant that allows it.
    pub grant: Option<&'a str>,
    /// The addr-spec it is done for.
    pub identity: Option<&'a str>,
    /// The key's name, in hexadecimal.
    pub key: Option<&'a str>,
    /// The token's name in the configuration.
    pub token: Option<&'a str>,
    /// The number of the intent of a try before, which this one repeats after it has failed.
    pub retry_of: Option<u64>,
    /// What exactly.
    pub detail: Detail<'a>,
}

/// What exactly is done with the key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Detail<'a> {
    /// The algorithm, as the contract names it.
    pub algorithm: Option<&'a str>,
    /// The digest that is signed, in hexadecimal.
    pub digest: Option<&'a str>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// As asked.
    Done,
    /// Not as asked.
    Failed {
        /// The reason that the caller is told.
        reason: &'a str,
    },
}

/// The trail. Cheap to clone; all clones write the same file.
#[derive(Debug, Clone)]
pub struct Trail(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    writer: Mutex<Writer>,
    sync: Sync,
    open: watch::Sender<bool>,
}

impl Trail {
    /// Opens or creates the file, takes its lock, and finds the end of the chain. What a crash left half written at the
    /// end stays there and is noted in the next record.
    ///
    /// # Errors
    /// When the file cannot be opened, another process holds it, or its end cannot be read.
    pub fn open(path: &Path, sync: Sync) -> Result<Self, AuditError> {
        let writer = Writer::open(path, sync == Sync::Always)?;
        Ok(Self(Arc::new(Shared {
            writer: Mutex::new(writer),
            sync,
            open: watch::Sender::new(true),
        })))
    }

    /// Writes that something is about to happen. Only when this returns may it.
    ///
    /// # Errors
    /// The operation must be refused.
    pub fn intent(&self, event: &Event<'_>) -> Result<Intent, AuditError> {
        let sequence = self.append(&Body::Intent(EventBody::new(event)))?;
        Ok(Intent {
            trail: self.clone(),
            sequence,
            request_id: event.request_id.to_owned(),
            pending: true,
        })
    }

    /// Writes that something was refused before it could touch a key.
    ///
    /// # Errors
    /// The refusal stands; nothing else can be done about it.
    pub fn refusal(&self, event: &Event<'_>, reason: &str) -> Result<(), AuditError> {
        self.append(&Body::Refusal {
            refused: EventBody::new(event),
            reason,
        })
        .map(drop)
    }

    /// Writes down something in the life of the daemon: started, reloaded, stopped.
    ///
    /// # Errors
    /// As for an intent.
    pub fn note(&self, what: &str, detail: &str) -> Result<(), AuditError> {
        self.append(&Body::Note { what, detail })?;
        self.settle();
        Ok(())
    }

    /// Opens the file anew, after a rotation or a failure, and goes on with the chain.
    ///
    /// # Errors
    /// The trail stays, or becomes, closed.
    pub fn reopen(&self) -> Result<(), AuditError> {
        let mut writer = self.writer();
        let result = writer.reopen();
        self.publish(&writer);
        result
    }

    /// Has `FILE.head` name the last record. Threads that use the trail call this before they sleep, so that many records
    /// that are written together cost one write of it.
    pub fn settle(&self) {
        let mut writer = self.writer();
        if writer.write_head().is_err() {
            self.publish(&writer);
        }
    }

    /// What has to be done now and then: flush to the disk, and try to open a closed trail again. Blocks for as long as
    /// the disk takes; call it every [`Trail::tick_interval`] where blocking is allowed.
    pub fn tick(&self) {
        if !*self.0.open.borrow() {
            match self.reopen() {
                Ok(()) => tracing::warn!("the audit trail is open again"),
                Err(error) => tracing::error!(%error, "the audit trail stays closed; every operation is refused"),
            }
            return;
        }
        self.settle();
        if matches!(self.0.sync, Sync::Interval(_)) {
            self.flush();
        }
    }

    /// How often [`Trail::tick`] wants to be called.
    #[must_use]
    pub fn tick_interval(&self) -> Duration {
        match self.0.sync {
            Sync::Interval(interval) => interval,
            Sync::Always | Sync::Never => Duration::from_secs(1),
        }
    }

    /// Flushes to the disk whatever the policy. Blocks.
    pub fn flush(&self) {
        self.settle();
        let file = self.writer().take_unsynced();
        if let Some(file) = file
            && let Err(error) = file.sync_data()
        {
            let mut writer = self.writer();
            writer.close("flush to the disk", &error);
            self.publish(&writer);
        }
    }

    /// Waits until a record could be written. Blocks; it is short while all is well, and a sign of trouble when not.
    pub fn wait_for_a_turn(&self) {
        drop(self.writer());
    }

    /// Whether the trail takes records, now and after every change.
    #[must_use]
    pub fn is_open(&self) -> watch::Receiver<bool> {
        self.0.open.subscribe()
    }

    fn append(&self, body: &Body<'_>) -> Result<u64, AuditError> {
        let append = || {
            let mut writer = self.writer();
            let result = writer.append(body);
            self.publish(&writer);
            result
        };
        match self.0.sync {
            Sync::Always => blocking(append),
            Sync::Interval(_) | Sync::Never => append(),
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic under the lock leaves either the old state or the new one: the state moves after the write.
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Something that was announced and has not ended yet. Dropped without an outcome it ends as abandoned: the caller has
/// gone, or the handler was cancelled.
#[derive(Debug)]
#[must_use = "an intent needs its outcome"]
pub struct Intent {
    trail: Trail,
    sequence: u64,
    request_id: String,
    pending: bool,
}

impl Intent {
    /// Writes how it ended.
    ///
    /// # Errors
    /// The result must not be handed out.
    pub fn outcome(mut self, outcome: Outcome<'_>) -> Result<(), AuditError> {
        self.pending = false;
        match outcome {
            Outcome::Done => self.write("done", None),
            Outcome::Failed { reason } => self.write("failed", Some(reason)),
        }
    }

    /// The number of its record.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    fn write(&self, result: &str, reason: Option<&str>) -> Result<(), AuditError> {
        let body = Body::Outcome {
            intent: self.sequence,
            request: &self.request_id,
            result,
            reason,
        };
        self.trail.append(&body).map(drop)
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if self.pending
            && let Err(error) = self.write("abandoned", None)
        {
            tracing::error!(%error, intent = self.sequence, "the end of an abandoned operation could not be recorded");
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
