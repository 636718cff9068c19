//! Asking for a PIN: on the terminal, or through systemd-ask-password where there is none. It is read into memory that is
//! wiped, and is never an argument or an environment variable, which other processes can see.

mod ask_password;
mod line;
mod terminal;

use std::io;
use std::os::fd::AsFd;

use chancery::Pin;

use crate::error::CommandError;
use crate::stdio;
use crate::text::printable;

/// What somebody is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// Such as `PIN`.
    pub(crate) what: &'a str,
    /// The token, by its name in the daemon's configuration.
    pub(crate) token: &'a str,
}

impl Question<'_> {
    fn text(&self) -> String {
        format!("{} for {}:", printable(self.what), printable(self.token))
    }
}

/// Asks on the controlling terminal, without echo, whatever stdin and stdout are; without a terminal, whoever answers the
/// questions of systemd-ask-password.
pub(crate) async fn ask(question: Question<'_>) -> Result<Pin, CommandError> {
    match ask_on_terminal(question).await? {
        Some(pin) => Ok(pin),
        None => ask_password::ask(&question.text(), &printable(question.token)).await,
    }
}

/// Asks on the controlling terminal, if there is one.
pub(crate) async fn ask_on_terminal(question: Question<'_>) -> Result<Option<Pin>, CommandError> {
    match terminal::open() {
        Some(terminal) => terminal::ask(terminal, &question.text()).await.map(Some),
        None => Ok(None),
    }
}

/// Sends somebody to the token's own PIN pad.
pub(crate) fn point_to_pad(what: &str, token: &str, quiet: bool) {
    if !quiet {
        stdio::complain(&format!("enter {what} at the PIN pad of {}", printable(token)));
    }
}

/// Reads the next line of standard input.
pub(crate) async fn read_stdin() -> Result<Pin, CommandError> {
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(CommandError::Stdio)?;
    line::read(stdin).await
}
