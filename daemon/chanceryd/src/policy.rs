//! Who may do what with which key. Pure: no clock, no files, no network, no tonic, no token.
//!
//! Default deny: what no grant allows is refused, for root as for anyone. That signing keys only sign and decryption
//! keys only decrypt is no matter of grants and is held elsewhere, whatever the grants say.

mod grant;
mod live;
mod protection;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use grant::{CallerPattern, Grant, GrantConfig, GrantError, IdentityPattern};
pub use live::Live;
pub use protection::{Protection, ProtectionConfig};

use crate::caller::Caller;

/// What a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Sign a message.
    Sign,
    /// Open an encrypted message.
    Decrypt,
    /// Sign a digest or data of the caller's own making.
    SignRaw,
    /// Decrypt, or agree on, a secret and hand it out.
    DecryptRaw,
    /// See that a key, an identity or a token exists.
    List,
    /// Unlock, lock and inspect tokens.
    Admin,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 6] = [
        Self::Sign,
        Self::Decrypt,
        Self::SignRaw,
        Self::DecryptRaw,
        Self::List,
        Self::Admin,
    ];

    /// As the configuration and the audit trail write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Decrypt => "decrypt",
            Self::SignRaw => "sign-raw",
            Self::DecryptRaw => "decrypt-raw",
            Self::List => "list",
            Self::Admin => "admin",
        }
    }

    /// Whether it can be asked without naming a key or an identity.
    const fn needs_no_target(self) -> bool {
        matches!(self, Self::List | Self::Admin)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let known = Self::ALL.into_iter().find(|operation| operation.as_str() == text);
        known.ok_or_else(|| GrantError::Operation(text.to_owned()))
    }
}

/// What the operation would touch.
///
/// A grant covers it if it names the key, or any one of the identities: an identity's key is the identity's, whoever
/// else's addresses stand in the same certificate. Where a request names one identity, put that one here and no other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target<'a> {
    /// The key's name: 64 lower-case hexadecimal digits.
    pub key: Option<&'a str>,
    /// The addr-specs that the request names, or that the key belongs to.
    pub identities: &'a [String],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Go on.
    Allowed {
        /// The grant that says so, by its name in the configuration.
        grant: Arc<str>,
    },
    /// No grant says so.
    Denied,
}

impl Decision {
    /// Whether to go on.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// All grants, in the order of the configuration, and what is protected whatever they say.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    grants: Vec<Grant>,
    protections: Vec<Protection>,
}

impl Grants {
    /// Checks the grants of a configuration file.
    ///
    /// # Errors
    /// The first grant that is wrong, by its index, and why.
    pub fn from_config(grants: &[GrantConfig]) -> Result<Self, (usize, GrantError)> {
        let mut checked: Vec<Grant> = Vec::with_capacity(grants.len());
        for (index, config) in grants.iter().enumerate() {
            let grant = Grant::from_config(config).map_err(|error| (index, error))?;
            if checked.iter().any(|other| other.name == grant.name) {
                return Err((index, GrantError::Duplicate(config.name.clone())));
            }
            checked.push(grant);
        }
        Ok(Self {
            grants: checked,
            protections: Vec::new(),
        })
    }

    /// May this caller do that? The first grant that allows it is the answer.
    pub fn decide(&self, caller: &Caller, operation: Operation, target: &Target<'_>) -> Decision {
        let allowing = self.grants.iter().find(|grant| grant.allows(caller, operation, target));
        allowing.map_or(Decision::Denied, |grant| Decision::Allowed {
            grant: Arc::clone(&grant.name),
        })
    }

    /// The same grants with these keys protected, in the place of any before.
    ///
    /// # Errors
    /// What is wrong with one of the tables, and its place among them.
    pub fn protecting(self, protections: &[ProtectionConfig]) -> Result<Self, (usize, GrantError)> {
        let checked = protections.iter().enumerate().map(|(index, config)| {
            let protection = Protection::from_config(config);
            protection.map_err(|error| (index, error))
        });
        Ok(Self {
            protections: checked.collect::<Result<_, _>>()?,
            ..self
        })
    }

    /// Whether the operation with this key wants the token's PIN with the call, whoever asks. Of the target, give the key and
    /// every identity that it belongs to.
    #[must_use]
    pub fn wants_pin(&self, operation: Operation, target: &Target<'_>) -> bool {
        self.protections.iter().any(|each| each.covers(operation, target))
    }

    /// How many grants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.grants.len()
    }

    /// Whether there is none, so that everything is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }
}

#[cfg(test)]
mod tests;
