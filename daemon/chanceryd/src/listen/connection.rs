//! One connection: bytes from a Unix socket or from TLS, and who is at the other end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::transport::server::Connected;

use super::preface::Preface;
use super::transport::Transport;
use super::{ConnectInfo, HangUp, Secrets};
use crate::caller::Caller;
use crate::share::Share;

/// What is written is put together up to this many octets, until HTTP/2 flushes it.
const WRITTEN_TOGETHER: usize = 16 * 1024;

/// A connection whose caller is known.
///
/// HTTP/2 writes each longer frame in two parts and the trailers after that. Here they become one write, together with those of
/// other calls that are answered at the same time, and the client is woken once.
#[derive(Debug)]
pub struct Connection {
    stream: BufWriter<Transport>,
    caller: Arc<Caller>,
    hang_up: HangUp,
    secrets: Secrets,
    /// As long as it has not been read.
    preface: Option<Preface>,
    /// Its place among the connections that are allowed at once.
    _place: OwnedSemaphorePermit,
    /// Its place among those of this caller.
    _share: Share,
}

impl Connection {
    /// Until `begun_by` the client has to have begun to speak HTTP/2.
    pub(super) fn new(
        stream: Transport,
        caller: Caller,
        begun_by: Instant,
        place: OwnedSemaphorePermit,
        share: Share,
    ) -> Self {
        Self {
            stream: BufWriter::with_capacity(WRITTEN_TOGETHER, stream),
            caller: Arc::new(caller),
            hang_up: HangUp::default(),
            secrets: Secrets::default(),
            preface: Some(Preface::until(begun_by)),
            _place: place,
            _share: share,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectInfo;

    fn connect_info(&self) -> ConnectInfo {
        ConnectInfo {
            caller: Arc::clone(&self.caller),
            hang_up: self.hang_up.clone(),
            secrets: self.secrets.clone(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // HTTP/2 always reads, so this is where it hears of it.
        if self.hang_up.is_done(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        // What has come in time counts, however late it is looked at.
        if let Some(preface) = &mut this.preface {
            if preface.read(buffer.filled().len() - before) {
                this.preface = None;
            } else if preface.is_late(context) {
                tracing::debug!(caller = %this.caller, "a connection was closed: it did not begin to speak HTTP/2 in time");
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, octets)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
