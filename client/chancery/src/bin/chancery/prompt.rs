//! Asking for a PIN. It is read into memory that is wiped, and is never an argument or an environment variable, which
//! other processes can see.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};

use chancery::{MAX_PIN_LEN, Pin};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::error::CommandError;
use crate::text::printable;

/// Asks on the controlling terminal, without echo, whatever stdin and stdout are.
pub(crate) async fn ask(token: &str) -> Result<Pin, CommandError> {
    let terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(CommandError::NoTerminal)?;
    if !terminal.is_terminal() {
        return Err(CommandError::NoTerminal(io::ErrorKind::NotConnected.into()));
    }
    // Held until the PIN is there, and also when a signal drops this future: the terminal gets its echo back.
    let _silence = Silence::fall(&terminal).map_err(CommandError::Stdio)?;
    write!(&terminal, "PIN for {}: ", printable(token)).map_err(CommandError::Stdio)?;
    read(terminal.into()).await
}

/// Reads the first line of standard input.
pub(crate) async fn read_stdin() -> Result<Pin, CommandError> {
    read(io::stdin().as_fd().try_clone_to_owned().map_err(CommandError::Stdio)?).await
}

/// Reads a line on a thread of its own, because nothing can interrupt a read.
async fn read(file: OwnedFd) -> Result<Pin, CommandError> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("pin".to_owned())
        .spawn(move || {
            let _given_up = sender.send(line(&file));
        })
        .map_err(CommandError::Stdio)?;
    let line = receiver
        .await
        .map_err(|_| CommandError::Stdio(io::ErrorKind::UnexpectedEof.into()))?;
    Pin::new(line.map_err(CommandError::Stdio)?).map_err(CommandError::Pin)
}

/// The bytes up to the line end, or more than a PIN can have.
fn line(file: &OwnedFd) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room enough that it never moves: what is left behind by moving would not be wiped.
    const ROOM: usize = MAX_PIN_LEN + 2;
    let mut line = Zeroizing::new(Vec::with_capacity(ROOM));
    let mut byte = Zeroizing::new(0_u8);
    while line.len() < ROOM {
        if rustix::io::retry_on_intr(|| rustix::io::read(file, std::slice::from_mut(&mut *byte)))? == 0
            || *byte == b'\n'
        {
            break;
        }
        line.push(*byte);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
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
