//! The supervisor of one module: a thread that starts the module's process, heeds what it says, ends it when it hangs, and
//! starts it again.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc};

use super::{
    Launch, SupervisedToken,
    life::{End, Life},
    pause,
    renewals::Renewals,
};
use crate::{
    anchor::Command,
    confine::Confinement,
    error::ModuleError,
    notice::{Ending, Notice},
    packet,
    protocol::{FromProcess, PinOctets, Start, ToProcess},
};

/// How often deadlines are looked at while the process has jobs.
const BUSY_TICK: Duration = Duration::from_millis(100);

/// How often the queues are swept otherwise.
const IDLE_TICK: Duration = Duration::from_millis(500);

/// A process that lasted as long was not a failure of the start.
const STABLE: Duration = Duration::from_secs(60);

/// Of the reason for an end no more is passed on.
const MAX_REASON: usize = 500;

/// After so many failures in a row the processes that follow do without what can be done without: one of those calls may be
/// what the module does not survive.
const FRAIL: usize = 2;

/// How long jobs under way may go on when everything is to stop, and how long the process may take to end after that.
const STOP_PATIENCE: Duration = Duration::from_secs(4);

/// What a supervisor is told.
pub(crate) enum Event {
    /// A handle wants something of a token's anchor.
    Command { token: u16, command: Command },
    /// A process said something.
    Said { life: u64, frame: FromProcess },
    /// A process is not heard any more: it closed its socket, which it does by ending, or there is a reason.
    Gone { life: u64, why: Option<String> },
    /// A module whose next process is waited for is to be tried at once.
    Revive,
    /// Finish what is under way, and end the process.
    Stop,
}

pub(crate) struct Supervisor {
    pub(crate) module: String,
    pub(crate) path: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
    /// How long the module may take to load and initialise.
    pub(crate) load_time: Duration,
    pub(crate) launch: Launch,
    pub(crate) confinement: Confinement,
    pub(crate) tokens: Vec<SupervisedToken>,
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
    failures: usize,
    /// Processes have ended or hung before, and more than once.
    is_frail: bool,
    renewals: Renewals,
    next_start: Instant,
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
            failures: 0,
            is_frail: false,
            renewals: Renewals::default(),
            next_start: Instant::now(),
            stopping: None,
            stop_said: false,
        };
        loop {
            self.tend(&mut state);
            if state.stopping.is_some() && state.life.is_none() {
                return;
            }
            let busy = state.stopping.is_some() || self.tokens.iter().any(|token| token.courier.is_busy());
            let tick = if busy { BUSY_TICK } else { IDLE_TICK };
            let patience = match state.life {
                Some(_) => tick,
                None => state.next_start.saturating_duration_since(Instant::now()).min(tick),
            };
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
            Event::Command { token, command } => {
                if let Some(token) = self.tokens.get_mut(usize::from(token)) {
                    token.command(command, state.life.as_mut());
                }
            }
            Event::Said { life, frame } => {
                if let Some(now) = state.life.as_mut().filter(|now| now.id == life) {
                    self.listen(now, &mut state.renewals, frame);
                }
            }
            Event::Gone { life, why } => {
                if let Some(gone) = state.life.take_if(|now| now.id == life) {
                    self.reap(state, gone, why);
                }
            }
            Event::Revive => {
                if state.life.is_none() {
                    state.failures = 0;
                    state.next_start = Instant::now();
                }
            }
            Event::Stop => state.stopping = Some(Instant::now()),
        }
    }

    fn listen(&mut self, life: &mut Life, renewals: &mut Renewals, frame: FromProcess) {
        let token = match &frame {
            FromProcess::Loaded(_) | FromProcess::Initializing(_) => None,
            FromProcess::Status { token, .. }
            | FromProcess::Catalogue { token, .. }
            | FromProcess::Metrics { token, .. }
            | FromProcess::WantPin { token, .. }
            | FromProcess::Begin { token, .. }
            | FromProcess::Verdict { token, .. }
            | FromProcess::Done { token, .. }
            | FromProcess::Spent { token, .. }
            | FromProcess::Alive { token, .. } => self.tokens.get_mut(usize::from(*token)),
        };
        match (frame, token) {
            (FromProcess::Loaded(outcome), _) => {
                if let Some(first) = self.first.take() {
                    // Whoever started may not have waited so long.
                    let _ = first.try_send(outcome.clone());
                }
                life.loaded = true;
                if let Err(error) = outcome {
                    life.end(error.to_string());
                }
            }
            (FromProcess::Initializing(begun), _) => {
                life.initializing = begun.then(|| life.initializing.unwrap_or_else(Instant::now));
                self.wait_for_the_library(Instant::now());
            }
            (FromProcess::Done { number, result, .. }, Some(token)) => token.command_done(number, result, Some(life)),
            (FromProcess::Status { status, .. }, Some(token)) => token.heed_status(*status),
            (FromProcess::Catalogue { catalogue, .. }, Some(token)) => token.board.set_catalogue(catalogue),
            (FromProcess::Metrics { metrics, .. }, Some(token)) => token.board.tally.hear(&metrics),
            (FromProcess::WantPin { purpose, .. }, Some(token)) => life.say(&token.hand_out_pin(purpose)),
            (FromProcess::Begin { pin, .. }, Some(token)) => life.say(&token.let_begin(&PinOctets::entry(pin))),
            (FromProcess::Verdict { pin, verdict, .. }, Some(token)) => {
                token.pins.conclude(PinOctets::entry(pin), verdict);
            }
            (FromProcess::Alive { sessions, .. }, Some(token)) => token.heed_alive(sessions),
            (FromProcess::Spent { why, .. }, Some(token)) => {
                if renewals.allow(Instant::now()) {
                    life.spent = true;
                    life.end(format!("token {}: {why}", token.board.name));
                }
            }
            // A token that there is not.
            (_, None) => {}
        }
    }

    fn wait_for_the_library(&mut self, now: Instant) {
        self.tokens.iter_mut().for_each(|token| token.wait_for_the_library(now));
    }

    /// What is to be done without being told.
    fn tend(&mut self, state: &mut State) {
        let now = Instant::now();
        if state.life.as_ref().is_some_and(|life| life.initializing.is_some()) {
            self.wait_for_the_library(now);
        }
        for token in &mut self.tokens {
            let hangs = token.tend(now, state.life.as_mut());
            if let (Some(why), Some(life)) = (hangs, &mut state.life) {
                life.end(why);
            }
        }
        if let Some(life) = &mut state.life
            && life
                .initializes_since()
                .is_some_and(|since| since.elapsed() > self.load_time)
        {
            life.end(format!(
                "it did not load, or initialise anew, within {:?}",
                self.load_time
            ));
        }
        if let Some(gone) = state.life.take_if(|life| life.has_ended_unheard(now)) {
            self.reap(state, gone, None);
        }
        match state.stopping {
            Some(since) => self.stop(state, since),
            None if state.life.is_none() && state.next_start <= now => self.start(state),
            None => {}
        }
    }

    fn start(&mut self, state: &mut State) {
        state.lives += 1;
        match self.begin(state.lives, state.is_frail) {
            Ok(life) => {
                state.life = Some(life);
                if state.lives > 1 {
                    for token in &self.tokens {
                        token.board.tally.here.restarted();
                    }
                }
            }
            Err(error) => {
                let end = End {
                    how: format!("its process could not be started: {error}"),
                    crashed: false,
                };
                self.failed(state, end, None);
            }
        }
    }

    fn begin(&mut self, id: u64, is_frail: bool) -> io::Result<Life> {
        let mut theirs = Vec::new();
        let mut ours = Vec::new();
        for _ in &self.tokens {
            let (here, there) = packet::pair()?;
            ours.push(Arc::new(here));
            theirs.push(there);
        }
        let tokens = self.tokens.iter_mut().map(|token| token.start(&self.module));
        let start = Start {
            module: self.path.clone(),
            is_frail,
            confinement: self.confinement.clone(),
            tokens: tokens.collect(),
        };
        let (child, control) = self.launch.start(&self.environment, &theirs, start)?;
        drop(theirs);
        let life = Life::listen(id, &self.module, child, control, &self.sender)?;
        for (token, socket) in self.tokens.iter().zip(ours) {
            token.courier.connect(Arc::clone(&socket));
            self.runtime.spawn(Arc::clone(&token.courier).read_answers(socket));
        }
        Ok(life)
    }

    /// The process has ended, or has to.
    fn reap(&mut self, state: &mut State, gone: Life, why: Option<String>) {
        let pid = gone.pid();
        // One that was given up for a token's sake is no sign that the next will not last.
        let stable = gone.loaded && (gone.spent || gone.begun.elapsed() > STABLE);
        let end = gone.reap(why);
        if state.stopping.is_some() {
            self.tokens.iter_mut().for_each(|token| token.lose(&end.how));
            return;
        }
        if stable {
            state.failures = 0;
        }
        self.failed(state, end, Some(pid));
    }

    /// Starts the process again after a pause.
    fn failed(&mut self, state: &mut State, end: End, pid: Option<u32>) {
        let how: String = end.how.chars().take(MAX_REASON).collect();
        if let Some(first) = self.first.take() {
            // A module that crashes as it is loaded is no reason for the daemon not to start: another process is tried.
            let outcome = match pid {
                Some(_) => Ok(()),
                None => Err(ModuleError::Ended(how.clone())),
            };
            // Whoever started may not have waited so long.
            let _ = first.try_send(outcome);
        }
        let pause = pause::after(state.failures, end.crashed);
        let is_awaited = pause::is_short(state.failures);
        let parked = end.crashed && !is_awaited;
        state.failures = state.failures.saturating_add(1);
        state.is_frail |= state.failures >= FRAIL;
        state.next_start = Instant::now() + pause;
        let (module, times) = (&self.module, state.failures);
        tracing::warn!(module, pid, how, parked, ?pause, "the module's process has ended");
        let detail = match is_awaited {
            true => format!("the process of module {module} ended ({how}) and is started again"),
            false => format!(
                "the process of module {module} ended {times} times in a row ({how}): another is started after {pause:?}, or at a \
                 reload"
            ),
        };
        for token in &mut self.tokens {
            token.lose(&how);
            token.wait_for_the_next(&detail, is_awaited);
        }
        let notice = Notice {
            module: module.clone(),
            ending: if parked { Ending::Parked } else { Ending::Replaced },
            how,
        };
        if self.notices.try_send(notice).is_err() {
            tracing::warn!(module, "nobody takes note of the end of the module's process");
        }
    }

    /// Lets jobs end, then the process, and neither for too long.
    fn stop(&mut self, state: &mut State, since: Instant) {
        let Some(life) = &mut state.life else { return };
        let busy = self.tokens.iter().any(|token| token.courier.is_busy());
        if since.elapsed() > 2 * STOP_PATIENCE {
            life.end("it did not stop".to_owned());
        } else if !state.stop_said && (!busy || since.elapsed() > STOP_PATIENCE) {
            state.stop_said = true;
            life.say(&ToProcess::Stop);
        }
    }
}
