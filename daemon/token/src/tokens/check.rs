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

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    pub(in crate::tokens) fn module(name: &str) -> ModuleConfig {
        ModuleConfig {
            name: name.into(),
            path: "/nonexistent/module.so".into(),
            environment: Default::default(),
            network: false,
            programs: false,
            hidden: vec![],
            load_time: Duration::from_secs(1),
        }
    }

    pub(in crate::tokens) fn token(name: &str) -> TokenConfig {
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
            pin_pad: false,
            pin_memory: None,
            certificates: vec![],
            call_deadline: Duration::from_secs(1),
            call_grace: Duration::from_secs(1),
            keep_alive: None,
        }
    }

    fn refusal(modules: &[ModuleConfig], tokens: &[TokenConfig]) -> String {
        check(modules, tokens).err().unwrap().to_string()
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(refusal(&[module("m"), module("m")], &[]).contains("module m is configured twice"));
        assert!(refusal(&[module("m")], &[token("t"), token("t")]).contains("token t is configured twice"));
        assert!(refusal(&[module("x")], &[token("t")]).contains("token t names module m"));
        let mut unnamed = token("t");
        unnamed.selector = TokenSelector::Attributes {
            label: None,
            serial: None,
        };
        assert!(refusal(&[module("m")], &[unnamed]).contains("which token"));
        for (sessions, queue) in [(0, 1), (1, 0)] {
            let without = TokenConfig {
                sessions,
                queue,
                ..token("t")
            };
            assert!(refusal(&[module("m")], &[without]).contains("token t: "));
        }
    }
}
