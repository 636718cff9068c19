//! One worker process from its start to its end, and the threads that hear what it says and what it writes.

use std::{
    io::{self, ErrorKind},
    net::Shutdown,
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    process::{Child, ExitStatus},
    sync::mpsc::SyncSender,
    time::{Duration, Instant},
};

use super::{Event, log::log_lines};
use crate::{
    engine::spawn,
    protocol::{self, ToWorker},
};

/// How long what a process said before its end may take to be heard.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) struct Life {
    /// Tells what it said from what another said before.
    pub(super) id: u64,
    pub(super) begun: Instant,
    /// Its module is loaded.
    pub(super) loaded: bool,
    /// Since when the module is initialised anew.
    pub(super) initializing: Option<Instant>,
    child: Child,
    control: UnixStream,
    /// Why it was ended from here.
    ending: Option<String>,
    /// A token asked for another one.
    pub(super) spent: bool,
    /// When it was first seen to have ended.
    ended: Option<Instant>,
}

impl Life {
    /// Begins to listen to a process that has been started. What it says is told as [`Event::Said`], its end as
    /// [`Event::Gone`].
    pub(super) fn listen(
        id: u64,
        module: &str,
        mut child: Child,
        control: UnixStream,
        events: &SyncSender<Event>,
    ) -> io::Result<Self> {
        if let Err(error) = listen(id, module, &mut child, &control, events) {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
        tracing::info!(module, pid = child.id(), "the module's process has been started");
        Ok(Self {
            id,
            begun: Instant::now(),
            loaded: false,
            initializing: None,
            child,
            control,
            ending: None,
            spent: false,
            ended: None,
        })
    }

    /// Says something to it. A process that does not read is as good as gone.
    pub(super) fn say(&mut self, frame: &ToWorker) {
        if let Err(error) = protocol::write(&self.control, frame) {
            self.end(format!("it does not read what it is told: {error}"));
        }
    }

    /// Ends it; that it has gone is heard from its socket.
    pub(super) fn end(&mut self, why: String) {
        if self.ending.is_none() {
            self.ending = Some(why);
            // It may have ended by itself.
            let _ = self.child.kill();
        }
    }

    /// Since when its module loads, or is initialised anew, if it does.
    pub(super) fn initializes_since(&self) -> Option<Instant> {
        if self.loaded {
            self.initializing
        } else {
            Some(self.begun)
        }
    }

    /// Whether nobody here has ended it.
    pub(super) fn ends_by_itself(&self) -> bool {
        self.ending.is_none()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and long enough ago that its socket should be closed: a program that a module has started may hold
    /// that open.
    pub(super) fn has_ended_unheard(&mut self, now: Instant) -> bool {
        let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
        if !ended {
            return false;
        }
        now.saturating_duration_since(*self.ended.get_or_insert(now)) > LAST_WORDS
    }

    /// Waits for a process that is not heard any more, and says how it ended. `why` it is not, if that was not its end.
    pub(super) fn bury(mut self, why: Option<String>) -> String {
        if let Some(why) = why {
            self.end(why);
        }
        // One that has only closed its socket would be waited for without end. To one that has ended it makes no difference.
        let _ = self.child.kill();
        let status = self.child.wait();
        // Whoever else holds the other end says nothing for it. The socket may be closed already.
        let _ = self.control.shutdown(Shutdown::Both);
        self.ending
            .unwrap_or_else(|| status.map_or_else(|error| error.to_string(), describe))
    }
}

fn listen(
    life: u64,
    module: &str,
    child: &mut Child,
    control: &UnixStream,
    events: &SyncSender<Event>,
) -> io::Result<()> {
    let (stream, events) = (control.try_clone()?, events.clone());
    drop(spawn(module, "hear", move || {
        let why = loop {
            // Without a buffer in between, which would keep what was said of a PIN.
            match protocol::read(&stream) {
                Ok(Some(frame)) => {
                    if events.send(Event::Said { life, frame }).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    break Some(format!("it sent nonsense: {error}"));
                }
                // It has ended, perhaps in the middle of a word.
                Ok(None) | Err(_) => break None,
            }
        };
        // The supervisor may have gone.
        let _ = events.send(Event::Gone { life, why });
    })?);
    if let Some(written) = child.stderr.take() {
        let name = module.to_owned();
        drop(spawn(module, "log", move || log_lines(&name, written))?);
    }
    Ok(())
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => "unknown reason".to_owned(),
    }
}
