//! The file as it stands, before it means anything. Every key that is not here is refused.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::policy::{GrantConfig, ProtectionConfig};

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) without: Vec<String>,
    pub(super) listen: RawListen,
    pub(super) audit: RawAudit,
    pub(super) state: RawState,
    pub(super) log: RawLog,
    pub(super) limits: RawLimits,
    pub(super) mail: RawMail,
    pub(super) metrics: RawMetrics,
    pub(super) traces: RawTraces,
    pub(super) certificates: RawCertificates,
    pub(super) module: Vec<RawModule>,
    pub(super) token: Vec<RawToken>,
    pub(super) grant: Vec<GrantConfig>,
    pub(super) protect: Vec<ProtectionConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct RawListen {
    pub(super) unix: Option<String>,
    pub(super) unix_mode: Option<String>,
    pub(super) unix_group: Option<String>,
    pub(super) tls: Option<RawTls>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) address: String,
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) client_ca: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct RawAudit {
    pub(super) file: Option<String>,
    pub(super) sync: Option<String>,
    pub(super) sync_interval: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct RawState {
    pub(super) directory: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct RawLog {
    pub(super) level: Option<String>,
    pub(super) format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct RawLimits {
    pub(super) message_bytes: Option<i64>,
    pub(super) request_bytes: Option<i64>,
    pub(super) metadata_bytes: Option<i64>,
    pub(super) connections: Option<i64>,
    pub(super) connections_per_caller: Option<i64>,
    pub(super) concurrent_streams: Option<i64>,
    pub(super) mail_streams: Option<i64>,
    pub(super) mail_streams_per_caller: Option<i64>,
    pub(super) stream_idle: Option<String>,
    pub(super) held_bytes: Option<i64>,
    pub(super) queue: Option<i64>,
    pub(super) header_bytes: Option<i64>,
    pub(super) nesting: Option<i64>,
    pub(super) recipients: Option<i64>,
    pub(super) signers: Option<i64>,
    pub(super) certificates: Option<i64>,
    pub(super) cms_element_bytes: Option<i64>,
    pub(super) lookahead_bytes: Option<i64>,
    pub(super) preface: Option<String>,
    pub(super) tls_handshake: Option<String>,
    pub(super) keepalive_interval: Option<String>,
    pub(super) keepalive_timeout: Option<String>,
    pub(super) call_deadline: Option<String>,
    pub(super) call_grace: Option<String>,
    pub(super) module_load: Option<String>,
    pub(super) absent_wait: Option<String>,
    pub(super) drain: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct RawMail {
    pub(super) digest: Option<String>,
    pub(super) content_encryption: Option<String>,
    pub(super) priority: Option<String>,
    pub(super) spool_directory: Option<String>,
    pub(super) hold_in_memory: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct RawMetrics {
    pub(super) listen: Option<String>,
    pub(super) unix_mode: Option<String>,
    pub(super) unix_group: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct RawTraces {
    pub(super) endpoint: Option<String>,
    pub(super) sample_ratio: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields, default)]
pub(super) struct RawCertificates {
    pub(super) directory: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields)]
pub(super) struct RawModule {
    pub(super) name: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) network: bool,
    #[serde(default)]
    pub(super) programs: bool,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields)]
pub(super) struct RawToken {
    pub(super) name: String,
    pub(super) module: String,
    pub(super) uri: Option<String>,
    pub(super) label: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) sessions: Option<i64>,
    pub(super) queue: Option<i64>,
    pub(super) keep_alive: Option<String>,
    pub(super) pin: Option<RawPin>,
    #[serde(default)]
    pub(super) maintenance: bool,
    #[serde(default)]
    pub(super) pin_pad: bool,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a table", deny_unknown_fields)]
pub(super) struct RawPin {
    pub(super) credential: Option<String>,
    pub(super) file: Option<String>,
    pub(super) environment: Option<String>,
}
