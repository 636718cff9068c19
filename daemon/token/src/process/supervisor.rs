//! The supervisor of one module: a thread that starts the module's process, listens to it, ends it when it hangs, and starts it
//! again.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    path::PathBuf,
    process::{Child, ExitStatus},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc};
use zeroize::Zeroizing;

use super::{Courier, Launch};
use crate::{
    anchor::{Command, Done},
    board::Board,
    config::TokenSelector,
    confine::Confinement,
    engine::spawn,
    error::{ModuleError, TokenError},
    job::Job,
    notice::{Ending, Notice},
    packet,
    pin::Pin,
    pins::{Admission, Pins},
    protocol::{self, FromWorker, PinOctets, Start, StartToken, ToWorker},
    queue::Queue,
    status::TokenState,
};

/// How often deadlines are looked at while the process has jobs.
const BUSY_TICK: Duration = Duration::from_millis(100);

/// How often the queues are swept otherwise.
const IDLE_TICK: Duration = Duration::from_millis(500);

/// How long an anchor may be inside the module without a sign of life. Entering a PIN on a reader's keypad takes a while.
const ANCHOR_PATIENCE: Duration = Duration::from_secs(120);

/// How long the module may take to load and initialise.
const LOAD_PATIENCE: Duration = Duration::from_secs(120);

/// A process that lasted as long was not a failure of the start.
const STABLE: Duration = Duration::from_secs(60);

/// Pauses before the process is started again, after one failure, two, and so on. After the last the module is parked.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// How long jobs under way may go on when everything is to stop, and how long the process may take to end after that.
const STOP_PATIENCE: Duration = Duration::from_secs(4);

/// Commands that may wait for a token's anchor.
const COMMANDS: usize = 64;

/// The longest line of a module's own that is logged.
const MAX_LINE: u64 = 2048;

/// What a supervisor is told.
pub(crate) enum Event {
    /// A handle wants something of a token's anchor.
    Command { token: u16, command: Command },
    /// A process said something.
    Said { life: u64, frame: FromWorker },
    /// A process closed its socket, which it does by ending.
    Gone { life: u64 },
    /// A parked module is to be tried again.
    Revive,
    /// Finish what is under way, and end the process.
    Stop,
}

/// One token of the module.
pub(crate) struct Ward {
    pub(crate) board: Arc<Board>,
    pub(crate) queue: Arc<Queue<Job>>,
    pub(crate) courier: Arc<Courier>,
    pub(crate) pins: Arc<dyn Pins>,
    pub(crate) selector: TokenSelector,
    pub(crate) sessions: usize,
    pub(crate) certificates: Vec<Vec<u8>>,
    /// The longest that a call may go without an answer before the process is taken to hang.
    pub(crate) patience: Duration,
    pub(crate) desk: Desk,
}

/// Commands for a token's anchor: one under way, the others in a line.
#[derive(Default)]
pub(crate) struct Desk {
    line: VecDeque<Command>,
    running: Option<(u64, Done)>,
    last_alive: Option<Instant>,
}

/// The process as long as it lives.
struct Life {
    id: u64,
    child: Child,
    control: UnixStream,
    begun: Instant,
    loaded: bool,
    /// Why it was ended from here.
    ending: Option<String>,
}

pub(crate) struct Supervisor {
    pub(crate) module: String,
    pub(crate) path: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) launch: Launch,
    pub(crate) confinement: Confinement,
    pub(crate) wards: Vec<Ward>,
    pub(crate) runtime: Handle,
    pub(crate) events: Receiver<Event>,
    /// For the threads that listen to the process.
    pub(crate) sender: SyncSender<Event>,
    pub(crate) notices: mpsc::Sender<Notice>,
    /// Is told how the first start ended.
    pub(crate) first: Option<SyncSender<Result<(), ModuleError>>>,
}

/// What changes while the supervisor runs.
struct State {
    life: Option<Life>,
    lives: u64,
    numbers: u64,
    failures: usize,
    next_start: Option<Instant>,
    stopping: Option<Instant>,
    /// `Stop` has been said to the process.
    stop_said: bool,
}

impl Supervisor {
    /// Looks after the process until everything is to stop.
    pub(crate) fn run(mut self) {
        let mut state = State {
            life: None,
            lives: 0,
            numbers: 0,
            failures: 0,
            next_start: Some(Instant::now()),
            stopping: None,
            stop_said: false,
        };
        loop {
            self.tend(&mut state);
            if state.stopping.is_some() && state.life.is_none() {
                return;
            }
            let busy = state.stopping.is_some() || self.wards.iter().any(|ward| ward.courier.is_busy());
            let tick = if busy { BUSY_TICK } else { IDLE_TICK };
            let until = state.next_start.filter(|_| state.life.is_none());
            let patience = until.map_or(tick, |start| start.saturating_duration_since(Instant::now()).min(tick));
            match self.events.recv_timeout(patience) {
                Ok(event) => self.heed(&mut state, event),
                Err(RecvTimeoutError::Timeout) => {}
                // It holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn heed(&mut self, state: &mut State, event: Event) {
        match event {
            Event::Command { token, command } => self.command(state, token, command),
            Event::Said { life, frame } => {
                if state.life.as_ref().is_some_and(|now| now.id == life) {
                    self.listen(state, frame);
                }
            }
            Event::Gone { life } => {
                if let Some(gone) = state.life.take_if(|now| now.id == life) {
                    self.bury(state, gone);
                }
            }
            Event::Revive => {
                if state.life.is_none() && state.next_start.is_none() {
                    state.failures = 0;
                    state.next_start = Some(Instant::now());
                }
            }
            Event::Stop => state.stopping = Some(Instant::now()),
        }
    }

    /// What is to be done without being told.
    fn tend(&mut self, state: &mut State) {
        let now = Instant::now();
        let mut silent = None;
        for (number, ward) in (0_u16..).zip(&mut self.wards) {
            for job in ward.queue.remove_if(|job| job.deadline <= now || job.is_abandoned()) {
                job.answer(Err(TokenError::DeadlineExceeded {
                    token: ward.board.name.clone(),
                }));
            }
            if ward.courier.sweep(now).is_some_and(|since| since > ward.patience) {
                silent = Some(format!(
                    "token {} did not answer for {:?}",
                    ward.board.name, ward.patience
                ));
            }
            let anchor_silent = ward
                .desk
                .last_alive
                .is_some_and(|last| now.saturating_duration_since(last) > ANCHOR_PATIENCE);
            if anchor_silent && state.life.is_some() {
                silent = Some(format!(
                    "token {} was not looked after for {ANCHOR_PATIENCE:?}",
                    ward.board.name
                ));
            }
            if let Some(certificates) = ward.board.take_certificates() {
                ward.certificates.clone_from(&certificates);
                say(
                    &mut state.life,
                    ToWorker::Certificates {
                        token: number,
                        certificates,
                    },
                );
            }
        }
        if let Some(life) = state
            .life
            .as_mut()
            .filter(|life| !life.loaded && life.begun.elapsed() > LOAD_PATIENCE)
        {
            end(life, format!("it did not load within {LOAD_PATIENCE:?}"));
        }
        if let (Some(why), Some(life)) = (silent, &mut state.life) {
            end(life, why);
        }
        match state.stopping {
            Some(since) => self.stop(state, since),
            None if state.life.is_none() && state.next_start.is_some_and(|start| start <= now) => self.start(state),
            None => {}
        }
    }

    fn start(&mut self, state: &mut State) {
        state.lives += 1;
        match self.begin(state.lives) {
            Ok(life) => state.life = Some(life),
            Err(error) => self.failed(state, format!("its process could not be started: {error}"), None),
        }
    }

    fn begin(&mut self, id: u64) -> std::io::Result<Life> {
        let mut theirs = Vec::new();
        let mut ours = Vec::new();
        for _ in &self.wards {
            let (here, there) = packet::pair()?;
            ours.push(Arc::new(here));
            theirs.push(there);
        }
        let tokens = self.wards.iter().map(|ward| StartToken {
            name: ward.board.name.clone(),
            module: self.module.clone(),
            selector: ward.selector.clone(),
            sessions: u32::try_from(ward.sessions).unwrap_or(u32::MAX),
            certificates: ward.certificates.clone(),
        });
        let start = Start {
            module: self.path.clone(),
            confinement: self.confinement.clone(),
            tokens: tokens.collect(),
        };
        let (mut child, control) = self.launch.start(&self.environment, &theirs, start)?;
        drop(theirs);
        let listening = self.listen_to(id, &mut child, &control);
        if let Err(error) = listening {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
        let now = Instant::now();
        for (ward, socket) in self.wards.iter_mut().zip(ours) {
            ward.desk.last_alive = Some(now);
            ward.courier.connect(Arc::clone(&socket));
            self.runtime.spawn(Arc::clone(&ward.courier).read_answers(socket));
        }
        tracing::info!(
            module = self.module,
            pid = child.id(),
            "the module's process has been started"
        );
        Ok(Life {
            id,
            child,
            control,
            begun: now,
            loaded: false,
            ending: None,
        })
    }

    /// Threads that pass on what the process says and writes.
    fn listen_to(&self, life: u64, child: &mut Child, control: &UnixStream) -> std::io::Result<()> {
        let stream = control.try_clone()?;
        let events = self.sender.clone();
        let module = self.module.clone();
        drop(spawn(&self.module, "hear", move || {
            let mut stream = BufReader::new(stream);
            loop {
                match protocol::read(&mut stream) {
                    Ok(Some(frame)) => {
                        if events.send(Event::Said { life, frame }).is_err() {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(module, %error, "the module's process can no longer be understood");
                        break;
                    }
                }
            }
            // The supervisor may have gone.
            let _ = events.send(Event::Gone { life });
        })?);
        if let Some(written) = child.stderr.take() {
            let module = self.module.clone();
            drop(spawn(&self.module, "log", move || log_lines(&module, written))?);
        }
        Ok(())
    }

    fn listen(&mut self, state: &mut State, frame: FromWorker) {
        match frame {
            FromWorker::Loaded(outcome) => {
                if let Some(first) = self.first.take() {
                    // Whoever started may not have waited so long.
                    let _ = first.try_send(outcome.clone());
                }
                if let Some(life) = &mut state.life {
                    life.loaded = true;
                    if let Err(error) = outcome {
                        end(life, error.to_string());
                    }
                }
            }
            FromWorker::Status { token, status } => {
                if let Some(ward) = self.ward(token) {
                    let ready = status.state == TokenState::Ready;
                    if !status.serial.is_empty() || !status.label.is_empty() {
                        ward.pins.identify(&status.serial, &status.label);
                    }
                    ward.board.replace_status(*status);
                    ward.courier.set_open(ready);
                    if !ready {
                        refuse_waiting(ward);
                    }
                }
            }
            FromWorker::Catalogue { token, catalogue } => {
                if let Some(ward) = self.ward(token) {
                    ward.board.set_catalogue(catalogue);
                }
            }
            FromWorker::WantPin { token } => {
                let Some(ward) = self.ward(token) else { return };
                let pin = ward.pins.kept().map(|pin| octets(&pin));
                say(&mut state.life, ToWorker::Pin { token, pin });
            }
            FromWorker::Verdict { token, pin, verdict } => {
                if let Some(ward) = self.ward(token) {
                    ward.pins.conclude(Pin::new(pin.0), verdict);
                }
            }
            FromWorker::Done { number, result } => self.done(state, number, result),
            FromWorker::Alive { token, sessions } => {
                if let Some(ward) = self.ward(token) {
                    let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
                    ward.board.sessions.store(sessions, Ordering::Relaxed);
                    ward.desk.last_alive = Some(Instant::now());
                }
            }
        }
    }

    fn ward(&mut self, token: u16) -> Option<&mut Ward> {
        self.wards.get_mut(usize::from(token))
    }

    fn command(&mut self, state: &mut State, token: u16, command: Command) {
        let Some(ward) = self.ward(token) else { return };
        if ward.desk.line.len() < COMMANDS {
            ward.desk.line.push_back(command);
            self.next_command(state, token);
        } else if let Command::Unlock(_, done) | Command::Lock(done) = command {
            done(Err(TokenError::QueueFull {
                token: ward.board.name.clone(),
            }));
        }
    }

    fn done(&mut self, state: &mut State, number: u64, result: Result<(), TokenError>) {
        let running = |ward: &Ward| {
            ward.desk
                .running
                .as_ref()
                .is_some_and(|(running, _)| *running == number)
        };
        let Some((token, ward)) = (0_u16..).zip(&mut self.wards).find(|(_, ward)| running(ward)) else {
            return;
        };
        if let Some((_, done)) = ward.desk.running.take() {
            done(result);
        }
        self.next_command(state, token);
    }

    /// Passes on the next command, if none is under way.
    fn next_command(&mut self, state: &mut State, token: u16) {
        state.numbers += 1;
        let number = state.numbers;
        let Some(ward) = self.wards.get_mut(usize::from(token)) else {
            return;
        };
        while ward.desk.running.is_none() {
            let Some(command) = ward.desk.line.pop_front() else {
                return;
            };
            let name = ward.board.name.clone();
            match command {
                Command::Unlock(pin, done) => match ward.pins.admit(&name, &pin, ward.board.is_ready()) {
                    Err(error) => done(Err(error)),
                    Ok(Admission::InUse) => done(Ok(())),
                    Ok(Admission::Ask) if state.life.is_none() => done(Err(TokenError::Absent { token: name })),
                    Ok(Admission::Ask) => {
                        if let Err(detail) = ward.pins.begin(&pin) {
                            done(Err(TokenError::PinMemory { token: name, detail }));
                            continue;
                        }
                        ward.desk.running = Some((number, done));
                        say(
                            &mut state.life,
                            ToWorker::Unlock {
                                token,
                                number,
                                pin: octets(&pin),
                            },
                        );
                    }
                },
                Command::Lock(done) => {
                    ward.pins.forget();
                    if state.life.is_some() {
                        ward.desk.running = Some((number, done));
                        say(&mut state.life, ToWorker::Lock { token, number });
                    } else {
                        done(Ok(()));
                    }
                }
                // Certificates are taken at every turn; repairs are between a worker and its anchor.
                Command::Wake | Command::Repair(_) => {}
            }
        }
    }

    /// The process has ended.
    fn bury(&mut self, state: &mut State, mut gone: Life) {
        let status = gone.child.wait();
        let how = gone
            .ending
            .take()
            .unwrap_or_else(|| status.map_or_else(|error| error.to_string(), describe));
        if state.stopping.is_some() {
            for ward in &mut self.wards {
                drop_desk(ward, &how);
                ward.courier.disconnect(&how);
            }
            return;
        }
        if gone.loaded && gone.begun.elapsed() > STABLE {
            state.failures = 0;
        }
        self.failed(state, how, Some(gone.child.id()));
    }

    /// Starts the process again after a pause, or never.
    fn failed(&mut self, state: &mut State, how: String, pid: Option<u32>) {
        if let Some(first) = self.first.take() {
            // Whoever started may not have waited so long.
            let _ = first.try_send(Err(ModuleError::Ended(how.clone())));
        }
        let pause = PAUSES.get(state.failures).copied();
        state.failures += 1;
        state.next_start = pause.map(|pause| Instant::now() + pause);
        let parked = pause.is_none();
        tracing::warn!(module = self.module, pid, how, parked, "the module's process has ended");
        let detail = if parked {
            format!(
                "the process of module {} ended {} times in a row ({how}): it is left alone until a reload",
                self.module, state.failures
            )
        } else {
            format!(
                "the process of module {} ended ({how}) and is started again",
                self.module
            )
        };
        for ward in &mut self.wards {
            drop_desk(ward, &how);
            ward.courier.disconnect(&how);
            ward.board.update(|status| {
                status.state = if parked {
                    TokenState::Failed
                } else {
                    TokenState::Starting
                };
                status.detail.clone_from(&detail);
                status.sessions = 0;
            });
            if parked {
                refuse_waiting(ward);
            } else {
                ward.board.expect_back();
            }
        }
        let notice = Notice {
            module: self.module.clone(),
            ending: if parked { Ending::Parked } else { Ending::Replaced },
            how,
        };
        if self.notices.try_send(notice).is_err() {
            tracing::warn!(
                module = self.module,
                "nobody takes note of the end of the module's process"
            );
        }
    }

    /// Lets jobs end, then the process, and neither for too long.
    fn stop(&mut self, state: &mut State, since: Instant) {
        let Some(life) = &mut state.life else { return };
        let busy = self.wards.iter().any(|ward| ward.courier.is_busy());
        if since.elapsed() > 2 * STOP_PATIENCE {
            end(life, "it did not stop".to_owned());
        } else if !state.stop_said && (!busy || since.elapsed() > STOP_PATIENCE) {
            state.stop_said = true;
            say(&mut state.life, ToWorker::Stop);
        }
    }
}

/// Ends a process; that it has gone is heard from its socket.
fn end(life: &mut Life, why: String) {
    if life.ending.is_none() {
        life.ending = Some(why);
        // It may have ended by itself.
        let _ = life.child.kill();
    }
}

/// A process that does not read is as good as gone.
fn say(life: &mut Option<Life>, frame: ToWorker) {
    if let Some(life) = life
        && let Err(error) = protocol::write(&life.control, &frame)
    {
        end(life, format!("it does not read what it is told: {error}"));
    }
}

fn octets(pin: &Pin) -> PinOctets {
    PinOctets(Zeroizing::new(pin.bytes().to_vec()))
}

/// Nobody is there to obey, and those who wait are told. Of a PIN that went there without a verdict the guard knows: it may
/// have cost a try.
fn drop_desk(ward: &mut Ward, how: &str) {
    let line = ward.desk.line.drain(..).filter_map(|command| match command {
        Command::Unlock(_, done) | Command::Lock(done) => Some(done),
        Command::Wake | Command::Repair(_) => None,
    });
    let token = ward.board.name.clone();
    for done in ward.desk.running.take().map(|(_, done)| done).into_iter().chain(line) {
        done(Err(TokenError::WorkerLost {
            token: token.clone(),
            how: how.to_owned(),
        }));
    }
}

/// Those who wait for a token that cannot be used are told why.
fn refuse_waiting(ward: &Ward) {
    for job in ward.queue.remove_if(|_| true) {
        job.answer(Err(ward.board.unavailable()));
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => "unknown reason".to_owned(),
    }
}

/// Logs what the process writes to its standard error: its own log, and whatever the module has to say.
fn log_lines(module: &str, written: impl std::io::Read) {
    let mut written = BufReader::new(written);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut written).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
                if !text.is_empty() {
                    tracing::info!(module, text, "the module's process says");
                }
            }
        }
    }
}
