//! Modules and tokens: what a process can have side by side, how a token is recognised, where its PIN comes from.

use std::collections::BTreeMap;
use std::time::Duration;

use chancery_token::TokenSelector;

use super::super::environment::is_reserved;
use super::super::names;
use super::super::raw::{RawModule, RawPin, RawToken};
use super::super::{Module, PinSource, Token};
use super::Found;

/// How long a session is idle before it is kept alive, if nothing is said. Firewalls forget connections after some minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

impl Found {
    pub(super) fn modules(&mut self, raw: Vec<RawModule>) -> Vec<Module> {
        let mut modules: Vec<Module> = Vec::with_capacity(raw.len());
        for (
            index,
            RawModule {
                name,
                path,
                environment,
                network,
                programs,
            },
        ) in raw.into_iter().enumerate()
        {
            let at = |key: &str| format!("module[{index}].{key}");
            self.unique(at("name"), &name, modules.iter().map(|module| module.name.as_str()));
            let path = self.path(at("path"), path);
            if let Some(other) = modules.iter().find(|module| module.path == path) {
                self.problem(at("path"), same_library(&other.name));
            }
            self.environment(index, &environment);
            modules.push(Module {
                name,
                path,
                environment,
                network,
                programs,
            });
        }
        modules
    }

    fn environment(&mut self, index: usize, environment: &BTreeMap<String, String>) {
        for (variable, value) in environment {
            if !names::is_variable(variable) || value.contains('\0') {
                self.problem(
                    format!("module[{index}].environment"),
                    format!("{variable:?} is no environment variable"),
                );
                continue;
            }
            let key = format!("module[{index}].environment.{variable}");
            if is_reserved(variable) {
                self.problem(key, "belongs to the service manager");
            }
        }
    }

    pub(super) fn tokens(&mut self, raw: Vec<RawToken>, modules: &[Module], queue: usize) -> Vec<Token> {
        let mut tokens: Vec<Token> = Vec::with_capacity(raw.len());
        for (index, raw) in raw.into_iter().enumerate() {
            let at = |key: &str| format!("token[{index}].{key}");
            self.unique(at("name"), &raw.name, tokens.iter().map(|token| token.name.as_str()));
            if !modules.iter().any(|module| module.name == raw.module) {
                self.problem(at("module"), format!("there is no [[module]] named {:?}", raw.module));
            }
            if raw.pin_pad && raw.pin.is_some() {
                self.problem(
                    at("pin_pad"),
                    "goes without pin: the PIN is entered at the pad, or it is configured",
                );
            }
            let selector = self.selector(&at("uri"), raw.uri, raw.label, raw.serial);
            tokens.push(Token {
                selector,
                sessions: self.number(at("sessions"), raw.sessions, 4, 1..=1024),
                queue: self.number(at("queue"), raw.queue, queue, 1..=65_536),
                keep_alive: self.time_or_none(&at("keep_alive"), raw.keep_alive.as_deref(), KEEP_ALIVE),
                pin: raw.pin.and_then(|pin| self.pin(&at("pin"), pin)),
                pin_pad: raw.pin_pad,
                name: raw.name,
                module: raw.module,
                maintenance: raw.maintenance,
            });
        }
        tokens
    }

    fn selector(
        &mut self,
        at: &str,
        uri: Option<String>,
        label: Option<String>,
        serial: Option<String>,
    ) -> TokenSelector {
        let nothing = TokenSelector::Attributes {
            label: None,
            serial: None,
        };
        match (uri, label, serial) {
            (Some(uri), None, None) => match uri.parse() {
                Ok(uri) => TokenSelector::Uri(uri),
                Err(error) => {
                    self.problem(at, error);
                    nothing
                }
            },
            (None, None, None) => {
                self.problem(at, "nothing says which token this is; give uri, label or serial");
                nothing
            }
            (None, label, serial) => TokenSelector::Attributes { label, serial },
            (Some(_), _, _) => {
                self.problem(at, "goes without label and serial; write them into the URI");
                nothing
            }
        }
    }

    /// What is wrong is not quoted: it may be the PIN itself.
    fn pin(&mut self, at: &str, raw: RawPin) -> Option<PinSource> {
        match (raw.credential, raw.file, raw.environment) {
            (Some(name), None, None) if name.is_empty() || name.contains('/') || name.starts_with('.') => {
                self.problem(format!("{at}.credential"), "is not the name of a systemd credential");
                None
            }
            (Some(name), None, None) => Some(PinSource::Credential(name)),
            (None, Some(path), None) => {
                if !path.starts_with('/') {
                    self.problem(format!("{at}.file"), "is not an absolute path");
                }
                Some(PinSource::File(path.into()))
            }
            (None, None, Some(name)) if !names::is_variable(&name) => {
                self.problem(
                    format!("{at}.environment"),
                    "is not the name of an environment variable",
                );
                None
            }
            (None, None, Some(name)) => Some(PinSource::Environment(name)),
            _ => {
                self.problem(
                    at,
                    "give exactly one of credential, file and environment, or no pin at all",
                );
                None
            }
        }
    }

    fn unique<'a>(&mut self, key: String, name: &str, mut taken: impl Iterator<Item = &'a str>) {
        if !names::is_name(name) {
            self.problem(
                key,
                format!("{name:?} is no name: lower-case letters, digits and .-_, at most 63"),
            );
        } else if taken.any(|other| other == name) {
            self.problem(key, format!("{name:?} is there twice"));
        }
    }
}

/// A library is loaded once in a process: two modules of one file would finalise it under each other.
fn same_library(other: &str) -> String {
    format!("is the library of module {other:?} already; name that module in the tokens, and leave this one out")
}
