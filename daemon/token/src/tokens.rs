//! All configured tokens: checks, the start of whoever serves them, and the end of it.

mod check;
mod loads;
mod starting;

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    backlog::Backlog,
    board::Board,
    config::{ModuleConfig, TokenConfig},
    confine::Confinement,
    engine::{Engine, EngineToken, spawn},
    error::StartError,
    front::{Front, Server},
    gate::Gate,
    guard::PinGuard,
    handle::TokenHandle,
    job::Job,
    jobs::Jobs,
    module::Loading,
    notice::Notice,
    pins::Pins,
    process::{Courier, Event, Launch, SupervisedToken, Supervisor},
    queue::Queue,
    wait::Waiting,
};
use check::check;
pub use loads::Loads;
use loads::{LOAD_PATIENCE, Load, wait_for};
use starting::{StartingModule, by_module, users};

/// How long dropping [`Tokens`] without a shutdown waits for their threads.
const DROP_PATIENCE: Duration = Duration::from_secs(5);

/// What a supervisor may be told before it listens.
const EVENTS: usize = 256;

/// Notices that may wait to be taken.
const NOTICES: usize = 64;

/// The tokens that are served, and whoever serves them.
pub struct Tokens {
    handles: Vec<TokenHandle>,
    engine: Engine,
    supervisors: Vec<(SyncSender<Event>, JoinHandle<()>)>,
    notices: Option<tokio::sync::mpsc::Receiver<Notice>>,
}

impl Tokens {
    /// Checks names and starts a process for each module that tokens use. A token that is absent, locked or hung does not
    /// hold up the start: its state says what it is. For how long each has something to do is told to `backlog`.
    ///
    /// Call it in a tokio runtime with I/O, on a thread that may block.
    ///
    /// # Errors
    /// A configuration that contradicts itself, or a module that is not there or cannot be loaded. One that answers C_Initialize
    /// with an error is tried again.
    pub fn start(
        modules: &[ModuleConfig],
        tokens: Vec<TokenConfig>,
        launch: &Launch,
        backlog: &Backlog,
    ) -> Result<Self, StartError> {
        let (all, loads) = Self::begin(modules, tokens, launch, backlog)?;
        loads.wait()?;
        Ok(all)
    }

    /// The same without waiting for any module: its tokens are served, `Starting` until theirs is there. What the start would have
    /// waited for is left to the caller.
    ///
    /// # Errors
    /// A configuration that contradicts itself, or a module that is not there.
    pub fn begin(
        modules: &[ModuleConfig],
        tokens: Vec<TokenConfig>,
        launch: &Launch,
        backlog: &Backlog,
    ) -> Result<(Self, Loads), StartError> {
        check(modules, &tokens)?;
        let runtime = Handle::try_current().map_err(|error| StartError::Thread {
            name: "tokens".to_owned(),
            source: std::io::Error::other(error),
        })?;
        let starting = by_module(modules, tokens);
        starting.iter().try_for_each(StartingModule::check_file)?;
        let mut all = Self::none();
        let (notices, taken) = tokio::sync::mpsc::channel(NOTICES);
        all.notices = Some(taken);
        let mut first = Vec::new();
        for StartingModule { config, tokens } in starting {
            let (events, heard) = mpsc::sync_channel(EVENTS);
            let (told, outcome) = mpsc::sync_channel(1);
            first.push(Load {
                module: config.clone(),
                users: users(&tokens),
                outcome,
            });
            let mut supervised = Vec::new();
            for (number, token) in (0_u16..).zip(tokens) {
                supervised.push(all.supervised(token, number, &events, backlog)?);
            }
            let supervisor = Supervisor {
                module: config.name.clone(),
                path: config.path.clone(),
                environment: config.environment.clone(),
                load_time: config.load_time,
                launch: launch.clone(),
                confinement: Confinement {
                    network: config.network,
                    programs: config.programs,
                    hidden: config.hidden.clone(),
                },
                tokens: supervised,
                runtime: runtime.clone(),
                events: heard,
                sender: events.clone(),
                notices: notices.clone(),
                first: Some(told),
            };
            let thread = spawn(&config.name, "supervise", move || supervisor.run());
            all.supervisors.push((events, thread.map_err(no_thread(&config.name))?));
        }
        Ok((all, Loads(first)))
    }

    /// The same with every module in this process, which is what a module's process does itself: for tests, and to
    /// measure what the processes cost. A module that hangs or crashes takes this process with it.
    ///
    /// # Errors
    /// As [`Tokens::start`], and a module that cannot be initialised.
    pub fn start_in_process(modules: &[ModuleConfig], tokens: Vec<TokenConfig>) -> Result<Self, StartError> {
        check(modules, &tokens)?;
        let mut all = Self::none();
        let mut first: Vec<(&ModuleConfig, String, Arc<Loading>)> = Vec::new();
        for StartingModule { config, tokens } in by_module(modules, tokens) {
            let loading = all.engine.load(&config.name, config.path.clone(), false, |_| Ok(()));
            let loading = loading.map_err(no_thread(&config.name))?;
            first.push((config, users(&tokens), Arc::clone(&loading)));
            for token in tokens {
                all.start_thread(token, Arc::clone(&loading))?;
            }
        }
        let latest = Instant::now() + LOAD_PATIENCE;
        for (module, users, loading) in first {
            let outcome = |patience| loading.wait(patience).map(|outcome| outcome.map(drop));
            wait_for(module, users, outcome, latest)?;
        }
        Ok(all)
    }

    /// One handle for each configured token, by module and in the order of the configuration.
    pub fn handles(&self) -> &[TokenHandle] {
        &self.handles
    }

    /// Where the ends of modules' processes are told. The first call has it.
    pub fn take_notices(&mut self) -> Option<tokio::sync::mpsc::Receiver<Notice>> {
        self.notices.take()
    }

    /// A way to have parked modules tried again, which may be used as long as the tokens are served.
    pub fn reviver(&self) -> Reviver {
        Reviver(self.supervisors.iter().map(|(events, _)| events.clone()).collect())
    }

    /// Answers what waits with [`TokenError::Shutdown`](crate::TokenError::Shutdown), finishes what has been started, logs
    /// out, wipes PINs and ends the modules. With a module in this process it does not end before a call that hangs does: bound
    /// it with a timeout.
    pub async fn shutdown(mut self) {
        let (done, wait) = oneshot::channel();
        self.end(move || {
            // Nobody may be waiting any more.
            let _ = done.send(());
        });
        // An error means that the thread could not be had; there is nothing to wait for then.
        let _ = wait.await;
    }

    fn none() -> Self {
        Self {
            handles: Vec::new(),
            engine: Engine::default(),
            supervisors: Vec::new(),
            notices: None,
        }
    }

    fn supervised(
        &mut self,
        config: TokenConfig,
        number: u16,
        events: &SyncSender<Event>,
        backlog: &Backlog,
    ) -> Result<SupervisedToken, StartError> {
        let Parts { pins, board, queue } = Parts::new(&config)?;
        let courier = Courier::new(Arc::clone(&board), Arc::clone(&queue), config.sessions, backlog.share());
        let courier = Arc::new(courier);
        self.add(Front {
            board: Arc::clone(&board),
            gate: Gate::new(config.queue),
            passed_on: Default::default(),
            sessions: config.sessions,
            call_deadline: config.call_deadline,
            queue: Arc::clone(&queue),
            waiting: Waiting::new(),
            pins: Arc::clone(&pins),
            server: Server::Process {
                courier: Arc::clone(&courier),
                supervisor: events.clone(),
                token: number,
            },
        });
        Ok(SupervisedToken {
            number,
            board,
            queue,
            courier,
            pins,
            selector: config.selector,
            sessions: config.sessions,
            keep_alive: config.keep_alive,
            certificates: config.certificates,
            patience: config.call_deadline + config.call_grace,
            state: Default::default(),
        })
    }

    fn start_thread(&mut self, config: TokenConfig, loading: Arc<Loading>) -> Result<(), StartError> {
        let Parts { pins, board, queue } = Parts::new(&config)?;
        let token = EngineToken {
            board: Arc::clone(&board),
            jobs: Jobs::Queue(Arc::clone(&queue)),
            pins: Arc::clone(&pins),
            selector: config.selector,
            certificates: config.certificates,
            sessions: config.sessions,
            keep_alive: config.keep_alive,
        };
        let anchor = self
            .engine
            .start_token(token, loading)
            .map_err(no_thread(&config.name))?;
        self.add(Front {
            board,
            gate: Gate::new(config.queue),
            passed_on: Default::default(),
            sessions: config.sessions,
            call_deadline: config.call_deadline,
            queue,
            waiting: Waiting::new(),
            pins,
            server: Server::Anchor(anchor),
        });
        Ok(())
    }

    fn add(&mut self, front: Front) {
        self.handles.push(TokenHandle::new(Arc::new(front)));
    }

    /// Stops everything and, on a thread of its own, waits for it and says that it is `done`.
    fn end(&mut self, done: impl FnOnce() + Send + 'static) {
        self.handles.iter().for_each(TokenHandle::close);
        let mut engine = std::mem::take(&mut self.engine);
        let supervisors = std::mem::take(&mut self.supervisors);
        let spawned = spawn("tokens", "end", move || {
            for (events, _) in &supervisors {
                // One that has ended needs no telling.
                let _ = events.send(Event::Stop);
            }
            for (_, thread) in supervisors {
                let _ = thread.join();
            }
            engine.end();
            done();
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "the modules were not finalised");
        }
    }
}

impl Drop for Tokens {
    /// The same as [`Tokens::shutdown`], for a few seconds at most: a process that exits while a thread is inside a
    /// module runs the module's destructors under it, which crashes.
    fn drop(&mut self) {
        if !self.engine.is_idle() || !self.supervisors.is_empty() {
            let (done, wait) = mpsc::sync_channel(1);
            self.end(move || {
                // Nobody may be waiting any more.
                let _ = done.send(());
            });
            let _ = wait.recv_timeout(DROP_PATIENCE);
        }
    }
}

/// Has parked modules tried again.
#[derive(Debug, Clone)]
pub struct Reviver(Vec<SyncSender<Event>>);

impl Reviver {
    /// Starts the process of every module that was left alone because it kept ending.
    pub fn revive(&self) {
        for events in &self.0 {
            // One with a full line is not parked, and one that has ended is not coming back.
            let _ = events.try_send(Event::Revive);
        }
    }
}

/// What a token has on this side, whoever serves it.
struct Parts {
    pins: Arc<dyn Pins>,
    board: Arc<Board>,
    queue: Arc<Queue<Job>>,
}

impl Parts {
    fn new(config: &TokenConfig) -> Result<Self, StartError> {
        let guard = PinGuard::new(config.pin_memory.clone(), config.pin.clone(), config.pin_pad);
        let guard = guard.map_err(|error| no_thread(&config.name)(std::io::Error::other(error)))?;
        Ok(Self {
            pins: Arc::new(Mutex::new(guard)),
            board: Arc::new(Board::new(config.name.clone(), config.module.clone(), None)),
            queue: Arc::new(Queue::new(config.queue)),
        })
    }
}

fn no_thread(name: &str) -> impl FnOnce(std::io::Error) -> StartError {
    let name = name.to_owned();
    move |source| StartError::Thread { name, source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::check::tests::{module, token};
    use super::*;

    fn refusal(modules: Vec<ModuleConfig>, tokens: Vec<TokenConfig>) -> String {
        Tokens::start_in_process(&modules, tokens).err().unwrap().to_string()
    }

    #[test]
    fn a_module_that_cannot_be_loaded_is_named_with_its_file_and_its_tokens() {
        let message = refusal(vec![module("m")], vec![token("one"), token("two")]);
        for part in ["module m", "/nonexistent/module.so", "token one, token two"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_module_that_no_token_uses_is_not_loaded() {
        assert!(Tokens::start_in_process(&[module("m")], vec![]).is_ok());
    }
}
