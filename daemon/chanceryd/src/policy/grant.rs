//! One grant: from what the configuration says to what can be matched.

use std::sync::Arc;

use serde::Deserialize;

use super::{Operation, Target};
use crate::caller::{Caller, San, fold_domain, hex};

/// A `[[grant]]` as it stands in the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields)]
pub struct GrantConfig {
    /// Names it in the audit trail.
    pub name: String,
    /// Whom it is for.
    pub caller: CallerConfig,
    /// The identities it covers: addr-specs, `*@domain`, or `*`.
    #[serde(default)]
    pub identities: Vec<String>,
    /// The keys it covers, by name.
    #[serde(default)]
    pub keys: Vec<String>,
    /// What it allows.
    pub operations: Vec<String>,
}

/// `caller = { … }` as it stands in the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields)]
pub struct CallerConfig {
    /// A Unix user's id.
    pub uid: Option<u32>,
    /// A Unix user's name.
    pub user: Option<String>,
    /// A Unix group's id.
    pub gid: Option<u32>,
    /// A Unix group's name.
    pub group: Option<String>,
    /// SHA-256 of the public key in a client certificate.
    pub spki: Option<String>,
    /// A subjectAltName of a client certificate.
    pub san: Option<String>,
}

/// What is wrong with a grant. Only a change of the configuration helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The name is empty.
    #[error("name is empty; the audit trail needs one")]
    NoName,
    /// Two grants of one name.
    #[error("name {0:?} is taken by another grant; the audit trail must tell them apart")]
    Duplicate(String),
    /// No caller, or several.
    #[error("names {0} of uid, user, gid, group, spki and san; name exactly one")]
    CallerCount(usize),
    /// An empty user, group or name.
    #[error("{0} is empty")]
    EmptyCaller(&'static str),
    /// `caller.spki` is not a SHA-256.
    #[error("spki {0:?} is not a SHA-256 in hexadecimal (64 digits)")]
    Spki(String),
    /// A key's name is not a SHA-256.
    #[error("key {0:?} is not a SHA-256 in hexadecimal (64 digits); `chancery keys` lists the names")]
    Key(String),
    /// Not an address or one of the two patterns.
    #[error("{0:?} is not an address; patterns are only \"*\" and \"*@domain\"")]
    Identity(String),
    /// No such operation.
    #[error("{0:?} is no operation; there are sign, decrypt, sign-raw, decrypt-raw, list and admin")]
    Operation(String),
    /// It allows nothing.
    #[error("operations is empty, so the grant allows nothing")]
    NoOperations,
    /// It protects an operation that uses no private key.
    #[error("{0} uses no private key; there are sign, decrypt, sign-raw and decrypt-raw")]
    NotPrivate(Operation),
    /// It covers nothing.
    #[error("{0} needs identities or keys; identities = [\"*\"] means all")]
    NoTarget(Operation),
}

impl GrantError {
    /// The key of the grant's table that the error is about.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::NoName | Self::Duplicate(_) => "name",
            Self::CallerCount(_) | Self::EmptyCaller(_) | Self::Spki(_) => "caller",
            Self::Key(_) => "keys",
            Self::Identity(_) | Self::NoTarget(_) => "identities",
            Self::Operation(_) | Self::NoOperations | Self::NotPrivate(_) => "operations",
        }
    }
}

/// A checked grant.
#[derive(Debug, Clone)]
pub struct Grant {
    pub(super) name: Arc<str>,
    caller: CallerPattern,
    identities: Vec<IdentityPattern>,
    keys: Vec<String>,
    operations: Vec<Operation>,
}

/// Whom a grant is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerPattern {
    /// A Unix user's id.
    Uid(u32),
    /// A Unix user's name, looked up when the caller connects.
    User(String),
    /// A Unix group's id, effective or supplementary.
    Gid(u32),
    /// A Unix group's name.
    Group(String),
    /// A public key.
    Spki([u8; 32]),
    /// A subjectAltName.
    San(San),
}

/// Which identities a grant covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityPattern {
    /// `*`: all, and keys that belong to none.
    Any,
    /// `*@domain`: that domain, not the ones below it.
    Domain(String),
    /// One address. The local part must be the same to the letter, the domain in any case.
    Address(String),
}

impl Grant {
    pub(super) fn from_config(config: &GrantConfig) -> Result<Self, GrantError> {
        if config.name.trim().is_empty() {
            return Err(GrantError::NoName);
        }
        let caller = CallerPattern::from_config(&config.caller)?;
        let (identities, keys) = targets(&config.identities, &config.keys)?;
        let operations: Vec<Operation> = config
            .operations
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?;
        if operations.is_empty() {
            return Err(GrantError::NoOperations);
        }
        let covers_nothing = config.identities.is_empty() && config.keys.is_empty();
        if let Some(&idle) = operations
            .iter()
            .find(|&&operation| covers_nothing && operation != Operation::Admin)
        {
            return Err(GrantError::NoTarget(idle));
        }
        Ok(Self {
            name: config.name.as_str().into(),
            caller,
            identities,
            keys,
            operations,
        })
    }

    pub(super) fn allows(&self, caller: &Caller, operation: Operation, target: &Target<'_>) -> bool {
        self.operations.contains(&operation) && self.caller.matches(caller) && self.covers(operation, target)
    }

    fn covers(&self, operation: Operation, target: &Target<'_>) -> bool {
        if target.key.is_none() && target.identities.is_empty() && operation.needs_no_target() {
            return true;
        }
        covers(&self.identities, &self.keys, target)
    }
}

/// What a table of the configuration names, checked.
pub(super) fn targets(
    identities: &[String],
    keys: &[String],
) -> Result<(Vec<IdentityPattern>, Vec<String>), GrantError> {
    let identities = identities.iter().map(|text| IdentityPattern::parse(text));
    let keys = keys.iter().map(|text| key_name(text));
    Ok((identities.collect::<Result<_, _>>()?, keys.collect::<Result<_, _>>()?))
}

/// Whether the target is one of these keys, or belongs to one of these identities.
pub(super) fn covers(identities: &[IdentityPattern], keys: &[String], target: &Target<'_>) -> bool {
    target.key.is_some_and(|key| keys.iter().any(|named| named == key))
        || identities.iter().any(|pattern| pattern.covers(target.identities))
}

impl CallerPattern {
    fn from_config(config: &CallerConfig) -> Result<Self, GrantError> {
        let given = [
            config.uid.map(|uid| Ok(Self::Uid(uid))),
            config.user.as_ref().map(|user| non_empty("user", user).map(Self::User)),
            config.gid.map(|gid| Ok(Self::Gid(gid))),
            config
                .group
                .as_ref()
                .map(|group| non_empty("group", group).map(Self::Group)),
            config.spki.as_ref().map(|spki| {
                sha256(spki)
                    .map(Self::Spki)
                    .ok_or_else(|| GrantError::Spki(spki.clone()))
            }),
            config
                .san
                .as_ref()
                .map(|san| non_empty("san", san).map(|san| Self::San(San::from_pattern(&san)))),
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.count()) {
            (Some(only), 0) => only,
            (None, _) => Err(GrantError::CallerCount(0)),
            (Some(_), more) => Err(GrantError::CallerCount(more + 1)),
        }
    }

    fn matches(&self, caller: &Caller) -> bool {
        match (self, caller) {
            (Self::Uid(granted), Caller::Unix { uid, .. }) => granted == uid,
            (Self::User(granted), Caller::Unix { user, .. }) => user.as_ref() == Some(granted),
            (Self::Gid(granted), Caller::Unix { gid, groups, .. }) => {
                granted == gid || groups.iter().any(|group| group.gid == *granted)
            }
            (Self::Group(granted), Caller::Unix { groups, .. }) => {
                groups.iter().any(|group| group.name.as_ref() == Some(granted))
            }
            (Self::Spki(granted), Caller::Tls { spki_sha256, .. }) => granted == spki_sha256,
            (Self::San(granted), Caller::Tls { sans, .. }) => sans.contains(granted),
            (Self::Uid(_) | Self::User(_) | Self::Gid(_) | Self::Group(_), Caller::Tls { .. })
            | (Self::Spki(_) | Self::San(_), Caller::Unix { .. }) => false,
        }
    }
}

impl IdentityPattern {
    fn parse(text: &str) -> Result<Self, GrantError> {
        let refused = || GrantError::Identity(text.to_owned());
        if text == "*" {
            return Ok(Self::Any);
        }
        let (local, domain) = text.rsplit_once('@').ok_or_else(refused)?;
        if local.is_empty() || domain.is_empty() || domain.contains(['*', ' ']) || local.contains(' ') {
            return Err(refused());
        }
        match local {
            "*" => Ok(Self::Domain(domain.to_ascii_lowercase())),
            _ if local.contains('*') => Err(refused()),
            _ => Ok(Self::Address(fold_domain(text))),
        }
    }

    fn covers(&self, identities: &[String]) -> bool {
        match self {
            Self::Any => true,
            Self::Domain(granted) => identities.iter().any(|address| {
                address
                    .rsplit_once('@')
                    .is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(granted))
            }),
            Self::Address(granted) => identities.iter().any(|address| fold_domain(address) == *granted),
        }
    }
}

fn non_empty(key: &'static str, text: &str) -> Result<String, GrantError> {
    if text.is_empty() {
        Err(GrantError::EmptyCaller(key))
    } else {
        Ok(text.to_owned())
    }
}

fn key_name(text: &str) -> Result<String, GrantError> {
    sha256(text)
        .map(|hash| hex(&hash))
        .ok_or_else(|| GrantError::Key(text.to_owned()))
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    (base16ct::mixed::decode(text, &mut hash).ok()?.len() == hash.len()).then_some(hash)
}
