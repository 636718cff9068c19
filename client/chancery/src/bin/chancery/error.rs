//! Why a command failed, in the words of the person who typed it.

use std::io;
use std::path::PathBuf;

use chancery::recipient::{CertificateError, DirectoryError};
use chancery::{Error, ErrorKind, PinError};

use crate::text::printable;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CommandError {
    /// The library, and mostly the daemon behind it, says so.
    #[error("cannot {what}")]
    Call {
        /// What was to be done.
        what: &'static str,
        /// Why it was not.
        source: Box<Error>,
    },
    /// Some of the TLS files are given, not all.
    #[error("--tls-certificate, --tls-key and --tls-ca go together")]
    TlsOptions,
    /// No terminal, and no program that asks in its place.
    #[error(
        "there is no terminal to ask for the PIN on, and systemd-ask-password cannot be started; --pin-stdin reads it from \
         standard input"
    )]
    NobodyToAsk(#[source] io::Error),
    /// Nobody has answered, or there was nobody to be asked. No PIN was sent.
    #[error(
        "there is no terminal, and systemd-ask-password brought no PIN ({0}): it was cancelled, or nobody answered it in time. \
         --pin-stdin reads it from standard input"
    )]
    NotAnswered(String),
    /// What was typed cannot be a PIN. It was not sent.
    #[error("the PIN was not sent")]
    Pin(#[source] PinError),
    /// The new PIN was typed in two ways.
    #[error("the new PIN and its repetition are not the same; nothing was sent")]
    PinsDiffer,
    /// No certificate for a `--to` or `--from`.
    #[error("there is no usable certificate to encrypt to {address}: looked {}", looked.join("; "))]
    NoCertificate {
        /// The address.
        address: String,
        /// Each place that was looked at, and what was found there.
        looked: Vec<String>,
        /// Whether the daemon would not say whether it has one.
        refused: bool,
    },
    /// A `--recipient-cert` cannot be used.
    #[error(transparent)]
    Certificate(CertificateError),
    /// The directory of certificates cannot be read.
    #[error(transparent)]
    Directory(DirectoryError),
    /// A file cannot be opened, written or put into its place.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was to be done with it.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard input or output failed.
    #[error("standard input or output failed")]
    Stdio(#[source] io::Error),
    /// The runtime did not start.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// A report cannot be written as JSON.
    #[error("cannot write JSON")]
    Json(#[source] serde_json::Error),
    /// The daemon has ended a call that lasts as long as it does.
    #[error("chanceryd is stopping")]
    Stopping,
    /// A signal.
    #[error("interrupted")]
    Interrupted {
        /// Its number.
        signal: u8,
    },
}

impl CommandError {
    /// The error, everything that caused it, and what to do now. Safe to show on a terminal.
    pub(crate) fn describe(&self) -> String {
        let mut text = with_causes(self);
        if let Some(hint) = self.hint() {
            text.push_str(". ");
            text.push_str(&hint);
        }
        printable(&text)
    }

    /// The token whose PIN the daemon wants with the call, if that is what it says.
    pub(crate) fn token_whose_pin_is_wanted(&self) -> Option<&str> {
        let Self::Call { source, .. } = self else {
            return None;
        };
        let failure = source
            .failure()
            .filter(|failure| failure.reason() == Some("PIN_REQUIRED"))?;
        failure.metadata().get("token").map(String::as_str)
    }

    fn hint(&self) -> Option<String> {
        let Self::Call { source, .. } = self else {
            return None;
        };
        if self.token_whose_pin_is_wanted().is_some() {
            return Some("On a terminal it is asked for; a long message has to come from a file, with --in".to_owned());
        }
        if let Some(after) = source.failure().and_then(|failure| failure.retry_after()) {
            return Some(format!("Trying again in {} s may help", after.as_secs_f32().ceil()));
        }
        match source.kind() {
            ErrorKind::Unreachable => {
                Some("Is chanceryd running, is --address right, and may you use its socket?".to_owned())
            }
            _ => None,
        }
    }
}

/// An error and everything that caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some libraries repeat their cause in their own text.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
