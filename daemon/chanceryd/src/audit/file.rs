//! The file behind the trail: its lock, the end of its chain, and appending to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::Serialize;

use super::record::{self, Body, GENESIS, Hash, MAX_LINE, Missing, Recovery, Torn};
use super::{AuditError, moved};
use crate::caller::hex;

/// How far back from the end a record is looked for.
const WINDOW: u64 = 16 * MAX_LINE as u64;

/// Files are opened neither through a link to wherever it leads, nor into a pipe that nobody empties.
pub(super) const CAREFULLY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

/// So many records at most are written before `FILE.head` says so.
const MAX_BEHIND: u64 = 64;

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) seq: u64,
    pub(super) hash: Hash,
}

impl End {
    const NONE: Self = Self { seq: 0, hash: GENESIS };
}

#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: Arc<File>,
    /// `FILE.head`, locked for as long as this lives.
    head: File,
    /// The last record that it names.
    named: End,
    end: End,
    /// The line that was written last: its memory serves the next one.
    line: Vec<u8>,
    sync_each: bool,
    unsynced: bool,
    closed: Option<Arc<str>>,
    /// A record that stands whole in the file but could not be followed by what belongs to it.
    doubt: Option<End>,
    /// Whether one that was in doubt has turned out to be part of the chain, until somebody asks.
    settled: Option<bool>,
}

impl Writer {
    pub(super) fn open(path: &Path, sync_each: bool) -> Result<Self, AuditError> {
        let fail = |action| {
            move |source| AuditError::Open {
                path: path.to_owned(),
                action,
                source,
            }
        };
        let head = open(&head_path(path), false).map_err(fail("open its companion FILE.head"))?;
        flock(&head, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| fail("lock FILE.head (does another chanceryd run?)")(error.into()))?;
        let file = open(path, true).map_err(fail("open it for appending"))?;
        let known = read_head(&head).map_err(fail("read its companion FILE.head"))?;
        let mut writer = Self {
            path: path.to_owned(),
            file: Arc::new(file),
            head,
            named: known.unwrap_or(End::NONE),
            end: known.unwrap_or(End::NONE),
            line: Vec::new(),
            sync_each,
            unsynced: false,
            closed: None,
            doubt: None,
            settled: None,
        };
        writer.continue_chain()?;
        Ok(writer)
    }

    /// Opens the path again and goes on with the chain, whatever is there now.
    pub(super) fn reopen(&mut self) -> Result<(), AuditError> {
        let reopened = open(&self.path, true).map_err(|source| AuditError::Open {
            path: self.path.clone(),
            action: "open it for appending",
            source,
        });
        let result = reopened.and_then(|file| {
            self.write_head()?;
            // What was written to the file before stays durable under the name it has now.
            let _ = self.file.sync_data();
            self.file = Arc::new(file);
            self.closed = None;
            self.continue_chain()
        });
        if let Err(error) = &result {
            self.closed = Some(error.to_string().into());
        }
        result
    }

    /// Writes one record. A failure closes the trail.
    pub(super) fn append(&mut self, body: &impl Serialize) -> Result<u64, AuditError> {
        if let Some(reason) = &self.closed {
            return Err(AuditError::Closed {
                reason: Arc::clone(reason),
            });
        }
        let seq = self.end.seq.saturating_add(1);
        let hash = record::encode(&mut self.line, seq, self.end.hash, SystemTime::now(), body)?;
        let end = End { seq, hash };
        // Also of a line that is written in part: it may lack no more than its end.
        self.doubt = Some(end);
        self.write_line().map_err(|error| self.close("write to it", &error))?;
        if self.sync_each {
            let synced = self.file.sync_data();
            synced.map_err(|error| self.close("flush it to the disk", &error))?;
        }
        self.end = end;
        if self.sync_each || seq.saturating_sub(self.named.seq) >= MAX_BEHIND {
            self.write_head()?;
        }
        self.doubt = None;
        Ok(seq)
    }

    /// Has `FILE.head` name the last record, unless it does. A failure closes the trail.
    pub(super) fn write_head(&mut self) -> Result<(), AuditError> {
        if self.named == self.end {
            return Ok(());
        }
        self.head
            .write_all_at(&encode_head(self.end), 0)
            .map_err(|error| self.close("write FILE.head", &error))?;
        self.named = self.end;
        Ok(())
    }

    /// The number of a record that may be part of the chain though its writing failed.
    pub(super) fn doubt(&self) -> Option<u64> {
        self.doubt.map(|end| end.seq)
    }

    /// Whether it is, once that is known; told once.
    pub(super) fn take_settled(&mut self) -> Option<bool> {
        self.settled.take()
    }

    /// Closes the trail until it is reopened.
    pub(super) fn close(&mut self, action: &'static str, error: &io::Error) -> AuditError {
        let reason: Arc<str> = format!("audit trail {}: cannot {action}: {error}", self.path.display()).into();
        self.closed = Some(Arc::clone(&reason));
        AuditError::Closed { reason }
    }

    /// Why no record is taken, if none is.
    pub(super) fn closed(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// The file, if records were written to it since the last call.
    pub(super) fn take_unsynced(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.unsynced).then(|| Arc::clone(&self.file))
    }

    /// The record that was written last, or would have been.
    #[cfg(test)]
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Stands in for a disk that fails.
    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) {
        self.file = Arc::new(file);
    }

    /// Puts another file in the place of FILE.head, and returns it.
    #[cfg(test)]
    pub(super) fn replace_head(&mut self, head: File) -> File {
        std::mem::replace(&mut self.head, head)
    }

    fn write_line(&mut self) -> io::Result<()> {
        let written = (&*self.file).write(&self.line)?;
        if written != self.line.len() {
            self.take_back(written);
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{written} of {} bytes written", self.line.len()),
            ));
        }
        self.unsynced = true;
        Ok(())
    }

    /// Half a record is of no use to anybody, and looks like damage once the file has been moved away. Where it cannot be taken
    /// back, it is noted as what it is when the file is opened again.
    pub(super) fn take_back(&self, written: usize) {
        let length = self.file.metadata().map(|metadata| metadata.len());
        let shortened = length.and_then(|length| self.file.set_len(length.saturating_sub(written as u64)));
        if let Err(error) = shortened {
            tracing::error!(file = %self.path.display(), %error, "half a record stays at the end of the audit trail");
        }
    }

    /// Finds where the chain ends: in the file, or where `FILE.head` says. Notes what is torn or missing.
    fn continue_chain(&mut self) -> Result<(), AuditError> {
        let fail = |action, source| AuditError::Open {
            path: self.path.clone(),
            action,
            source,
        };
        let tail = Tail::read(&self.file).map_err(|source| fail("read its end", source))?;
        let Some(tail) = tail else {
            return Err(AuditError::Unreadable {
                path: self.path.clone(),
                window: WINDOW,
            });
        };
        if !tail.ends_with_newline {
            (&*self.file)
                .write_all(b"\n")
                .map_err(|source| fail("end its last line", source))?;
        }
        let known = self.end;
        if let Some(doubt) = self.doubt.take() {
            self.settled = Some(tail.end == Some(doubt) || known == doubt);
        }
        let missing = match tail.end {
            Some(end) if end.seq < known.seq || (end.seq == known.seq && end.hash != known.hash) => {
                tracing::error!(
                    file = %self.path.display(), last_in_file = end.seq, last_written = known.seq,
                    "records are missing from the end of the audit trail, or it has been replaced; noted in it"
                );
                Some(Missing {
                    last_in_file: end.seq,
                    last_written: known.seq,
                })
            }
            Some(end) => {
                self.end = end;
                None
            }
            None => {
                self.end = moved::end_behind(&self.path, known).unwrap_or(known);
                None
            }
        };
        if let Some(torn) = &tail.torn {
            tracing::error!(
                file = %self.path.display(), bytes = torn.bytes,
                "the audit trail ended in a half-written record, after a crash or a full disk; left there and noted"
            );
        }
        if missing.is_some() || tail.torn.is_some() {
            self.append(&Body::Recovery(Recovery {
                torn: tail.torn,
                missing,
            }))?;
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.closed.is_none()
            && let Err(error) = self.write_head()
        {
            tracing::error!(%error, "records that are cut off the end of the audit trail would not be missed");
        }
    }
}

/// The end of a file.
struct Tail {
    /// The last intact record.
    end: Option<End>,
    /// What follows it.
    torn: Option<Torn>,
    ends_with_newline: bool,
}

impl Tail {
    /// `None` if there are bytes and no intact record near the end of them.
    fn read(file: &File) -> io::Result<Option<Self>> {
        let (bytes, start) = window(file)?;
        let ends_with_newline = bytes.last().is_none_or(|&byte| byte == b'\n');
        let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if body.is_empty() {
            return Ok(Some(Self {
                end: None,
                torn: None,
                ends_with_newline,
            }));
        }
        // From the back: the first line that is an intact record ends the chain; what stands behind it is torn.
        let mut rest = body;
        loop {
            let (before, line) = match rest.iter().rposition(|&byte| byte == b'\n') {
                Some(position) => (rest.get(..position), rest.get(position + 1..).unwrap_or_default()),
                None => (None, rest),
            };
            if let Some(parsed) = record::decode(line).filter(|parsed| parsed.intact) {
                let torn = body.get(rest.len() + 1..).map(Torn::of);
                let end = Some(End {
                    seq: parsed.seq,
                    hash: parsed.hash,
                });
                return Ok(Some(Self {
                    end,
                    torn,
                    ends_with_newline,
                }));
            }
            match before {
                Some(before) => rest = before,
                // The very first record of a file may be the torn one.
                None if start == 0 => {
                    return Ok(Some(Self {
                        end: None,
                        torn: Some(Torn::of(body)),
                        ends_with_newline,
                    }));
                }
                None => return Ok(None),
            }
        }
    }
}

/// The end of a file as far as a record is looked for in it, and where that begins.
pub(super) fn window(mut file: &File) -> io::Result<(Vec<u8>, u64)> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    Ok((bytes, start))
}

/// `FILE.head`.
pub(crate) fn head_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

fn open(path: &Path, append: bool) -> io::Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .write(!append)
        .append(append)
        .create(true)
        .mode(0o600)
        .custom_flags(CAREFULLY.bits().cast_signed())
        .open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => io::Error::other("it is a symbolic link; name the file that it leads to"),
        _ => error,
    })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// Fixed in length, so that each write covers the one before.
fn encode_head(end: End) -> Vec<u8> {
    format!("{:020} {}\n", end.seq, hex(&end.hash)).into_bytes()
}

/// `None` if nothing, or nothing whole, has been written to it.
pub(super) fn read_head(mut head: &File) -> io::Result<Option<End>> {
    let mut text = String::new();
    head.seek(SeekFrom::Start(0))?;
    if head.take(256).read_to_string(&mut text).is_err() {
        return Ok(None);
    }
    let parsed = text
        .strip_suffix('\n')
        .and_then(|line| line.split_once(' '))
        .and_then(|(seq, hash)| {
            Some(End {
                seq: seq.parse().ok()?,
                hash: record::unhex(hash)?,
            })
        });
    Ok(parsed)
}
