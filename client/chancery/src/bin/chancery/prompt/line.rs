//! One line with a PIN, from whatever it is typed into.

use std::io;
use std::os::fd::OwnedFd;

use chancery::{MAX_PIN_LEN, Pin};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::error::CommandError;

/// Reads a line on a thread of its own, because nothing can interrupt a read.
pub(super) async fn read(file: OwnedFd) -> Result<Pin, CommandError> {
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
