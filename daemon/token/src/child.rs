//! The module's side of the module process: the one place where a module is mapped.
//!
//! ```text
//!   control socket ──► here: commands ──► anchors      what they say ──► control socket
//!   job socket, one a token ──► workers ──► answers on the same socket
//! ```
//!
//! The process has nothing but these sockets and a pipe for its log. It ends when the daemon does.

mod control;
mod job_socket;
mod pins;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, ErrorKind},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    sync::Arc,
};

use nix::sys::signal::{self, SigSet};
use rustix::{
    net::RecvFlags,
    process::{Signal, getpid, kill_process, set_parent_process_death_signal},
    stdio::dup2_stdin,
};

use crate::{
    anchor::Command,
    board::Board,
    confine::confine,
    engine::{Engine, EngineToken, spawn},
    jobs::Jobs,
    module::Loading,
    packet::receive_descriptor,
    pin::{Pin, PinChange, Unlock},
    protocol::{self, FromProcess, PinOctets, Start, ToProcess, has_closed},
};
use control::{Control, Teller};
pub(crate) use job_socket::JobSocket;
use pins::AskedPins;

/// Before each job socket, on the control socket.
pub(crate) const SOCKET_FOLLOWS: u8 = 1;

/// After the last of them.
pub(crate) const NO_MORE_SOCKETS: u8 = 0;

/// Why a module process could not begin, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleProcessError {
    /// Standard input is not the daemon's socket: the command is the daemon's alone.
    #[error("this command is started by the daemon, with a socket as its standard input: {0}")]
    Control(#[source] io::Error),
    /// Something is open that should not be.
    #[error("descriptor {0} was inherited: a module must not have what is the daemon's")]
    Inherited(String),
    /// The process could not be shut in, so no module is loaded into it.
    #[error("the module's process could not be confined: {0}")]
    Confinement(String),
    /// A thread could not be had.
    #[error("a thread could not be started: {0}")]
    Thread(#[source] io::Error),
}

/// Serves the tokens of one module over the socket on standard input, until the daemon says so or ends.
///
/// `may_load` looks at the module's file each time, just before it is loaded, and may object.
///
/// Call it before any other thread is there. It does not return when all went well: a module's destructors are not to be
/// trusted, so the process is killed by itself.
///
/// # Errors
/// When it was not the daemon that started this process, or the system refuses what it needs.
pub fn serve(may_load: fn(&Path) -> Result<(), String>) -> Result<(), ModuleProcessError> {
    check_descriptors()?;
    leave_signals_to_the_daemon()?;
    // Whatever becomes of the socket: nobody holds a token for a daemon that is gone.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|errno| ModuleProcessError::Control(errno.into()))?;
    let stdin = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(ModuleProcessError::Control)?;
    let control = UnixStream::from(stdin);
    // No program that a module starts is to have it.
    let null = File::open("/dev/null").map_err(ModuleProcessError::Control)?;
    dup2_stdin(null).map_err(|errno| ModuleProcessError::Control(errno.into()))?;
    let sockets = receive_sockets(&control).map_err(ModuleProcessError::Control)?;
    let Some(ToProcess::Start(start)) = protocol::read(&control).map_err(ModuleProcessError::Control)? else {
        return Err(ModuleProcessError::Control(ErrorKind::UnexpectedEof.into()));
    };
    let confined = confine(&start.confinement).map_err(|error| ModuleProcessError::Confinement(error.to_string()))?;
    tracing::info!(%confined, "confined");
    let speaker = control.try_clone().map_err(ModuleProcessError::Control)?;
    let mut process = ModuleProcess::start(start, may_load, sockets, Arc::new(Control::new(speaker)))?;
    loop {
        match protocol::read(&control) {
            // Whoever is in the middle of a login may still ask for a PIN, or whether it may go to the token.
            Ok(Some(ToProcess::Stop)) => process.stop()?,
            Ok(Some(frame)) => process.obey(frame),
            Ok(None) => end_process(),
            Err(error) => give_up(&error),
        }
    }
}

/// Leaves the signals that a terminal or a container sends to everybody to the daemon, which says what they come to. What a module
/// starts inherits that.
fn leave_signals_to_the_daemon() -> Result<(), ModuleProcessError> {
    let signals: SigSet = [signal::SIGHUP, signal::SIGINT, signal::SIGTERM].into_iter().collect();
    let blocked = signals.thread_block();
    blocked.map_err(|errno| ModuleProcessError::Control(errno.into()))
}

/// Ends this process at once, without a module's destructors.
fn end_process() -> ! {
    // Cannot fail for the process itself; the loop is for the compiler.
    loop {
        let _ = kill_process(getpid(), Signal::KILL);
        std::thread::park();
    }
}

/// Ends this process since it cannot speak with the daemon any more. One that is still there, and asks what became of the process,
/// is not to take it for one that was killed from outside; it finds the reason in the log.
fn give_up(error: &io::Error) -> ! {
    if has_closed(error) {
        end_process();
    }
    tracing::error!(%error, "the module's process cannot speak with the daemon, and aborts");
    // Without a module's destructors, too.
    std::process::abort()
}

/// Refuses to go on with anything open but the three standard descriptors.
fn check_descriptors() -> Result<(), ModuleProcessError> {
    let directory = Path::new("/proc/self/fd");
    let listed: Vec<String> = std::fs::read_dir(directory)
        .map_err(ModuleProcessError::Control)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let foreign = listed.into_iter().find(|name| {
        // The listing's own descriptor was open while it was made, and is not any more.
        !matches!(name.as_str(), "0" | "1" | "2") && std::fs::read_link(directory.join(name)).is_ok()
    });
    foreign.map_or(Ok(()), |name| Err(ModuleProcessError::Inherited(name)))
}

fn receive_sockets(control: &UnixStream) -> io::Result<Vec<Arc<JobSocket>>> {
    let mut sockets = Vec::new();
    loop {
        let mut sign = [NO_MORE_SOCKETS];
        match receive_descriptor(control, &mut sign, RecvFlags::empty())? {
            (1, Some(socket)) if sign == [SOCKET_FOLLOWS] => sockets.push(Arc::new(JobSocket::new(socket))),
            (1, None) if sign == [NO_MORE_SOCKETS] => return Ok(sockets),
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

struct ModuleProcess {
    control: Arc<Control>,
    engine: Engine,
    sockets: Vec<Arc<JobSocket>>,
    pins: HashMap<u16, Arc<AskedPins>>,
}

impl ModuleProcess {
    fn start(
        start: Start,
        may_load: fn(&Path) -> Result<(), String>,
        sockets: Vec<Arc<JobSocket>>,
        control: Arc<Control>,
    ) -> Result<Self, ModuleProcessError> {
        let mut engine = Engine::default();
        let loading = engine
            .load("module", start.module, start.is_frail, may_load)
            .map_err(ModuleProcessError::Thread)?;
        let mut pins = HashMap::new();
        for (index, (token, socket)) in start.tokens.into_iter().zip(&sockets).enumerate() {
            socket
                .be_patient(token.keep_alive)
                .map_err(|errno| ModuleProcessError::Control(errno.into()))?;
            let number =
                u16::try_from(index).map_err(|_| ModuleProcessError::Control(ErrorKind::InvalidData.into()))?;
            let teller = Teller::new(Arc::clone(&control), number);
            let asked = Arc::new(AskedPins::new(Arc::clone(&control), number));
            pins.insert(number, Arc::clone(&asked));
            let token = EngineToken {
                board: Arc::new(Board::new(token.name, token.module, Some(Box::new(teller)))),
                jobs: Jobs::Socket(Arc::clone(socket)),
                pins: asked,
                selector: token.selector,
                certificates: token.certificates,
                sessions: usize::try_from(token.sessions).unwrap_or(1),
                keep_alive: token.keep_alive,
            };
            engine
                .start_token(token, Arc::clone(&loading))
                .map_err(ModuleProcessError::Thread)?;
        }
        let process = Self {
            control,
            engine,
            sockets,
            pins,
        };
        process.tell_when_loaded(loading)?;
        Ok(process)
    }

    fn tell_when_loaded(&self, loading: Arc<Loading>) -> Result<(), ModuleProcessError> {
        let control = Arc::clone(&self.control);
        let told = spawn("module", "loaded", move || {
            let outcome = loading.outcome().map(drop);
            control.say(&FromProcess::Loaded(outcome));
        });
        told.map(drop).map_err(ModuleProcessError::Thread)
    }

    fn obey(&self, frame: ToProcess) {
        match frame {
            ToProcess::Unlock {
                token,
                number,
                pin,
                once_more,
            } => {
                let unlock = Unlock {
                    pin: PinOctets::entry(pin),
                    even_if_unanswered: once_more,
                };
                self.command(token, number, |done| Command::Unlock(unlock, done));
            }
            ToProcess::ChangePin { token, number, pins } => {
                let change = pins.map_or(PinChange::AtPad, |(old, new)| PinChange::Given {
                    old: Pin::new(old.0),
                    new: Pin::new(new.0),
                });
                self.command(token, number, |done| Command::ChangePin(change, done));
            }
            ToProcess::Lock { token, number } => self.command(token, number, Command::Lock),
            ToProcess::Pin { token, pin } => {
                if let Some(pins) = self.pins.get(&token) {
                    pins.answer(pin.map(PinOctets::entry));
                }
            }
            ToProcess::Certificates { token, certificates } => {
                if let Some(shared) = self.engine.token(token) {
                    shared.board.leave_certificates(certificates);
                    // Only wakes the anchor: one with a full command queue is awake and finds them by itself.
                    let _ = shared.anchor.try_send(Command::Wake);
                }
            }
            ToProcess::Start(_) | ToProcess::Stop => {}
        }
    }

    fn command(&self, token: u16, number: u64, command: impl FnOnce(crate::anchor::Done) -> Command) {
        let control = Arc::clone(&self.control);
        let done = Box::new(move |result| control.say(&FromProcess::Done { token, number, result }));
        if let Some(shared) = self.engine.token(token) {
            // The daemon sends one at a time and waits for its end, so there is room; and an anchor ends after this loop.
            let _ = shared.anchor.try_send(command(done));
        }
    }

    /// Lets the workers finish what they are at, logs out, finalises and ends this process.
    fn stop(&mut self) -> Result<(), ModuleProcessError> {
        for socket in &self.sockets {
            socket.close();
        }
        let mut engine = std::mem::take(&mut self.engine);
        let stopping = spawn("module", "stop", move || {
            engine.end();
            end_process()
        });
        stopping.map(drop).map_err(ModuleProcessError::Thread)
    }
}
