//! Where ciphertext waits until its tag has been checked: in memory up to a limit and as long as all messages together leave
//! room there, beyond that in a file that has no name.
//! What is kept here is ciphertext alone; the key that opens it never leaves memory. Everything here blocks: it is called
//! from blocking threads.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where and how much a [`Spool`] keeps.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// The directory of the unnamed files. Only used once the limit is passed.
    pub directory: PathBuf,
    /// Bytes kept in memory before a file is made.
    pub hold_in_memory: usize,
    /// Bytes that all spools together may still keep in memory, one permit each.
    pub memory: Arc<Semaphore>,
}

/// Why ciphertext could not be kept or read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// No room. Trying again helps once somebody has made room, or other messages are done.
    #[error("no room left in the spool directory {directory} for a message that is being decrypted")]
    Full {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file could not be made, written or read.
    #[error("the spool file in {directory} cannot be used; see that it exists and belongs to the daemon's user")]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Bytes put in at the end and read back from the beginning, once.
#[derive(Debug)]
pub struct Spool {
    settings: SpoolSettings,
    memory: Vec<u8>,
    /// As many bytes as `memory` has room for.
    room: Option<OwnedSemaphorePermit>,
    file: Option<File>,
}

impl Spool {
    /// An empty one. Nothing is opened yet.
    #[must_use]
    pub fn new(settings: SpoolSettings) -> Self {
        Self {
            settings,
            memory: Vec::new(),
            room: None,
            file: None,
        }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Full`] if the file system has no room, [`SpoolError::Io`] for any other failure.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        if self.file.is_none() && self.make_room(bytes.len()) {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let Self {
            settings,
            memory,
            room,
            file,
        } = self;
        let file = match file {
            Some(file) => file,
            None => {
                let mut new = tempfile::tempfile_in(&settings.directory).map_err(|e| error(&settings.directory, e))?;
                new.write_all(memory).map_err(|e| error(&settings.directory, e))?;
                *memory = Vec::new();
                *room = None;
                file.insert(new)
            }
        };
        file.write_all(bytes).map_err(|e| error(&settings.directory, e))
    }

    /// Makes room in memory for `more` bytes, if both limits leave it.
    fn make_room(&mut self, more: usize) -> bool {
        let needed = self.memory.len().saturating_add(more);
        if needed > self.settings.hold_in_memory {
            return false;
        }
        let has = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if needed <= has {
            return true;
        }
        // Doubled, as a Vec grows by itself, but counted.
        let wanted = has.saturating_mul(2).clamp(needed, self.settings.hold_in_memory);
        let Ok(missing) = u32::try_from(wanted.saturating_sub(has)) else {
            return false;
        };
        let Ok(new) = Arc::clone(&self.settings.memory).try_acquire_many_owned(missing) else {
            return false;
        };
        match &mut self.room {
            Some(room) => room.merge(new),
            None => self.room = Some(new),
        }
        self.memory.reserve_exact(wanted.saturating_sub(self.memory.len()));
        true
    }

    /// Ends the writing; what was kept can now be read from the beginning.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if the file cannot be rewound.
    pub fn into_reader(mut self) -> Result<SpoolReader, SpoolError> {
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))
                .map_err(|e| error(&self.settings.directory, e))?;
        }
        Ok(SpoolReader { spool: self, read: 0 })
    }
}

/// Reads a [`Spool`] back.
#[derive(Debug)]
pub struct SpoolReader {
    spool: Spool,
    read: usize,
}

impl SpoolReader {
    /// Replaces what is in `buffer` with the next at most `len` bytes; empty at the end.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Io`] if the file cannot be read.
    pub fn read(&mut self, len: usize, buffer: &mut Vec<u8>) -> Result<(), SpoolError> {
        buffer.clear();
        let directory = &self.spool.settings.directory;
        match &mut self.spool.file {
            Some(file) => {
                let limit = u64::try_from(len).unwrap_or(u64::MAX);
                file.take(limit).read_to_end(buffer).map_err(|e| error(directory, e))?;
            }
            None => {
                let rest = self.spool.memory.get(self.read..).unwrap_or_default();
                let piece = rest.get(..len).unwrap_or(rest);
                buffer.extend_from_slice(piece);
                self.read += piece.len();
            }
        }
        Ok(())
    }
}

fn error(directory: &Path, source: std::io::Error) -> SpoolError {
    let directory = directory.to_owned();
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge => {
            SpoolError::Full { directory, source }
        }
        _ => SpoolError::Io { directory, source },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn settings(directory: &Path, hold_in_memory: usize, memory: usize) -> SpoolSettings {
        SpoolSettings {
            directory: directory.to_owned(),
            hold_in_memory,
            memory: Arc::new(Semaphore::new(memory)),
        }
    }

    fn spool(directory: &Path, hold_in_memory: usize) -> Spool {
        Spool::new(settings(directory, hold_in_memory, 1 << 20))
    }

    fn read_all(spool: Spool, len: usize) -> Vec<u8> {
        let mut reader = spool.into_reader().unwrap();
        let (mut all, mut piece) = (Vec::new(), Vec::new());
        loop {
            reader.read(len, &mut piece).unwrap();
            assert!(piece.len() <= len);
            if piece.is_empty() {
                return all;
            }
            all.extend_from_slice(&piece);
        }
    }

    #[test]
    fn what_fits_into_memory_never_touches_the_directory() {
        let mut spool = spool(Path::new("/nonexistent/spool"), 10);
        spool.push(b"12345").unwrap();
        spool.push(b"67890").unwrap();
        assert_eq!(read_all(spool, 3), b"1234567890");
    }

    #[test]
    fn what_does_not_fit_comes_back_in_order_and_leaves_no_name_behind() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = spool(directory.path(), 10);
        let mut expected = Vec::new();
        for n in 0..100u8 {
            spool.push(&[n; 7]).unwrap();
            expected.extend_from_slice(&[n; 7]);
        }
        assert!(spool.file.is_some());
        assert!(spool.memory.is_empty());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(read_all(spool, 64), expected);
    }

    #[test]
    fn all_spools_together_keep_no_more_in_memory_than_they_may_and_give_it_back() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), 80, 100);
        let mut first = Spool::new(settings.clone());
        for n in 0..70 {
            first.push(&[n]).unwrap();
        }
        assert!(first.file.is_none());
        assert_eq!(settings.memory.available_permits(), 100 - first.memory.capacity());
        // The second would have room by its own limit.
        let mut second = Spool::new(settings.clone());
        second.push(&[1; 20]).unwrap();
        second.push(&[2; 20]).unwrap();
        assert!(second.file.is_some());
        assert_eq!(read_all(second, 64), [[1; 20], [2; 20]].concat());
        assert_eq!(read_all(first, 64), (0..70).collect::<Vec<_>>());
        assert_eq!(settings.memory.available_permits(), 100);
        let mut third = Spool::new(settings.clone());
        third.push(&[3; 80]).unwrap();
        assert!(third.file.is_none());
        third.push(&[4]).unwrap();
        assert_eq!(
            settings.memory.available_permits(),
            100,
            "what went to the file still counts"
        );
    }

    #[test]
    fn an_empty_spool_is_empty() {
        assert_eq!(read_all(spool(Path::new("/nonexistent/spool"), 0), 5), b"");
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_it() {
        let mut spool = spool(Path::new("/nonexistent/spool"), 0);
        let error = spool.push(b"1").unwrap_err();
        assert!(matches!(&error, SpoolError::Io { .. }));
        assert!(error.to_string().contains("/nonexistent/spool"));
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(matches!(error(Path::new("/spool"), full), SpoolError::Full { .. }));
    }
}
