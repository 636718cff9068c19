//! What can go wrong between a caller and the daemon, and what kind of thing it was.

mod failure;

use std::io;

use tonic::Status;

pub use failure::Failure;

use crate::transport::{NotBegun, chain};
use crate::{Address, AddressError, TlsError};

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not one. Trying again does not help.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The files for mutual TLS cannot be used. Trying again does not help.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody answers at the address, or not with HTTP/2, or the TLS handshake failed. Trying again helps when the daemon
    /// is starting.
    #[error("cannot reach chanceryd at {address}")]
    Connect {
        /// Where it was looked for.
        address: Address,
        /// What the operating system or TLS said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke or could not be made, and the daemon surely has not begun with the call. The call can be made again as
    /// it was; the library has done so itself where it could: a message of which more than a mebibyte had gone is not sent twice,
    /// nor is a call made again when nobody answers at the address.
    #[error("the call did not reach chanceryd: it has had no effect and can be made again")]
    NotBegun(#[source] Box<Status>),
    /// The connection broke while the call was running. Whether the daemon finished it is not known.
    #[error("the connection to chanceryd was lost")]
    Lost(#[source] Box<Status>),
    /// The daemon answered with an error; see [`Failure::reason`] and [`Failure::retry_after`].
    #[error(transparent)]
    Failed(Box<Failure>),
    /// The caller's [`Source`](crate::Source) failed. The daemon was told that the call is cancelled.
    #[error("cannot read the message")]
    Read(#[source] io::Error),
    /// The caller's [`Sink`](crate::Sink) failed. The daemon was told that the call is cancelled.
    #[error("cannot write the result")]
    Write(#[source] io::Error),
    /// The daemon answered something that the contract does not allow. Client and daemon are probably of different
    /// releases.
    #[error("chanceryd broke the contract: {0}")]
    Contract(Breach),
}

/// How the contract was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// A stream ended well but without its report.
    #[error("the stream ended without a report")]
    NoReport,
    /// A report came before the whole message had been sent.
    #[error("the report came before the end of the message")]
    EarlyReport,
    /// Something came after the report.
    #[error("the report was not the last response")]
    AfterReport,
    /// A response lacks the resource that it is about.
    #[error("the response is empty")]
    EmptyResponse,
    /// A list went on without end, or gave the same page token twice.
    #[error("the pages of a list do not end")]
    EndlessList,
}

/// What kind of thing went wrong, for callers that only need to choose what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong: an option, a name, an address, a certificate.
    Usage,
    /// The daemon's policy does not allow it to this caller, or does not know the caller.
    Refused,
    /// The token, key or identity that is needed is not there, locked or failing.
    Unavailable,
    /// The message is not what it should be: malformed, beyond the daemon's limits, or not of the kind that was asked for.
    Malformed,
    /// The message is well-formed and could not be decrypted. The daemon does not say more than that to anybody.
    Undecryptable,
    /// The daemon cannot be reached, or the connection broke.
    Unreachable,
    /// The daemon is too busy, or the deadline has passed. The same call may succeed later.
    Busy,
    /// Reading or writing on this side failed.
    Io,
    /// A defect in the daemon or here.
    Internal,
}

impl Error {
    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Address(_) | Self::Tls(_) => ErrorKind::Usage,
            Self::Connect { .. } | Self::NotBegun(_) | Self::Lost(_) => ErrorKind::Unreachable,
            Self::Failed(failure) => failure.kind(),
            Self::Read(_) | Self::Write(_) => ErrorKind::Io,
            Self::Contract(_) => ErrorKind::Internal,
        }
    }

    /// What the daemon answered, if it was the daemon.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        if chain(&status).any(|cause| cause.is::<NotBegun>()) {
            return Self::NotBegun(Box::new(status));
        }
        // tonic makes a Status of a broken connection too. Only such a one has a source, and it has no details.
        if std::error::Error::source(&status).is_some() && status.details().is_empty() {
            return Self::Lost(Box::new(status));
        }
        Self::Failed(Box::new(Failure::from_status(&status)))
    }
}
