//! What the shell is told. The numbers are documented in `docs/cli.md` and in `chancery --help`; they do not change.

use std::io;
use std::process::ExitCode;

use chancery::ErrorKind;

use crate::error::CommandError;
use crate::stdio;

/// The text about exit statuses in the help and in the man page.
pub(crate) const HELP: &str = "\
Exit status:
   0  done; for verify: every signature is valid
   1  a negative verdict: a signature is not valid, or the message cannot be decrypted
   2  the command line is wrong, or names something that does not exist
   3  refused by the daemon's policy
   4  a token, key or certificate that is needed is not available
   5  the message (or a certificate file) is malformed
  69  the daemon cannot be reached
  70  a defect, in the daemon or here
  74  reading or writing a file, a pipe or the terminal failed
  75  the daemon is too busy; try again later
 128 and more: ended by the signal with that number less 128";

const NEGATIVE: u8 = 1;
const USAGE: u8 = 2;
const REFUSED: u8 = 3;
const UNAVAILABLE: u8 = 4;
const MALFORMED: u8 = 5;
const UNREACHABLE: u8 = 69;
const SOFTWARE: u8 = 70;
const IO: u8 = 74;
const BUSY: u8 = 75;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Done, or valid.
    Good,
    /// The message was understood, and the answer is no.
    Bad,
    /// The daemon answers, and cannot be used.
    NotServing,
}

/// Says on stderr what went wrong, and turns the outcome into the exit status.
pub(crate) fn code(outcome: Result<Verdict, CommandError>) -> ExitCode {
    match outcome {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(NEGATIVE),
        Ok(Verdict::NotServing) => ExitCode::from(UNAVAILABLE),
        Err(error) => {
            if !is_broken_pipe(&error) {
                stdio::complain(&error.describe());
            }
            ExitCode::from(status(&error))
        }
    }
}

fn status(error: &CommandError) -> u8 {
    match error {
        CommandError::Call { source, .. } => match source.kind() {
            ErrorKind::Usage => USAGE,
            ErrorKind::Refused => REFUSED,
            ErrorKind::Unavailable => UNAVAILABLE,
            ErrorKind::Malformed => MALFORMED,
            ErrorKind::Undecryptable => NEGATIVE,
            ErrorKind::Unreachable => UNREACHABLE,
            ErrorKind::Busy => BUSY,
            ErrorKind::Io => IO,
            _ => SOFTWARE,
        },
        CommandError::Stopping => UNREACHABLE,
        CommandError::TlsOptions | CommandError::NobodyToAsk(_) | CommandError::Pin(_) | CommandError::PinsDiffer => {
            USAGE
        }
        CommandError::NotAnswered(_) => UNAVAILABLE,
        CommandError::NoCertificate { refused: true, .. } => REFUSED,
        CommandError::NoCertificate { .. } => UNAVAILABLE,
        CommandError::Certificate(chancery::recipient::CertificateError::Read { .. }) => IO,
        CommandError::Certificate(_) => MALFORMED,
        CommandError::Directory(_) | CommandError::File { .. } | CommandError::Stdio(_) => IO,
        CommandError::Runtime(_) | CommandError::Json(_) => SOFTWARE,
        CommandError::Interrupted { signal } => 128_u8.saturating_add(*signal),
    }
}

/// Whoever closes a pipe has read enough, and wants to hear nothing more.
fn is_broken_pipe(error: &CommandError) -> bool {
    let source = match error {
        CommandError::Call { source, .. } => match source.as_ref() {
            chancery::Error::Write(source) => source,
            _ => return false,
        },
        CommandError::Stdio(source) => source,
        _ => return false,
    };
    source.kind() == io::ErrorKind::BrokenPipe
}
