//! Lists of keys, identities and tokens, and the state of the daemon.

use chancery::{Health, v1};
use serde::Serialize;

use super::activity::ActivityJson;
use super::filled;
use crate::command::Status;
use crate::text::{certificate_pem, hex, public_key_pem, rfc3339};
use crate::words::Word;

/// What `keys --json` prints.
#[derive(Serialize)]
pub(crate) struct KeysJson<'a> {
    keys: Vec<KeyJson<'a>>,
}

#[derive(Serialize)]
struct KeyJson<'a> {
    name: &'a str,
    algorithm: Option<&'static str>,
    bits: u32,
    roles: Vec<&'static str>,
    signature_algorithms: Vec<&'static str>,
    available: bool,
    replicas: Vec<ReplicaJson<'a>>,
    public_key: Option<String>,
    certificates: Vec<String>,
}

#[derive(Serialize)]
struct ReplicaJson<'a> {
    token: &'a str,
    object_id: String,
    object_label: &'a str,
    always_authenticate: bool,
    available: bool,
}

impl<'a> KeysJson<'a> {
    pub(crate) fn new(keys: &'a [v1::Key]) -> Self {
        let replica = |replica: &'a v1::KeyReplica| ReplicaJson {
            token: &replica.token,
            object_id: hex(&replica.object_id),
            object_label: &replica.object_label,
            always_authenticate: replica.always_authenticate,
            available: replica.available,
        };
        let key = |key: &'a v1::Key| KeyJson {
            name: &key.name,
            algorithm: key.algorithm().word(),
            bits: key.key_bits,
            roles: key.roles().filter_map(Word::word).collect(),
            signature_algorithms: key.signature_algorithms().filter_map(Word::word).collect(),
            available: key.replicas.iter().any(|replica| replica.available),
            replicas: key.replicas.iter().map(replica).collect(),
            public_key: public_key_pem(&key.public_key),
            certificates: key.certificates.iter().filter_map(|der| certificate_pem(der)).collect(),
        };
        Self {
            keys: keys.iter().map(key).collect(),
        }
    }
}

/// What `identities --json` prints.
#[derive(Serialize)]
pub(crate) struct IdentitiesJson<'a> {
    identities: Vec<IdentityJson<'a>>,
}

#[derive(Serialize)]
struct IdentityJson<'a> {
    name: &'a str,
    address: &'a str,
    signing: Option<IdentityKeyJson<'a>>,
    encryption: Option<IdentityKeyJson<'a>>,
    former_decryption: Vec<IdentityKeyJson<'a>>,
}

#[derive(Serialize)]
struct IdentityKeyJson<'a> {
    key: &'a str,
    available: bool,
    certificate: Option<String>,
    issuers: Vec<String>,
}

impl<'a> IdentitiesJson<'a> {
    pub(crate) fn new(identities: &'a [v1::Identity]) -> Self {
        let key = |key: &'a v1::IdentityKey| IdentityKeyJson {
            key: &key.key,
            available: key.available,
            certificate: certificate_pem(&key.certificate),
            issuers: key.issuers.iter().filter_map(|der| certificate_pem(der)).collect(),
        };
        let identity = |identity: &'a v1::Identity| IdentityJson {
            name: &identity.name,
            address: identity.name.strip_prefix("identities/").unwrap_or(&identity.name),
            signing: identity.signing.as_ref().map(key),
            encryption: identity.encryption.as_ref().map(key),
            former_decryption: identity.former_decryption.iter().map(key).collect(),
        };
        Self {
            identities: identities.iter().map(identity).collect(),
        }
    }
}

/// What `tokens --json` prints.
#[derive(Serialize)]
pub(crate) struct TokensJson<'a> {
    tokens: Vec<TokenJson<'a>>,
}

#[derive(Serialize)]
struct TokenJson<'a> {
    name: &'a str,
    state: &'static str,
    detail: Option<&'a str>,
    last_error: Option<&'a str>,
    module: &'a str,
    label: &'a str,
    serial_number: &'a str,
    manufacturer: &'a str,
    model: &'a str,
    key_count: u32,
    sessions: u32,
    generation: u64,
    pin_status: Option<&'static str>,
    drain_reason: Option<&'static str>,
    protected_authentication_path: bool,
    jobs_waiting: u32,
    jobs_running: u32,
    worker_restarts: u64,
    unlock_expire_time: Option<String>,
    unlock_uses_left: Option<u64>,
}

impl<'a> TokensJson<'a> {
    pub(crate) fn new(tokens: &'a [v1::Token]) -> Self {
        Self {
            tokens: tokens.iter().map(TokenJson::new).collect(),
        }
    }
}

impl<'a> TokenJson<'a> {
    fn new(token: &'a v1::Token) -> Self {
        Self {
            name: &token.name,
            state: token.state().word().unwrap_or("unknown"),
            detail: filled(&token.detail),
            last_error: filled(&token.last_error),
            module: &token.module,
            label: &token.label,
            serial_number: &token.serial_number,
            manufacturer: &token.manufacturer,
            model: &token.model,
            key_count: token.key_count,
            sessions: token.sessions,
            generation: token.generation,
            pin_status: token.pin_status().word(),
            drain_reason: token.drain_reason().word(),
            protected_authentication_path: token.protected_authentication_path,
            jobs_waiting: token.jobs_waiting,
            jobs_running: token.jobs_running,
            worker_restarts: token.worker_restarts,
            unlock_expire_time: token.unlock_expire_time.and_then(|time| rfc3339(time.seconds)),
            unlock_uses_left: token.unlock_uses_left,
        }
    }
}

/// What `status --json` prints.
#[derive(Serialize)]
pub(crate) struct StatusJson<'a> {
    address: &'a str,
    /// Null if the caller may not list tokens.
    daemon_version: Option<&'a str>,
    health: &'static str,
    /// Null if the caller may not list tokens.
    tokens: Option<Vec<TokenStatusJson<'a>>>,
}

#[derive(Serialize)]
struct TokenStatusJson<'a> {
    health: &'static str,
    #[serde(flatten)]
    token: TokenJson<'a>,
    /// Null for callers without `admin`.
    activity: Option<ActivityJson<'a>>,
}

impl<'a> StatusJson<'a> {
    pub(crate) fn new(status: &'a Status) -> Self {
        let token = |token: &'a v1::Token| TokenStatusJson {
            // The daemon's health service says the same of a token: it serves while it is ready and takes work.
            health: health_word(match (token.state(), token.drain_reason()) {
                (v1::TokenState::Ready, v1::DrainReason::Unspecified) => Health::Serving,
                _ => Health::NotServing,
            }),
            token: TokenJson::new(token),
            activity: token.activity.as_ref().map(ActivityJson::new),
        };
        Self {
            address: &status.address,
            daemon_version: status.version.as_deref(),
            health: health_word(status.health),
            tokens: status.tokens.as_ref().map(|tokens| tokens.iter().map(token).collect()),
        }
    }
}

/// The word for a state of health, in JSON and in tables.
pub(crate) fn health_word(health: Health) -> &'static str {
    match health {
        Health::Serving => "serving",
        Health::NotServing => "not-serving",
        _ => "unknown",
    }
}
