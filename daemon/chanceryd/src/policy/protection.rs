//! Keys that want the token's PIN with each use, even where the token does not: what Windows calls strong private key
//! protection. It is no matter of grants: whatever they allow, the PIN is wanted too.

use serde::Deserialize;

use super::grant::{self, GrantError, IdentityPattern};
use super::{Operation, Target};

/// A `[[protect]]` as it stands in the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub struct ProtectionConfig {
    /// The identities whose keys are protected: addr-specs, `*@domain`, or `*`.
    pub identities: Vec<String>,
    /// The keys that are protected, by name.
    pub keys: Vec<String>,
    /// The operations that want the PIN; all that use a private key if none is named.
    pub operations: Option<Vec<String>>,
}

/// A checked one.
#[derive(Debug, Clone)]
pub struct Protection {
    identities: Vec<IdentityPattern>,
    keys: Vec<String>,
    operations: Vec<Operation>,
}

/// The operations that use a private key.
const PRIVATE: [Operation; 4] = [
    Operation::Sign,
    Operation::Decrypt,
    Operation::SignRaw,
    Operation::DecryptRaw,
];

impl Protection {
    pub(super) fn from_config(config: &ProtectionConfig) -> Result<Self, GrantError> {
        let operations = match &config.operations {
            None => PRIVATE.to_vec(),
            Some(named) => named.iter().map(|text| private(text)).collect::<Result<_, _>>()?,
        };
        let (identities, keys) = grant::targets(&config.identities, &config.keys)?;
        let first = operations.first().copied().ok_or(GrantError::NoOperations)?;
        if identities.is_empty() && keys.is_empty() {
            return Err(GrantError::NoTarget(first));
        }
        Ok(Self {
            identities,
            keys,
            operations,
        })
    }

    pub(super) fn covers(&self, operation: Operation, target: &Target<'_>) -> bool {
        self.operations.contains(&operation) && grant::covers(&self.identities, &self.keys, target)
    }
}

fn private(text: &str) -> Result<Operation, GrantError> {
    let operation = text.parse()?;
    match PRIVATE.contains(&operation) {
        true => Ok(operation),
        false => Err(GrantError::NotPrivate(operation)),
    }
}
