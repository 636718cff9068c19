//! All configured tokens: checks, threads, and the end of it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    anchor::{Anchor, Command},
    backlog::Backlog,
    config::{ModuleConfig, TokenConfig, TokenSelector},
    error::{StartError, TokenError},
    guard::PinGuard,
    handle::TokenHandle,
    module::{Loading, Module},
    queue::Queue,
    shared::Shared,
    worker::Worker,
};

/// How long the start waits for modules to load, so that a missing file or a refusal is an error of the start. A module
/// that takes longer is waited for by its tokens, which are `Starting` until then.
const LOAD_PATIENCE: Duration = Duration::from_secs(5);

/// How long dropping [`Tokens`] without a shutdown waits for their threads.
const DROP_PATIENCE: Duration = Duration::from_secs(5);

/// Commands that may wait for an anchor.
const COMMANDS: usize = 64;

/// The tokens that are served, and the threads behind them.
pub struct Tokens {
    handles: Vec<TokenHandle>,
    shared: Vec<Arc<Shared>>,
    threads: Vec<JoinHandle<()>>,
    modules: Vec<Arc<Loading>>,
}

impl Tokens {
    /// Checks names, loads the modules that tokens use, and starts the threads. A token that is absent, locked or hung does
    /// not hold up the start: its state says what it is. What waits at any of them is counted in `backlog`.
    ///
    /// # Errors
    /// A configuration that contradicts itself, or a module that cannot be loaded or initialised.
    pub fn start(modules: Vec<ModuleConfig>, tokens: Vec<TokenConfig>, backlog: &Backlog) -> Result<Self, StartError> {
        check(&modules, &tokens)?;
        let mut loading = HashMap::new();
        for module in &modules {
            if tokens.iter().any(|token| token.module == module.name) {
                loading.insert(module.name.clone(), load(module)?);
            }
        }
        wait_for(&modules, &tokens, &loading)?;
        let modules = loading.values().map(Arc::clone).collect();
        let mut all = Self {
            handles: Vec::new(),
            shared: Vec::new(),
            threads: Vec::new(),
            modules,
        };
        for token in tokens {
            if let Some(loading) = loading.get(&token.module)
                && let Err(error) = all.start_token(token, Arc::clone(loading), backlog.clone())
            {
                return Err(error);
            }
        }
        Ok(all)
    }

    /// One handle for each configured token, in the order of the configuration.
    pub fn handles(&self) -> &[TokenHandle] {
        &self.handles
    }

    /// Answers what waits with [`TokenError::Shutdown`], finishes what has been started, logs out, wipes PINs and finalises
    /// the modules. Does not end before a call that hangs in a module does: bound it with a timeout.
    pub async fn shutdown(mut self) {
        let (done, wait) = oneshot::channel();
        self.end(move || {
            // Nobody may be waiting any more.
            let _ = done.send(());
        });
        // An error means that the thread could not be had; there is nothing to wait for then.
        let _ = wait.await;
    }

    fn start_token(&mut self, config: TokenConfig, loading: Arc<Loading>, backlog: Backlog) -> Result<(), StartError> {
        let guard = PinGuard::new(config.pin_memory, config.pin).map_err(|error| StartError::Thread {
            name: config.name.clone(),
            source: std::io::Error::other(error),
        })?;
        let (anchor, commands) = mpsc::sync_channel(COMMANDS);
        let name = config.name;
        let shared = Arc::new(Shared::new(
            name.clone(),
            config.module,
            config.call_deadline,
            Queue::new(config.queue, backlog),
            anchor,
            guard,
        ));
        self.shared.push(Arc::clone(&shared));
        self.handles.push(TokenHandle::new(Arc::clone(&shared)));
        let anchor = Anchor::new(
            Arc::clone(&shared),
            commands,
            loading,
            config.selector,
            config.certificates,
        );
        self.threads.push(spawn(&name, "anchor", move || anchor.run())?);
        for _ in 0..config.sessions {
            let worker = Worker::new(Arc::clone(&shared));
            self.threads.push(spawn(&name, "worker", move || worker.run())?);
        }
        Ok(())
    }

    fn stop(&self) {
        for shared in &self.shared {
            for job in shared.queue.close() {
                job.answer(Err(TokenError::Shutdown {
                    token: shared.name.clone(),
                }));
            }
            // Only wakes the anchor: one with a full command queue is awake and sees that the jobs' queue is closed.
            let _ = shared.anchor.try_send(Command::Wake);
        }
    }

    /// Stops every thread and, on a thread of its own, waits for them, finalises the modules and says that it is `done`.
    fn end(&mut self, done: impl FnOnce() + Send + 'static) {
        self.stop();
        let threads = std::mem::take(&mut self.threads);
        let modules = std::mem::take(&mut self.modules);
        let spawned = spawn("tokens", "end", move || {
            for thread in threads {
                let _ = thread.join();
            }
            for module in modules {
                if let Some(Ok(module)) = module.wait(Duration::ZERO) {
                    module.finalize();
                }
            }
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
        if !self.threads.is_empty() {
            let (done, wait) = mpsc::sync_channel(1);
            self.end(move || {
                // Nobody may be waiting any more.
                let _ = done.send(());
            });
            let _ = wait.recv_timeout(DROP_PATIENCE);
        }
    }
}

fn check(modules: &[ModuleConfig], tokens: &[TokenConfig]) -> Result<(), StartError> {
    let mut names = HashSet::new();
    if let Some(module) = modules.iter().find(|module| !names.insert(&module.name)) {
        return Err(StartError::Duplicate {
            kind: "module",
            name: module.name.clone(),
        });
    }
    let mut token_names = HashSet::new();
    for token in tokens {
        let name = || token.name.clone();
        if !token_names.insert(&token.name) {
            return Err(StartError::Duplicate {
                kind: "token",
                name: name(),
            });
        }
        if !names.contains(&token.module) {
            return Err(StartError::UnknownModule {
                token: name(),
                module: token.module.clone(),
            });
        }
        let detail = if matches!(
            token.selector,
            TokenSelector::Attributes {
                label: None,
                serial: None
            }
        ) {
            "nothing says which token it is: give a URI, a label or a serial"
        } else if token.sessions == 0 {
            "it needs at least one session"
        } else if token.queue == 0 {
            "its queue needs room for at least one job"
        } else {
            continue;
        };
        return Err(StartError::InvalidToken { token: name(), detail });
    }
    Ok(())
}

fn load(module: &ModuleConfig) -> Result<Arc<Loading>, StartError> {
    let loading = Arc::new(Loading::default());
    let (path, finished) = (module.path.clone(), Arc::clone(&loading));
    // Not joined: it ends when C_Initialize does.
    drop(spawn(&module.name, "load", move || {
        finished.finish(Module::load(&path).map(Arc::new))
    })?);
    Ok(loading)
}

fn wait_for(
    modules: &[ModuleConfig],
    tokens: &[TokenConfig],
    loading: &HashMap<String, Arc<Loading>>,
) -> Result<(), StartError> {
    let latest = Instant::now() + LOAD_PATIENCE;
    for module in modules {
        let Some(loading) = loading.get(&module.name) else {
            continue;
        };
        match loading.wait(latest.saturating_duration_since(Instant::now())) {
            Some(Err(source)) => {
                let users = tokens.iter().filter(|token| token.module == module.name);
                let users: Vec<String> = users.map(|token| format!("token {}", token.name)).collect();
                let (module, path) = (module.name.clone(), module.path.clone());
                return Err(StartError::Module {
                    module,
                    path,
                    tokens: users.join(", "),
                    source,
                });
            }
            Some(Ok(_)) => {}
            None => tracing::warn!(
                module = module.name,
                path = %module.path.display(),
                "the module does not answer; its tokens are served when it does"
            ),
        }
    }
    Ok(())
}

fn spawn(name: &str, role: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    thread::Builder::new()
        .name(format!("{role} {name}"))
        .spawn(body)
        .map_err(|source| StartError::Thread {
            name: name.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn module(name: &str) -> ModuleConfig {
        ModuleConfig {
            name: name.into(),
            path: "/nonexistent/module.so".into(),
        }
    }

    fn token(name: &str) -> TokenConfig {
        TokenConfig {
            name: name.into(),
            module: "m".into(),
            selector: TokenSelector::Attributes {
                label: Some(name.into()),
                serial: None,
            },
            sessions: 1,
            queue: 1,
            pin: None,
            pin_memory: None,
            certificates: vec![],
            call_deadline: Duration::from_secs(1),
        }
    }

    fn refusal(modules: Vec<ModuleConfig>, tokens: Vec<TokenConfig>) -> String {
        Tokens::start(modules, tokens, &Backlog::default())
            .err()
            .unwrap()
            .to_string()
    }

    #[test]
    fn contradictions_are_refused_before_anything_is_loaded() {
        assert!(refusal(vec![module("m"), module("m")], vec![]).contains("module m is configured twice"));
        assert!(refusal(vec![module("m")], vec![token("t"), token("t")]).contains("token t is configured twice"));
        assert!(refusal(vec![module("x")], vec![token("t")]).contains("token t names module m"));
        let mut unnamed = token("t");
        unnamed.selector = TokenSelector::Attributes {
            label: None,
            serial: None,
        };
        assert!(refusal(vec![module("m")], vec![unnamed]).contains("which token"));
        for (sessions, queue) in [(0, 1), (1, 0)] {
            let without = TokenConfig {
                sessions,
                queue,
                ..token("t")
            };
            assert!(refusal(vec![module("m")], vec![without]).contains("token t: "));
        }
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
        assert!(Tokens::start(vec![module("m")], vec![], &Backlog::default()).is_ok());
    }
}
