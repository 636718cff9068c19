//! Starting a module process: what it is given, which is little.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::net::SendFlags;

use crate::{
    child::{NO_MORE_SOCKETS, SOCKET_FOLLOWS},
    packet::send_descriptor,
    protocol::{self, Start, ToProcess},
};

/// The first descriptor after the three standard ones.
const FIRST_FOREIGN: i32 = 3;

/// The most of a process's last words that is quoted.
const LAST_WORDS: u64 = 1000;

/// How long the process may take to read what is written to it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The program that is started for each module, which has to call [`serve_module`](crate::serve_module).
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// What it is called with.
    pub arguments: Vec<OsString>,
}

impl Launch {
    /// The program that is running, even if another has taken the place of its file meanwhile.
    #[must_use]
    pub fn this_program(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            program: "/proc/self/exe".into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
        }
    }

    /// Starts it with the module's environment and nothing else: its standard input is the control socket, and its standard
    /// error a pipe that is read here. The job sockets go over the control socket.
    pub(super) fn start(
        &self,
        environment: &BTreeMap<String, String>,
        sockets: &[OwnedFd],
        start: Start,
    ) -> io::Result<(Child, UnixStream)> {
        // Whoever started the daemon may have left something open for it that is not marked as its own.
        close_fds::set_fds_cloexec_threadsafe(FIRST_FOREIGN, &[]);
        let (mut control, theirs) = UnixStream::pair()?;
        control.set_write_timeout(Some(PATIENCE))?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(environment)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let told = sockets
            .iter()
            .try_for_each(|socket| {
                send_descriptor(&control, &[SOCKET_FOLLOWS], socket, SendFlags::empty()).map_err(io::Error::from)
            })
            .and_then(|()| control.write_all(&[NO_MORE_SOCKETS]))
            .and_then(|()| protocol::write(&control, &ToProcess::Start(start)));
        if let Err(error) = told {
            // Whatever it is, it does not speak to us.
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                error.kind(),
                format!("{error}; it said: {}", last_words(&mut child)),
            ));
        }
        Ok((child, control))
    }
}

/// What a process that has ended left on its standard error.
fn last_words(child: &mut Child) -> String {
    let mut said = Vec::new();
    if let Some(written) = child.stderr.take() {
        // What can be had of it.
        let _ = written.take(LAST_WORDS).read_to_end(&mut said);
    }
    String::from_utf8_lossy(said.trim_ascii()).into_owned()
}
