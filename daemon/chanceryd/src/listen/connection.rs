//! One connection: bytes from a Unix socket or from TLS, and who is at the other end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::preface::Preface;
use super::{ConnectInfo, HangUp, Secrets};
use crate::caller::Caller;
use crate::share::Share;

/// A connection whose caller is known.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
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

#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Until `begun_by` the client has to have begun to speak HTTP/2.
    pub(super) fn new(
        stream: Stream,
        caller: Caller,
        begun_by: Instant,
        place: OwnedSemaphorePermit,
        share: Share,
    ) -> Self {
        Self {
            stream,
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
        let read = match &mut this.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
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

/// Without vectored writes, on purpose: h2 then puts the whole answer to a short request into one buffer and one write, where
/// it would write an RSA signature and the trailers behind it one after the other and wake the client for each. A frame of a
/// long answer takes two writes instead, which are few: frames have up to 256 KiB.
impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
