//! One module process from its start to its end, and the threads that hear what it says and what it writes.

use std::{
    io::{self, ErrorKind},
    net::Shutdown,
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    process::{Child, ExitStatus},
    sync::mpsc::SyncSender,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Pid, PidfdFlags, Signal, pidfd_open},
};

use super::{Event, log::log_lines};
use crate::{
    engine::spawn,
    protocol::{self, ToProcess, has_closed},
};

/// How long what a process said before its end may take to be heard.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) how: String,
    /// By what it did itself: not by a signal from outside, and not because it was given up.
    pub(super) crashed: bool,
}

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

    /// Says something to it. A process that does not read is as good as gone. One that has closed its socket may have ended, and
    /// is asked how once that is heard.
    pub(super) fn say(&mut self, frame: &ToProcess) {
        match protocol::write(&self.control, frame) {
            Err(error) if has_closed(&error) => {}
            Err(error) => self.end(format!("it does not read what it is told: {error}")),
            Ok(()) => {}
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
    pub(super) fn reap(mut self, why: Option<String>) -> End {
        let nonsense = why.is_some() && self.ending.is_none();
        if let Some(why) = why {
            self.end(why);
        }
        // One that has only closed its socket would be waited for without end.
        let lingers = self.ending.is_none() && !self.ends_within(LAST_WORDS);
        // To one that has ended it makes no difference.
        let _ = self.child.kill();
        let status = self.child.wait();
        // Whoever else holds the other end says nothing for it. The socket may be closed already.
        let _ = self.control.shutdown(Shutdown::Both);
        match (self.ending, status) {
            (Some(how), _) => End { how, crashed: nonsense },
            (None, _) if lingers => End {
                how: "it closed its socket and did not end".to_owned(),
                crashed: true,
            },
            (None, Ok(status)) => End::of(status),
            (None, Err(error)) => End {
                how: error.to_string(),
                crashed: true,
            },
        }
    }

    /// Waits until it ends, but no longer than this.
    fn ends_within(&mut self, patience: Duration) -> bool {
        let has_ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        if has_ended(&mut self.child) {
            return true;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(process) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
            let deadline = Instant::now() + patience;
            // What it comes to is asked below. A signal that this thread handles ends the call, whatever the handler's flags are.
            let _ = retry_on_intr(|| {
                let left = deadline.saturating_duration_since(Instant::now());
                poll(
                    &mut [PollFd::new(&process, PollFlags::IN)],
                    Timespec::try_from(left).ok().as_ref(),
                )
            });
        }
        has_ended(&mut self.child)
    }
}

impl End {
    /// Nobody here has ended it. What sends SIGKILL is not in the module: an operator, or the kernel that needs memory. A process
    /// that cannot go on with this daemon aborts itself, and sends itself that signal only if it was told to stop, or is alone.
    fn of(status: ExitStatus) -> Self {
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => match Signal::from_named_raw(signal) {
                Some(Signal::KILL) => {
                    "signal 9, SIGKILL: killed from outside, by somebody or by the kernel for want of memory".to_owned()
                }
                _ => format!("signal {signal}{}", name(signal)),
            },
            (None, Some(code)) => format!("exit status {code}"),
            (None, None) => "unknown reason".to_owned(),
        };
        Self {
            how,
            crashed: status.signal() != Some(Signal::KILL.as_raw()),
        }
    }
}

/// Of a signal by which modules end.
fn name(signal: i32) -> &'static str {
    const NAMES: [(Signal, &str); 9] = [
        (Signal::SEGV, ", SIGSEGV"),
        (Signal::ABORT, ", SIGABRT"),
        (Signal::BUS, ", SIGBUS"),
        (Signal::ILL, ", SIGILL"),
        (Signal::FPE, ", SIGFPE"),
        (Signal::TERM, ", SIGTERM"),
        (Signal::INT, ", SIGINT"),
        (Signal::PIPE, ", SIGPIPE"),
        (Signal::SYS, ", SIGSYS"),
    ];
    let named = NAMES.iter().find(|(each, _)| each.as_raw() == signal);
    named.map_or("", |(_, name)| name)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::{
        fs,
        os::{fd::OwnedFd, unix::thread::JoinHandleExt as _},
        process::{Command, Stdio},
        sync::mpsc::{Receiver, sync_channel},
        thread,
    };

    use nix::sys::{pthread::pthread_kill, signal};
    use tokio::signal::unix::{SignalKind, signal};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A shell in the place of a module's process.
    fn life(script: &str) -> (Life, Receiver<Event>) {
        let (control, theirs) = UnixStream::pair().unwrap();
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("ulimit -c 0; {script}")])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        let (events, heard) = sync_channel(8);
        (Life::listen(1, "m", child, control, &events).unwrap(), heard)
    }

    #[test]
    fn how_a_process_has_crashed_is_known_though_it_was_told_something_afterwards() {
        let (mut life, _heard) = life("kill -SEGV $$");
        assert!(life.ends_within(PATIENCE));
        life.say(&ToProcess::Stop);
        let how = "signal 11, SIGSEGV".to_owned();
        assert_eq!(life.reap(None), End { how, crashed: true });
    }

    #[test]
    fn a_signal_that_the_waiting_thread_handles_is_not_the_end_of_the_process() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let within = runtime.enter();
        let _handled = signal(SignalKind::user_defined1()).unwrap();
        let (mut life, _heard) = life("read line");
        let control = life.control.try_clone().unwrap();
        let (tell, told) = sync_channel(1);
        let waiting = thread::spawn(move || {
            tell.send(rustix::thread::gettid()).unwrap();
            life.ends_within(PATIENCE)
        });
        let stat = format!("/proc/self/task/{}/stat", told.recv().unwrap().as_raw_nonzero());
        let sleeps = || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S "));
        for _ in 0..3 {
            while !sleeps() && !waiting.is_finished() {
                thread::yield_now();
            }
            pthread_kill(waiting.as_pthread_t(), signal::SIGUSR1).unwrap();
        }
        control.shutdown(Shutdown::Both).unwrap();
        assert!(waiting.join().unwrap());
        drop(within);
    }

    #[test]
    fn what_ended_a_process_is_named_and_a_kill_from_outside_is_no_crash() {
        let end = |raw| End::of(ExitStatus::from_raw(raw));
        for (raw, how) in [(11, "signal 11, SIGSEGV"), (64, "signal 64"), (3 << 8, "exit status 3")] {
            let how = how.to_owned();
            assert_eq!(end(raw), End { how, crashed: true });
        }
        let killed = end(9);
        assert!(
            !killed.crashed && killed.how.starts_with("signal 9, SIGKILL"),
            "{}",
            killed.how
        );
    }
}
