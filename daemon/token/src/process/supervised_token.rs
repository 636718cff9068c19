//! One token of a module that has a process of its own: who waits for it, and the commands for its anchor, of which one is under
//! way at a time.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Courier, life::Life};
use crate::{
    anchor::{COMMANDS, Command, Done},
    board::Board,
    config::TokenSelector,
    error::TokenError,
    job::{Job, Retry},
    pin::{PinChange, PinEntry, Unlock},
    pins::{Admission, Pins, Purpose},
    protocol::{PinOctets, StartToken, ToProcess},
    queue::Queue,
    status::{TokenState, TokenStatus},
};

/// How long somebody may take to enter a PIN on a reader's keypad.
const PERSONS_PATIENCE: Duration = Duration::from_secs(120);

/// Signs of life come twice as often; on a busy machine one is late.
const BEAT: Duration = Duration::from_secs(1);

/// Of what a process says of its token no more is passed on.
const MAX_DETAIL: usize = 1000;

pub(crate) struct SupervisedToken {
    /// Its number among the tokens of the module.
    pub(crate) number: u16,
    pub(crate) board: Arc<Board>,
    pub(crate) queue: Arc<Queue<Job>>,
    pub(crate) courier: Arc<Courier>,
    pub(crate) pins: Arc<dyn Pins>,
    pub(crate) selector: TokenSelector,
    pub(crate) sessions: usize,
    /// How long a session may be idle before it is kept alive.
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) certificates: Vec<Vec<u8>>,
    /// The longest that a call may go without an answer before the process is taken to hang.
    pub(crate) patience: Duration,
    pub(crate) state: State,
}

/// What is going on between a token's anchor and those who want something of it.
#[derive(Default)]
pub(crate) struct State {
    line: VecDeque<Command>,
    running: Option<(u64, Done)>,
    /// What is under way waits for a person at the PIN pad.
    at_pad: bool,
    /// What is under way is a logout: a PIN that is proved meanwhile is forgotten with it.
    locking: bool,
    numbers: u64,
    /// Those that earlier processes have counted.
    generations: u64,
    last_alive: Option<Instant>,
}

impl SupervisedToken {
    /// What a process is told of it at its start.
    pub(super) fn start(&mut self, module: &str) -> StartToken {
        self.expect();
        self.state.generations = self.board.status().generation;
        StartToken {
            name: self.board.name.clone(),
            module: module.to_owned(),
            selector: self.selector.clone(),
            sessions: u32::try_from(self.sessions).unwrap_or(u32::MAX),
            keep_alive: self.keep_alive,
            certificates: self.certificates.clone(),
        }
    }

    /// What is to be done without being told. Why the process has to end, if it has.
    pub(super) fn tend(&mut self, now: Instant, life: Option<&mut Life>) -> Option<String> {
        self.queue.sweep(now, &self.board.name);
        if let Some(certificates) = self.board.take_certificates() {
            self.certificates.clone_from(&certificates);
            if let Some(life) = life {
                life.say(&ToProcess::Certificates {
                    token: self.number,
                    certificates,
                });
            }
        }
        let name = &self.board.name;
        if let Some(what) = self.courier.nonsense() {
            return Some(format!("it sent nonsense for an answer of token {name}: {what}"));
        }
        // Somebody may be at the PIN pad.
        let patience = match self.board.has_pad() {
            true => self.patience.max(PERSONS_PATIENCE),
            false => self.patience,
        };
        if self.courier.sweep(now).is_some_and(|since| since > patience) {
            return Some(format!("token {name} did not answer for {patience:?}"));
        }
        // Whoever looks after the token says so between any two calls, but for such as follow each other quickly or not at all.
        let patience = match self.state.at_pad {
            true => patience.max(PERSONS_PATIENCE),
            false => patience,
        };
        let silent = |last| now.saturating_duration_since(last) > patience + BEAT;
        let silent = self.state.last_alive.is_some_and(silent);
        silent.then(|| format!("token {name} was not looked after for {patience:?}"))
    }

    /// The process says how the token stands.
    pub(super) fn heed_status(&mut self, mut status: TokenStatus) {
        cut(&mut status.detail, MAX_DETAIL);
        if !status.serial.is_empty() || !status.label.is_empty() {
            self.pins.identify(&status.serial, &status.label);
        }
        let state = status.state;
        self.board.replace_status(status, self.state.generations);
        self.courier.set_open(state == TokenState::Ready);
        if !self.board.is_ready() {
            self.refuse_waiting(|_| true);
        }
    }

    pub(super) fn heed_alive(&mut self, sessions: u32) {
        let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
        self.board.sessions.store(sessions, Ordering::Relaxed);
        self.courier.heed_sessions(sessions);
        self.expect();
    }

    /// From now on a sign of life is waited for.
    pub(super) fn expect(&mut self) {
        self.state.last_alive = Some(Instant::now());
    }

    /// The library is initialised anew, which has a time of its own: nobody can be looked after meanwhile, nor answered.
    pub(super) fn wait_for_the_library(&mut self, now: Instant) {
        self.state.last_alive = Some(now);
        self.courier.wait_for_the_library(now);
    }

    /// Somebody wants something of the anchor.
    pub(super) fn command(&mut self, command: Command, life: Option<&mut Life>) {
        if self.state.line.len() < COMMANDS {
            self.state.line.push_back(command);
            self.next_command(life);
        } else if let Some(done) = command.into_done() {
            let token = self.board.name.clone();
            done(Err(TokenError::QueueFull { token }));
        }
    }

    /// The command with this number has ended.
    pub(super) fn command_done(&mut self, number: u64, result: Result<(), TokenError>, life: Option<&mut Life>) {
        if let Some((_, done)) = self.state.running.take_if(|(running, _)| *running == number) {
            self.state.at_pad = false;
            self.end_of_lock();
            // From here on it is expected to be quicker.
            self.expect();
            done(result);
            self.next_command(life);
        }
    }

    /// The PIN for what the process wants to do by itself.
    pub(super) fn hand_out_pin(&self, purpose: Purpose) -> ToProcess {
        ToProcess::Pin {
            token: self.number,
            pin: self.pins.kept(purpose).map(|pin| PinOctets::of(&pin)),
        }
    }

    /// Whether a PIN that somebody gave may go to the token now, of which the guard takes note.
    pub(super) fn let_begin(&mut self, pin: &PinEntry) -> ToProcess {
        self.state.at_pad = *pin == PinEntry::AtPad;
        ToProcess::Pin {
            token: self.number,
            pin: self.pins.begin(pin).map(|()| PinOctets::of(pin)),
        }
    }

    /// A login that was under way as the PIN was forgotten may have brought it back.
    fn end_of_lock(&mut self) {
        if std::mem::take(&mut self.state.locking) {
            self.pins.forget();
        }
    }

    /// The process has ended. What it had is given to the next one, if there will be one.
    pub(super) fn lose(&mut self, how: &str) {
        self.drop_commands(how);
        self.courier.disconnect(how);
        self.board.tally.process_ended();
    }

    /// How it stands now that the process has ended.
    pub(super) fn wait_for_the_next(&mut self, detail: &str, is_awaited: bool) {
        self.board.process_ended(detail, is_awaited);
        self.refuse_waiting(|job| !is_awaited || job.retry == Retry::Elsewhere);
    }

    /// Passes on the next command, if none is under way.
    fn next_command(&mut self, mut life: Option<&mut Life>) {
        while self.state.running.is_none() {
            let Some(command) = self.state.line.pop_front() else {
                return;
            };
            match (command, &mut life) {
                (Command::Unlock(unlock, done), life) => match self.admit(&unlock, life.is_some()) {
                    Err(error) => done(Err(error)),
                    Ok(Admission::InUse) => done(Ok(())),
                    Ok(admission @ (Admission::Ask | Admission::AskOnceMore)) => {
                        let number = self.run(done);
                        if let Some(life) = life {
                            life.say(&ToProcess::Unlock {
                                token: self.number,
                                number,
                                pin: PinOctets::of(&unlock.pin),
                                once_more: admission == Admission::AskOnceMore,
                            });
                        }
                    }
                },
                (Command::ChangePin(_, done), None) => done(Err(self.board.unavailable())),
                (Command::ChangePin(change, done), Some(life)) => {
                    let begun = self
                        .pins
                        .begin_change(&self.board.name, &change.old(), self.board.is_ready());
                    match begun {
                        Err(error) => done(Err(error)),
                        Ok(()) => {
                            let number = self.run(done);
                            self.state.at_pad = matches!(change, PinChange::AtPad);
                            let (token, pins) = (self.number, both(&change));
                            life.say(&ToProcess::ChangePin { token, number, pins });
                        }
                    }
                }
                (Command::Lock(done), None) => {
                    self.pins.forget();
                    done(Ok(()));
                }
                (Command::Lock(done), Some(life)) => {
                    self.pins.forget();
                    let number = self.run(done);
                    self.state.locking = true;
                    let token = self.number;
                    life.say(&ToProcess::Lock { token, number });
                }
                // Certificates are taken at every turn; repairs are between a worker and its anchor.
                (Command::Wake | Command::Repair(_), _) => {}
            }
        }
    }

    /// Asks the guard. That the PIN goes to the token is noted when it does.
    fn admit(&self, unlock: &Unlock, alive: bool) -> Result<Admission, TokenError> {
        match self.pins.admit(&self.board.name, unlock, self.board.is_ready())? {
            Admission::Ask | Admission::AskOnceMore if !alive => Err(self.board.unavailable()),
            admission => Ok(admission),
        }
    }

    fn run(&mut self, done: Done) -> u64 {
        self.state.numbers += 1;
        self.state.running = Some((self.state.numbers, done));
        self.state.numbers
    }

    /// Nobody is there to obey, and those who wait are told. Of a PIN that went there without a verdict the guard knows: it
    /// may have cost a try.
    fn drop_commands(&mut self, how: &str) {
        self.state.at_pad = false;
        // A lock that had not begun is no less meant: the next process gets no PIN to log in with.
        self.state.locking |= self
            .state
            .line
            .iter()
            .any(|command| matches!(command, Command::Lock(_)));
        self.end_of_lock();
        let line = self.state.line.drain(..).filter_map(Command::into_done);
        for done in self.state.running.take().map(|(_, done)| done).into_iter().chain(line) {
            done(Err(TokenError::ModuleEnded {
                token: self.board.name.clone(),
                how: how.to_owned(),
            }));
        }
    }

    /// Those who wait for a token that cannot be used are told why.
    fn refuse_waiting(&self, whom: impl Fn(&Job) -> bool) {
        for job in self.queue.remove_if(whom) {
            job.answer(Err(self.board.unavailable()));
        }
    }
}

/// Leaves no more than so many characters.
pub(super) fn cut(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
}

fn both(change: &PinChange) -> Option<(PinOctets, PinOctets)> {
    match change {
        PinChange::Given { old, new } => Some((PinOctets::new(old), PinOctets::new(new))),
        PinChange::AtPad => None,
    }
}
