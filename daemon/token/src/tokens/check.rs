//! What a configuration of modules and tokens must not say, found before anything is started.

use std::collections::HashSet;

use crate::{
    config::{ModuleConfig, TokenConfig, TokenSelector},
    error::StartError,
};

/// Whether every name is there once and every token can be told from others.
pub(super) fn check(modules: &[ModuleConfig], tokens: &[TokenConfig]) -> Result<(), StartError> {
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
