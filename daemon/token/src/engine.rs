//! The threads behind the tokens of a process that has modules mapped: anchors, workers, and the end of both.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    anchor::{Anchor, COMMANDS, Command},
    board::Board,
    config::TokenSelector,
    error::ModuleError,
    jobs::Jobs,
    module::{Loading, Module},
    pins::Pins,
    shared::Shared,
    worker::Worker,
};

/// One token to look after.
pub(crate) struct EngineToken {
    pub(crate) board: Arc<Board>,
    pub(crate) jobs: Jobs,
    pub(crate) pins: Arc<dyn Pins>,
    pub(crate) selector: TokenSelector,
    pub(crate) certificates: Vec<Vec<u8>>,
    /// Workers, each with a session of its own.
    pub(crate) sessions: usize,
    /// How long a session may be idle before it is kept alive.
    pub(crate) keep_alive: Option<Duration>,
}

#[derive(Default)]
pub(crate) struct Engine {
    tokens: Vec<Arc<Shared>>,
    threads: Vec<JoinHandle<()>>,
    modules: Vec<Arc<Loading>>,
}

impl Engine {
    /// Loads a module on a thread of its own, which ends when C_Initialize does, if `may_load` does not object to its file. Of a
    /// frail one nothing is wanted that can be done without.
    pub(crate) fn load(
        &mut self,
        name: &str,
        path: PathBuf,
        is_frail: bool,
        may_load: fn(&Path) -> Result<(), String>,
    ) -> io::Result<Arc<Loading>> {
        let loading = Arc::new(Loading::default());
        let finished = Arc::clone(&loading);
        drop(spawn(name, "load", move || {
            let allowed = may_load(&path).map_err(ModuleError::Untrusted);
            finished.finish(allowed.and_then(|()| Module::load(&path, is_frail).map(Arc::new)))
        })?);
        self.modules.push(Arc::clone(&loading));
        Ok(loading)
    }

    pub(crate) fn start_token(&mut self, token: EngineToken, loading: Arc<Loading>) -> io::Result<SyncSender<Command>> {
        let (anchor, commands) = mpsc::sync_channel(COMMANDS);
        let name = token.board.name.clone();
        let shared = Arc::new(Shared::new(token.board, token.jobs, anchor, token.pins));
        self.tokens.push(Arc::clone(&shared));
        let anchor = Anchor::new(
            Arc::clone(&shared),
            commands,
            loading,
            token.selector,
            token.certificates,
        );
        self.threads.push(spawn(&name, "anchor", move || anchor.run())?);
        for _ in 0..token.sessions {
            let worker = Worker::new(Arc::clone(&shared), token.keep_alive);
            self.threads.push(spawn(&name, "worker", move || worker.run())?);
        }
        Ok(shared.anchor.clone())
    }

    /// The token that was started as the `number`th.
    pub(crate) fn token(&self, number: u16) -> Option<&Arc<Shared>> {
        self.tokens.get(usize::from(number))
    }

    /// Whether nothing was started, or all of it has ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.threads.is_empty()
    }

    /// Waits until every thread has seen that there are no more jobs, which somebody else has seen to, and finalises the
    /// modules. Does not end before a call that hangs in a module does.
    pub(crate) fn end(&mut self) {
        for token in &self.tokens {
            // Only wakes the anchor: one with a full command queue is awake and sees that there are no more jobs.
            let _ = token.anchor.try_send(Command::Wake);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        for module in self.modules.drain(..) {
            if let Some(Ok(module)) = module.wait(Duration::ZERO) {
                module.finalize();
            }
        }
    }
}

pub(crate) fn spawn(name: &str, role: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    // The system shows fifteen characters.
    thread::Builder::new().name(format!("{role} {name}")).spawn(run)
}
