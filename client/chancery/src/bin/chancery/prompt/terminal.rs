//! The controlling terminal, and its echo.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::OwnedFd;

use chancery::Pin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::line;
use crate::error::CommandError;

/// The controlling terminal, if there is one.
pub(super) fn open() -> Option<File> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    terminal.is_terminal().then_some(terminal)
}

/// Asks without echo.
pub(super) async fn ask(terminal: File, text: &str) -> Result<Pin, CommandError> {
    // Held until the PIN is there, and also when a signal drops this future: the terminal gets its echo back.
    let _silence = Silence::fall(&terminal).map_err(CommandError::Stdio)?;
    write!(&terminal, "{text} ").map_err(CommandError::Stdio)?;
    line::read(terminal.into()).await
}

/// A terminal without echo, until it is dropped.
struct Silence {
    terminal: OwnedFd,
    before: Termios,
}

impl Silence {
    fn fall(terminal: &File) -> io::Result<Self> {
        let terminal: OwnedFd = terminal.try_clone()?.into();
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // The line end is still shown, so that what follows begins a line.
        silent.local_modes.insert(LocalModes::ICANON | LocalModes::ECHONL);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // If the terminal is gone, nobody misses the echo.
        let _gone = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
