//! Which modules are to be started, and with which tokens.

use std::collections::HashMap;

use crate::{
    config::{ModuleConfig, TokenConfig},
    error::{ModuleError, StartError},
};

/// A module that is to be started, and the tokens that are to be served with it.
pub(super) struct StartingModule<'a> {
    pub(super) config: &'a ModuleConfig,
    pub(super) tokens: Vec<TokenConfig>,
}

impl StartingModule<'_> {
    /// Whether its file is there: better known before a token is logged in to, whose login the end of the start would cut off.
    pub(super) fn check_file(&self) -> Result<(), StartError> {
        let path = &self.config.path;
        let there = std::fs::metadata(path).map(drop);
        there.map_err(|error| StartError::Module {
            module: self.config.name.clone(),
            path: path.clone(),
            tokens: users(&self.tokens),
            source: Box::new(ModuleError::Load(error.to_string())),
        })
    }
}

/// The modules that have tokens, with them.
pub(super) fn by_module(modules: &[ModuleConfig], tokens: Vec<TokenConfig>) -> Vec<StartingModule<'_>> {
    let mut sorted: HashMap<String, Vec<TokenConfig>> = HashMap::new();
    for token in tokens {
        sorted.entry(token.module.clone()).or_default().push(token);
    }
    modules
        .iter()
        .filter_map(|config| {
            let tokens = sorted.remove(&config.name)?;
            Some(StartingModule { config, tokens })
        })
        .collect()
}

/// The tokens, as messages name them.
pub(super) fn users(tokens: &[TokenConfig]) -> String {
    let names: Vec<String> = tokens.iter().map(|token| format!("token {}", token.name)).collect();
    names.join(", ")
}
