//! Where connections come from: a Unix socket, TCP with mutual TLS, or either from systemd. What comes out is a stream of
//! connections, each with its caller; who that may be decided is not here.
//!
//! ```text
//!   accept loop (unix) ─┐  one task per connection:           ┌──► Incoming ──► HTTP/2
//!                       ├──► peer credentials and names, or ──┤
//!   accept loop (tls)  ─┘    TLS handshake, with a deadline   └──► nobody: closed, logged
//! ```

mod accept;
mod activation;
mod connection;
mod hang_up;
mod preface;
mod secrets;
mod tls;
mod transport;
mod unix;
mod wipe;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};

pub use accept::{Incoming, Pulse};
pub use activation::Activated;
pub use connection::Connection;
pub use hang_up::HangUp;
pub(crate) use secrets::Running;
pub use secrets::Secrets;
pub use tls::{LiveTls, TlsError};
pub use unix::SocketFile;
pub(crate) use unix::bind as bind_unix;

use crate::config::{Limits, Listen};
use crate::permissions::PermissionError;

/// Why the daemon cannot listen. Trying again helps once what is in the way has gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The socket cannot be made.
    #[error("socket {place}: cannot {action}: {source}")]
    Io {
        /// Path or address.
        place: String,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Others could put their own socket into its place.
    #[error("socket directory: {0}")]
    Permissions(#[from] PermissionError),
    /// Another daemon serves it.
    #[error("socket {}: another process serves it; stop that one first", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has its name.
    #[error("socket {}: there is something else of that name; move it away", path.display())]
    NotASocket {
        /// The name.
        path: PathBuf,
    },
    /// The group does not exist.
    #[error("socket {}: there is no group {group:?}; see listen.unix_group", path.display())]
    NoGroup {
        /// The socket.
        path: PathBuf,
        /// The group.
        group: String,
    },
    /// The TLS configuration cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// systemd passed something that the daemon cannot listen on.
    #[error("systemd passed descriptor {index}, which is neither a Unix nor a TCP stream socket that listens")]
    Passed {
        /// Which, from 0.
        index: usize,
    },
    /// systemd passed a TCP socket, and there is no certificate for it.
    #[error("systemd passed a TCP socket; it is only served with mutual TLS: configure [listen.tls]")]
    PassedWithoutTls,
}

/// Everything that listens.
#[derive(Debug)]
pub struct Listeners {
    unix: Vec<UnixListener>,
    tcp: Vec<TcpListener>,
    tls: Option<LiveTls>,
    /// Removed from the file system when this is dropped.
    socket_file: Option<SocketFile>,
}

impl Listeners {
    /// Takes what systemd passed and makes what it did not.
    ///
    /// # Errors
    /// When anything that is configured cannot be listened on.
    pub fn bind(listen: &Listen, activated: Activated) -> Result<Self, ListenError> {
        let (mut unix, mut tcp) = activated.into_listeners()?;
        let mut socket_file = None;
        if let (true, Some(socket)) = (unix.is_empty(), &listen.unix) {
            let (listener, file) = unix::bind(socket)?;
            unix.push(listener);
            socket_file = Some(file);
        }
        let tls = listen.tls.as_ref().map(LiveTls::load).transpose()?;
        match (&listen.tls, tcp.is_empty()) {
            (Some(tls), true) => tcp.push(tls::bind(tls)?),
            (None, false) => return Err(ListenError::PassedWithoutTls),
            (Some(_), false) | (None, true) => {}
        }
        Ok(Self {
            unix,
            tcp,
            tls,
            socket_file,
        })
    }

    /// What is listened on, for people.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let unix = self.unix.iter().filter_map(|listener| {
            let address = listener.local_addr().ok()?;
            Some(format!("unix:{}", address.as_pathname()?.display()))
        });
        let tcp = self
            .tcp
            .iter()
            .filter_map(|listener| Some(format!("https://{}", listener.local_addr().ok()?)));
        unix.chain(tcp).collect()
    }

    /// The certificates in use, for a reload.
    #[must_use]
    pub fn tls(&self) -> Option<LiveTls> {
        self.tls.clone()
    }

    /// Starts to accept. Dropping the stream stops that, and removes the socket.
    #[must_use]
    pub fn accept(self, limits: &Limits) -> (Incoming, Pulse) {
        accept::start(self, limits)
    }
}

/// What is found in the extensions of every request.
#[derive(Clone, Debug)]
pub struct ConnectInfo {
    /// The caller.
    pub caller: Arc<crate::caller::Caller>,
    /// The end of its connection, for one who does not take what it asked for.
    pub hang_up: HangUp,
    /// What it has brought that is to be wiped.
    pub secrets: Secrets,
}
