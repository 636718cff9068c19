//! The directory in which the guards' memory lies: a key, and a page for each token that has refused a PIN, or may have.
//!
//! A page is replaced as a whole: a new file, flushed, takes the old one's name, and the directory is flushed. So a crash at
//! any moment leaves the old page or the new one. What a page says is in `record.rs`.

use std::{
    fmt, fs,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use super::record::{self, Identity, MAX_LEN, Record};

/// Why the memory of failed PINs cannot be used, or a PIN was not tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// A file or directory cannot be made, read or written. Helps once the disk has room, or the owner and mode are right.
    #[error("{}: {source}; without it no PIN is sent to a token", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory or the key could be read or changed by others.
    #[error("{} belongs to uid {uid} and has mode {mode:04o}: make it the daemon's own, and run `chmod go-rwx` on it", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Its mode.
        mode: u32,
    },
    /// The key is no key.
    #[error("{} is damaged: remove it; of the tokens that refused a PIN before, each then has to be unlocked by hand once", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// Another process uses the directory.
    #[error("{} is used by another daemon: give each its own state.directory", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The system has no randomness.
    #[error("the system has no randomness to give: {0}")]
    Random(getrandom::Error),
    /// The token has not been seen, so it is not known which PINs it has refused.
    #[error("the token has not been seen yet")]
    Unidentified,
    /// This PIN has failed, or may have, and is not tried again.
    #[error("this PIN has failed before, or may have: it was not tried again")]
    NotAgain,
}

/// Where the guards of a daemon's tokens write down which PINs have failed, so that none is tried again after a restart. No PIN
/// is written, only hashes under a key that lies in a file of its own.
#[derive(Clone)]
pub struct PinMemory(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    key: Zeroizing<[u8; 32]>,
    /// Locked as long as it is open.
    _lock: File,
}

impl PinMemory {
    /// Opens the memory in this directory, which is made, with its key, if it is not there. Nobody but the own user may be able
    /// to look into it.
    ///
    /// # Errors
    /// When it cannot be made or read, others can look into it, the key is damaged, or another process uses it.
    pub fn open(directory: &Path) -> Result<Self, MemoryError> {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(directory)(error)),
            _ => {}
        }
        let lock = File::open(directory).map_err(failed(directory))?;
        check(directory, &lock)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let path = directory.to_owned();
                return Err(MemoryError::Busy { path });
            }
            result => result.map_err(|error| failed(directory)(error.into()))?,
        }
        let path = directory.join("key");
        let key = match read_key(&path)? {
            Some(key) => key,
            None => {
                let key = random_key()?;
                replace(directory, &path, key.as_slice())?;
                key
            }
        };
        Ok(Self(Arc::new(Inner {
            directory: directory.to_owned(),
            key,
            _lock: lock,
        })))
    }

    pub(super) fn hash_key(&self) -> Zeroizing<[u8; 32]> {
        self.0.key.clone()
    }

    pub(super) fn page(&self, serial: &str, label: &str) -> Page {
        let identity = record::identity(serial, label);
        let name = base16ct::lower::encode_string(&identity);
        Page {
            path: self.0.directory.join(name),
            identity,
            memory: self.clone(),
        }
    }
}

impl fmt::Debug for PinMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PinMemory({})", self.0.directory.display())
    }
}

/// One token's file.
pub(super) struct Page {
    memory: PinMemory,
    path: PathBuf,
    identity: Identity,
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Page {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// What is known; that it is damaged, if it cannot be read.
    pub(super) fn read(&self) -> Record {
        let mut text = String::new();
        let read = File::open(&self.path).and_then(|file| file.take(MAX_LEN).read_to_string(&mut text));
        match read {
            Ok(_) => Record::decode(&text, &self.memory.0.key, &self.identity)
                .unwrap_or_else(|why| Record::damaged(why.to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Record::default(),
            Err(error) => Record::damaged(error.to_string()),
        }
    }

    /// Returns once it is on the disk.
    pub(super) fn write(&self, record: &Record) -> Result<(), MemoryError> {
        let inner = &self.memory.0;
        let text = record.encode(&inner.key, &self.identity);
        replace(&inner.directory, &self.path, text.as_bytes())
    }

    pub(super) fn clear(&self) -> Result<(), MemoryError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&self.path)(error)),
            _ => flush(&self.memory.0.directory),
        }
    }
}

pub(super) fn random_key() -> Result<Zeroizing<[u8; 32]>, MemoryError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(MemoryError::Random)?;
    Ok(key)
}

fn read_key(path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, MemoryError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result.map_err(failed(path))?,
    };
    check(path, &file)?;
    let mut octets = Zeroizing::new(Vec::with_capacity(64));
    file.take(33).read_to_end(&mut octets).map_err(failed(path))?;
    let key = <[u8; 32]>::try_from(octets.as_slice());
    let key = key.map_err(|_| MemoryError::Key { path: path.to_owned() })?;
    Ok(Some(Zeroizing::new(key)))
}

/// Puts this content in place of the file's, so that a crash leaves one or the other.
fn replace(directory: &Path, path: &Path, content: &[u8]) -> Result<(), MemoryError> {
    let new = path.with_extension("new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        // It may never have come to be.
        let _ = fs::remove_file(&new);
        return Err(failed(path)(error));
    }
    flush(directory)
}

/// Names that have changed are on the disk afterwards.
fn flush(directory: &Path) -> Result<(), MemoryError> {
    let opened = File::open(directory).and_then(|directory| directory.sync_all());
    opened.map_err(failed(directory))
}

fn check(path: &Path, file: &File) -> Result<(), MemoryError> {
    let metadata = file.metadata().map_err(failed(path))?;
    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if uid == rustix::process::geteuid().as_raw() && mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.to_owned();
    Err(MemoryError::Exposed { path, uid, mode })
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> MemoryError {
    let path = path.to_owned();
    |source| MemoryError::Io { path, source }
}
