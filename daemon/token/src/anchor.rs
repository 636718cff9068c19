//! The anchor: the thread that finds a token, logs in, holds the session that keeps the login, and lists the keys.
//!
//! It alone searches, logs in and out, and decides in which state the token is. Workers and handles send it commands; between
//! them it looks after the token by itself: an absent one is looked for, a present one is asked whether it is still there.

mod attach;
mod change_pin;
mod examine;
mod ladder;
mod library;
mod unlock;

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use cryptoki::slot::Slot;

use crate::{
    board::Board,
    ckr::{Failure, Remedy},
    config::TokenSelector,
    error::TokenError,
    metrics::count_on_this_thread,
    module::{Loading, Module},
    pin::{PinChange, Unlock},
    shared::Shared,
    status::TokenState,
    sync,
};
use attach::Attached;
use ladder::Ladder;

/// How often the queue is swept, an absent token looked for, and the module asked for events of its slots.
const TICK: Duration = Duration::from_millis(500);

/// How often a token that is there is asked whether it still is. Modules (OpenSC's) look into the reader once a second and not
/// more often, so a little more than that finds the latest, and a token that went is noticed well within two seconds.
const PROBE: Duration = Duration::from_millis(1100);

/// The longest pause between attempts to use a token that is there but fails.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The pause after a login that failed and said nothing of the PIN. The guard allows one more by itself, which is better not
/// spent while an HSM starts again.
const LOGIN_PAUSE: Duration = Duration::from_secs(5);

/// A library that shows no token is not started anew more often than this.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// Keys are not looked up again for a stale handle more often than this.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(1);

/// Listings in a row that failed at an object, after which it is the object that is to blame, and the others are served.
const UNREAD: u32 = 3;

/// Commands that may wait for an anchor.
pub(crate) const COMMANDS: usize = 64;

/// Is told how a command ended.
pub(crate) type Done = Box<dyn FnOnce(Result<(), TokenError>) + Send>;

/// What the anchor is asked to do.
pub(crate) enum Command {
    Unlock(Unlock, Done),
    ChangePin(PinChange, Done),
    Lock(Done),
    Repair(Repair),
    /// Wakes the anchor, which sees by itself what there is: new certificates, or a closed queue, by which it is to stop.
    Wake,
}

impl Command {
    /// Whoever waits for its end.
    pub(crate) fn into_done(self) -> Option<Done> {
        match self {
            Self::Unlock(_, done) | Self::ChangePin(_, done) | Self::Lock(done) => Some(done),
            Self::Repair(_) | Self::Wake => None,
        }
    }
}

/// A worker met an error under this generation.
pub(crate) struct Repair {
    pub(crate) generation: u64,
    /// An object handle was stale.
    pub(crate) look_up: bool,
    /// What the job came to, if nothing more is tried for it.
    pub(crate) failure: Option<Failure>,
    /// Something has worked since the failure before.
    pub(crate) worked_before: bool,
    /// Dropped or told when done.
    pub(crate) done: Option<SyncSender<()>>,
}

/// Says that the token is looked after, between two calls and not too often.
fn beat(board: &Arc<Board>) -> impl FnMut() + use<> {
    let (board, mut told) = (Arc::clone(board), Instant::now());
    move || {
        if told.elapsed() > TICK {
            told = Instant::now();
            board.alive();
        }
    }
}

pub(crate) struct Anchor {
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    loading: Arc<Loading>,
    selector: TokenSelector,
    /// Certificates from outside the token.
    certificates: Vec<Vec<u8>>,
    module: Option<Arc<Module>>,
    attached: Option<Attached>,
    /// The slot of the token, where it was seen last.
    last_slot: Option<Slot>,
    ladder: Ladder,
    /// How the last login failed, if that said nothing of the PIN.
    unclear_login: Option<Failure>,
    /// Times in a row that it failed when it was looked at, and was found at once.
    losses: u32,
    /// Listings in a row that failed at an object, or passed one over for that.
    unread: u32,
    /// What was last read from the token, for new certificates.
    objects: Option<crate::catalogue::assemble::Objects>,
    attachments: u64,
    pause: Duration,
    next_attempt: Instant,
    next_probe: Instant,
    next_restart: Instant,
    next_events: Instant,
    last_look_up: Option<Instant>,
    /// Events of the module's slots that have been looked into.
    events: u64,
}

impl Anchor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        commands: Receiver<Command>,
        loading: Arc<Loading>,
        selector: TokenSelector,
        certificates: Vec<Vec<u8>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            commands,
            loading,
            selector,
            certificates,
            module: None,
            attached: None,
            last_slot: None,
            ladder: Ladder::default(),
            unclear_login: None,
            losses: 0,
            unread: 0,
            objects: None,
            attachments: 0,
            pause: TICK,
            next_attempt: now,
            next_probe: now,
            next_restart: now + RESTART_PAUSE,
            next_events: now,
            last_look_up: None,
            events: 0,
        }
    }

    /// Looks after the token until it is told to stop.
    pub(crate) fn run(mut self) {
        count_on_this_thread(Arc::clone(&self.shared.board.tally.here));
        while !self.shared.jobs.are_over() {
            self.tend();
            match self.commands.recv_timeout(self.patience()) {
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(command) => self.obey(command),
                // Whatever failed before that has been heard of.
                Err(RecvTimeoutError::Timeout) if self.shared.take_success() => self.note_success(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.leave();
    }

    /// How long nothing has to be done unless it is asked for.
    fn patience(&self) -> Duration {
        if self.module.is_none() {
            // It is waited for in `tend`, unless it is known that it does not come.
            let failed = self.loading.wait(Duration::ZERO).is_some();
            return if failed { TICK } else { Duration::ZERO };
        }
        let next = self.attached.as_ref().map_or(self.next_attempt, |_| self.next_probe);
        next.saturating_duration_since(Instant::now()).min(TICK)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Unlock(unlock, done) => {
                done(self.unlock(unlock));
            }
            Command::ChangePin(change, done) => {
                done(self.change_pin(change));
            }
            Command::Lock(done) => {
                done(self.lock());
            }
            Command::Repair(repair) => {
                if repair.generation == self.shared.generation() {
                    self.examine(repair.look_up);
                }
                if repair.worked_before {
                    self.note_success();
                }
                // Handles that are no longer good say nothing of those that are.
                if let Some(failure) = repair.failure.filter(|_| repair.generation == self.shared.generation()) {
                    self.note_failure(failure);
                }
                if let Some(done) = repair.done {
                    let _ = done.try_send(());
                }
            }
            Command::Wake => {}
        }
    }

    /// What is to be done without being asked.
    fn tend(&mut self) {
        self.shared.board.alive();
        if let Some(certificates) = self.shared.board.take_certificates() {
            self.certificates = certificates;
            self.publish_catalogue();
        }
        let now = Instant::now();
        self.shared.jobs.sweep(now, &self.shared.name);
        if self.module.is_none() {
            match self.loading.wait(TICK) {
                Some(Ok(module)) => self.module = Some(module),
                Some(Err(error)) => {
                    self.shared.board.update(|status| {
                        status.state = TokenState::Failed;
                        status.detail = format!("module {}: {error}", status.module);
                    });
                    return;
                }
                None => return,
            }
        }
        let moved = self.has_moved(now);
        if self.attached.is_none() {
            if moved || now >= self.next_attempt {
                self.attach();
            }
        } else if moved || now >= self.next_probe {
            self.examine(false);
        }
    }

    fn lock(&mut self) -> Result<(), TokenError> {
        self.shared.pins.forget();
        let Some(attached) = &self.attached else {
            return Ok(());
        };
        self.shared.clear_live();
        let result = {
            // Nobody is in the middle of an operation when the login ends.
            let _alone = sync::write(&self.shared.calls);
            attached.session.logout().map_err(Failure::from)
        };
        self.shared.board.update(|status| {
            status.state = TokenState::Locked;
            status.detail = "locked: unlock it with its PIN".into();
        });
        match result {
            Ok(()) => Ok(()),
            Err(failure) if failure.ckr.remedy() == Remedy::LogIn => Ok(()),
            Err(failure) => {
                // Closing every session ends the login too.
                let error = self.error(failure);
                self.detach();
                self.attach();
                Err(error)
            }
        }
    }

    /// Logs out, wipes the PIN, and lets the token go.
    fn leave(&mut self) {
        self.shared.pins.forget();
        if let Some(attached) = &self.attached {
            let _alone = sync::write(&self.shared.calls);
            if let Err(error) = attached.session.logout() {
                tracing::debug!(token = self.shared.name, %error, "C_Logout failed");
            }
        }
        self.detach();
    }

    fn error(&self, failure: Failure) -> TokenError {
        TokenError::Ckr {
            token: self.shared.name.clone(),
            function: failure.function.into(),
            ckr: failure.ckr.name().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "tests")]
    use std::sync::{Mutex, mpsc};

    use super::*;
    use crate::{
        front::{Front, Server},
        gate::Gate,
        guard::PinGuard,
        handle::TokenHandle,
        jobs::Jobs,
        pins::Pins,
        queue::Queue,
        wait::Waiting,
    };

    #[test]
    fn a_busy_anchor_finds_the_latest_certificates_once_it_is_free() {
        // One command waits, and nobody takes it: every further one finds the queue full.
        let (sender, commands) = mpsc::sync_channel(1);
        let board = Arc::new(Board::new("card".to_owned(), "module".to_owned(), None));
        let queue = Arc::new(Queue::new(1));
        let pins: Arc<dyn Pins> = Arc::new(Mutex::new(PinGuard::new(None, None, false).expect("randomness")));
        let jobs = Jobs::Queue(Arc::clone(&queue));
        let shared = Arc::new(Shared::new(Arc::clone(&board), jobs, sender.clone(), Arc::clone(&pins)));
        let selector = TokenSelector::Attributes {
            label: Some("card".to_owned()),
            serial: None,
        };
        let old = vec![vec![0]];
        let mut anchor = Anchor::new(shared, commands, Arc::default(), selector, old);
        let handle = TokenHandle::new(Arc::new(Front {
            board: Arc::clone(&board),
            gate: Gate::new(1),
            passed_on: Default::default(),
            sessions: 1,
            call_deadline: TICK,
            queue,
            waiting: Waiting::new(),
            pins,
            server: Server::Anchor(sender),
        }));
        for n in 1..=3 {
            handle.set_certificates(vec![vec![n]]);
        }
        anchor.tend();
        assert_eq!(anchor.certificates, [[3]]);
        assert_eq!(board.take_certificates(), None);
    }
}
