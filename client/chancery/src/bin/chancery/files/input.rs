//! The message that comes in.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use chancery::{CHUNK_LEN, Source};
use rustix::buffer::spare_capacity;
use tokio::sync::mpsc;

use super::{QUEUE_LEN, failed};
use crate::error::CommandError;
use crate::progress::Meter;

/// A file or standard input, read ahead by a thread.
pub(crate) struct Input {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    meter: Meter,
}

impl Input {
    /// Opens a file, or takes standard input for no path and for `-`.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, CommandError> {
        let file = match path.filter(|path| *path != Path::new("-")) {
            Some(path) => File::open(path).map_err(failed("read", path))?,
            None => io::stdin()
                .as_fd()
                .try_clone_to_owned()
                .map(File::from)
                .map_err(CommandError::Stdio)?,
        };
        let metadata = file.metadata().map_err(CommandError::Stdio)?;
        if metadata.is_dir() {
            let error = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(failed("read", path.unwrap_or(Path::new("-")))(error));
        }
        let meter = Meter::new(metadata.is_file().then_some(metadata.len()));
        let (sender, chunks) = mpsc::channel(QUEUE_LEN);
        std::thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || read(&file.into(), &sender))
            .map_err(CommandError::Stdio)?;
        Ok(Self { chunks, meter })
    }

    /// Counts what is read.
    pub(crate) fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

impl Source for Input {
    async fn next(&mut self, _: &mut BytesMut) -> io::Result<Bytes> {
        // The thread says that it has reached the end by an empty chunk. If it goes without, the message is not whole.
        let chunk = self.chunks.recv().await.ok_or(io::ErrorKind::UnexpectedEof)??;
        self.meter.add(chunk.len());
        Ok(chunk)
    }
}

/// Until the end, an error, or nobody wants more.
fn read(file: &OwnedFd, sender: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut buffer = Vec::with_capacity(CHUNK_LEN);
        let outcome = rustix::io::retry_on_intr(|| rustix::io::read(file, spare_capacity(&mut buffer)));
        let chunk = outcome.map(|_| Bytes::from(buffer)).map_err(io::Error::from);
        let is_last = chunk.as_ref().map_or(true, Bytes::is_empty);
        if sender.blocking_send(chunk).is_err() || is_last {
            return;
        }
    }
}
