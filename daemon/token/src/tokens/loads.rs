//! Waiting for modules as they load, for as long as a start may take.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use crate::{
    config::ModuleConfig,
    error::{ModuleError, StartError},
};

/// How long the start waits for modules to load, so that a missing file or a refusal is an error of the start. A module
/// that takes longer is waited for by its tokens, which are `Starting` until then.
pub(super) const LOAD_PATIENCE: Duration = Duration::from_secs(5);

/// How the modules of a start load.
#[derive(Debug)]
pub struct Loads(pub(super) Vec<Load>);

/// How one does.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) module: ModuleConfig,
    /// Its tokens, as an error names them.
    pub(super) users: String,
    pub(super) outcome: Receiver<Result<(), ModuleError>>,
}

impl Loads {
    /// Waits for a few seconds until each has loaded or been refused. Blocks. One that takes longer is waited for by its tokens.
    ///
    /// # Errors
    /// A module that cannot be loaded.
    pub fn wait(self) -> Result<(), StartError> {
        let latest = Instant::now() + LOAD_PATIENCE;
        for Load { module, users, outcome } in self.0 {
            let outcome = |patience| match hear(&outcome, patience) {
                // What it speaks to may not be there yet. It is tried again, and the others are served meanwhile.
                Some(Err(error @ ModuleError::Ckr { .. })) => {
                    tracing::warn!(module = module.name, %error, "the module cannot be used yet");
                    Some(Ok(()))
                }
                outcome => outcome,
            };
            wait_for(&module, users, outcome, latest)?;
        }
        Ok(())
    }
}

fn hear(outcome: &Receiver<Result<(), ModuleError>>, patience: Duration) -> Option<Result<(), ModuleError>> {
    match outcome.recv_timeout(patience) {
        Ok(outcome) => Some(outcome),
        Err(RecvTimeoutError::Timeout) => None,
        // The supervisor has ended, which it does only when it is told to.
        Err(RecvTimeoutError::Disconnected) => Some(Err(ModuleError::Ended("its supervisor has ended".to_owned()))),
    }
}

/// Waits for one module until `latest`. No answer by then is none that matters yet.
pub(super) fn wait_for(
    module: &ModuleConfig,
    tokens: String,
    outcome: impl FnOnce(Duration) -> Option<Result<(), ModuleError>>,
    latest: Instant,
) -> Result<(), StartError> {
    let (name, path): (String, PathBuf) = (module.name.clone(), module.path.clone());
    match outcome(latest.saturating_duration_since(Instant::now())) {
        Some(Err(source)) => Err(StartError::Module {
            module: name,
            path,
            tokens,
            source: Box::new(source),
        }),
        Some(Ok(())) => Ok(()),
        None => {
            tracing::warn!(
                module = name,
                path = %path.display(),
                "the module does not answer; its tokens are served when it does"
            );
            Ok(())
        }
    }
}
