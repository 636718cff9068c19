//! Whole messages as streams: where bytes come from and go to. One call a file below; `transfer.rs` is what they share.

mod decrypt;
mod encrypt;
mod sign;
mod transfer;
mod verify;
mod wire;

use std::future::Future;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How many bytes of content travel in one request, at most. The contract allows 1 MiB.
pub const CHUNK_LEN: usize = 256 << 10;

/// Where a message comes from. Everything that is `AsyncRead` is one; implement it for what has its bytes in [`Bytes`].
pub trait Source: Send {
    /// The next bytes of the message, [`CHUNK_LEN`] at the most (longer pieces are cut up); an empty piece ends it.
    ///
    /// `scratch` is room to read into, kept from call to call, for a source that has none of its own.
    fn next(&mut self, scratch: &mut BytesMut) -> impl Future<Output = io::Result<Bytes>> + Send;
}

impl<R: AsyncRead + Unpin + Send> Source for R {
    async fn next(&mut self, scratch: &mut BytesMut) -> io::Result<Bytes> {
        // A pipe gives a little at a time: what is left of the room is used up before new room is made.
        if scratch.capacity() - scratch.len() < CHUNK_LEN / 8 {
            scratch.reserve(CHUNK_LEN);
        }
        self.read_buf(scratch).await?;
        Ok(scratch.split().freeze())
    }
}

/// Where a message goes to. Everything that is `AsyncWrite` is one.
pub trait Sink: Send {
    /// Takes the next bytes. It may wait, and so slow the daemon down.
    fn put(&mut self, content: Bytes) -> impl Future<Output = io::Result<()>> + Send;

    /// The report has come, and there are no more bytes. When this returns, all of them have been handed on.
    fn finish(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

impl<W: AsyncWrite + Unpin + Send> Sink for W {
    async fn put(&mut self, content: Bytes) -> io::Result<()> {
        self.write_all(&content).await
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.flush().await
    }
}
