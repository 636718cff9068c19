//! What comes out. A file is written beside its place and put there by [`Output::commit`] alone, so that a failure leaves
//! nothing behind, and what was there before stays.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chancery::Sink;
use tempfile::TempPath;
use tokio::sync::{mpsc, oneshot};

use super::{QUEUE_LEN, failed};
use crate::error::CommandError;

/// Who may read a file that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Nobody but its owner: it holds what was encrypted.
    Secret,
    /// Whoever the umask lets.
    Public,
}

/// A file, standard output, or nothing at all, written by a thread.
pub(crate) struct Output {
    chunks: Option<mpsc::Sender<Bytes>>,
    done: Option<oneshot::Receiver<io::Result<()>>>,
    place: Option<Place>,
}

/// A file that is not yet where it belongs. Dropping it removes it.
struct Place {
    temporary: TempPath,
    path: PathBuf,
}

impl Output {
    /// Makes a file beside `path`, or takes standard output for no path and for `-`.
    pub(crate) fn create(path: Option<&Path>, secrecy: Secrecy) -> Result<Self, CommandError> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(CommandError::Stdio)?;
            return Self::write_to(File::from(stdout), None);
        };
        match fs::metadata(path) {
            // A device or a pipe is written, not replaced.
            Ok(metadata) if !metadata.is_file() => {
                let file = File::options().write(true).open(path).map_err(failed("write", path))?;
                Self::write_to(file, None)
            }
            Ok(_) => Self::beside(fs::canonicalize(path).map_err(failed("write", path))?, secrecy),
            Err(_) => Self::beside(path.to_owned(), secrecy),
        }
    }

    /// Takes everything and keeps nothing.
    pub(crate) fn discard() -> Self {
        Self {
            chunks: None,
            done: None,
            place: None,
        }
    }

    fn beside(path: PathBuf, secrecy: Secrecy) -> Result<Self, CommandError> {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mode = match secrecy {
            Secrecy::Secret => 0o600,
            Secrecy::Public => 0o666,
        };
        let (file, temporary) = tempfile::Builder::new()
            .prefix(".chancery-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(directory)
            .map_err(failed("write", &path))?
            .into_parts();
        Self::write_to(file, Some(Place { temporary, path }))
    }

    fn write_to(file: File, place: Option<Place>) -> Result<Self, CommandError> {
        let (chunks, receiver) = mpsc::channel(QUEUE_LEN);
        let (sender, done) = oneshot::channel();
        std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                let _given_up = sender.send(write(file, receiver));
            })
            .map_err(CommandError::Stdio)?;
        Ok(Self {
            chunks: Some(chunks),
            done: Some(done),
            place,
        })
    }

    /// Puts the file into its place. Not before [`Sink::finish`].
    pub(crate) fn commit(self) -> Result<(), CommandError> {
        match self.place {
            Some(Place { temporary, path }) => temporary
                .persist(&path)
                .map_err(|error| failed("write", path)(error.error)),
            None => Ok(()),
        }
    }

    /// What became of the thread.
    async fn outcome(&mut self) -> io::Result<()> {
        self.chunks = None;
        match self.done.take() {
            Some(done) => done.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
            None => Ok(()),
        }
    }
}

impl Sink for &mut Output {
    async fn put(&mut self, content: Bytes) -> io::Result<()> {
        match &self.chunks {
            Some(chunks) if chunks.send(content).await.is_ok() => Ok(()),
            Some(_) => self.outcome().await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.outcome().await
    }
}

/// Until there is no more, or an error.
fn write(mut file: File, mut chunks: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(chunk) = chunks.blocking_recv() {
        file.write_all(&chunk)?;
    }
    Ok(())
}
