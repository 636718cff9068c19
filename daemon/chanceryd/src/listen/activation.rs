//! Sockets that systemd passes (`LISTEN_FDS`): told apart by what they are, not by their names.

use std::fmt;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::ListenError;

/// The descriptors that came with the process.
pub struct Activated(ListenFd);

impl Activated {
    /// Takes them, and removes the variables from the environment. Call it once, before other threads are started.
    #[must_use]
    pub fn from_environment() -> Self {
        Self(ListenFd::from_env())
    }

    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self(ListenFd::empty())
    }

    pub(super) fn into_listeners(mut self) -> Result<(Vec<UnixListener>, Vec<TcpListener>), ListenError> {
        let (mut unix, mut tcp) = (Vec::new(), Vec::new());
        for index in 0..self.0.len() {
            let io = |source| ListenError::Io {
                place: format!("{index} from systemd"),
                action: "use it",
                source,
            };
            if let Ok(Some(listener)) = self.0.take_unix_listener(index) {
                listener.set_nonblocking(true).map_err(io)?;
                unix.push(UnixListener::from_std(listener).map_err(io)?);
            } else if let Ok(Some(listener)) = self.0.take_tcp_listener(index) {
                listener.set_nonblocking(true).map_err(io)?;
                tcp.push(TcpListener::from_std(listener).map_err(io)?);
            } else {
                return Err(ListenError::Passed { index });
            }
        }
        Ok((unix, tcp))
    }
}

impl fmt::Debug for Activated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Activated").field(&self.0.len()).finish()
    }
}
