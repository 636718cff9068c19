//! From raw to checked. Goes on after a problem, so that one run of `check-config` tells them all. What it says of modules
//! and tokens is in `check/tokens.rs`.

mod metrics;
mod tokens;
mod traces;
mod whole;

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use chancery_smime::algorithm::{ContentEncryptionAlgorithm as Cipher, DigestAlgorithm};
use chancery_token::Priority;

use super::names::{self, Names};
use super::raw::{Raw, RawAudit, RawLimits, RawListen, RawLog, RawMail, RawTls};
use super::{Audit, Config, Limits, Listen, Log, LogFormat, Mail, Tls, UnixSocket};
use crate::audit::Sync;
use crate::policy::{GrantConfig, Grants, ProtectionConfig};

/// A problem whose line is not known yet.
pub(super) struct Unplaced {
    pub(super) key: String,
    pub(super) message: String,
}

/// Checks everything; all problems or none.
pub(super) fn check(raw: Raw) -> Result<Config, Vec<Unplaced>> {
    let mut found = Found(Vec::new());
    let queue = found.number("limits.queue", raw.limits.queue, 1024, 1..=65_536);
    let modules = found.modules(raw.module);
    let (tokens, grants) = (raw.token.len(), raw.grant.len());
    let config = Config {
        listen: found.listen(raw.listen),
        audit: found.audit(raw.audit),
        state: found.path(
            "state.directory",
            raw.state.directory.unwrap_or_else(|| "/var/lib/chancery".to_owned()),
        ),
        log: found.log(&raw.log),
        limits: found.limits(&raw.limits),
        metrics: found.metrics(raw.metrics),
        traces: found.traces(raw.traces),
        mail: found.mail(raw.mail),
        certificates: raw
            .certificates
            .directory
            .map(|path| found.path("certificates.directory", path)),
        tokens: found.tokens(raw.token, &modules, queue),
        modules,
        grants: found.grants(&raw.grant, &raw.protect),
    };
    // Where something else is wrong, what is missing may well be its consequence.
    if found.0.is_empty() {
        found.whole(&raw.without, tokens, grants);
    }
    if found.0.is_empty() { Ok(config) } else { Err(found.0) }
}

/// What has been found wrong so far. Each check answers with something of the right type, which nobody gets to see.
struct Found(Vec<Unplaced>);

impl Found {
    fn problem(&mut self, key: impl Into<String>, message: impl Display) {
        self.0.push(Unplaced {
            key: key.into(),
            message: message.to_string(),
        });
    }

    fn grants(&mut self, grants: &[GrantConfig], protections: &[ProtectionConfig]) -> Grants {
        let grants = Grants::from_config(grants).unwrap_or_else(|(index, error)| {
            self.problem(format!("grant[{index}].{}", error.key()), error);
            Grants::default()
        });
        grants.protecting(protections).unwrap_or_else(|(index, error)| {
            self.problem(format!("protect[{index}].{}", error.key()), error);
            Grants::default()
        })
    }

    fn listen(&mut self, raw: RawListen) -> Listen {
        let unix = raw.unix.unwrap_or_else(|| "/run/chancery/chanceryd.sock".to_owned());
        let mode = self.mode("listen.unix_mode", raw.unix_mode.as_deref());
        let unix = match unix.as_str() {
            "none" => None,
            _ => Some(UnixSocket {
                path: self.socket_path("listen.unix", unix),
                mode,
                group: raw.unix_group,
            }),
        };
        if unix.is_none() && raw.tls.is_none() {
            self.problem(
                "listen.unix",
                "is \"none\", and there is no [listen.tls]: nobody could connect",
            );
        }
        Listen {
            unix,
            tls: raw.tls.and_then(|tls| self.tls(tls)),
        }
    }

    fn tls(&mut self, raw: RawTls) -> Option<Tls> {
        let address = raw.address.parse();
        if address.is_err() {
            self.problem(
                "listen.tls.address",
                format!("{:?} is not ADDRESS:PORT, such as \"127.0.0.1:8443\"", raw.address),
            );
        }
        let certificate = self.path("listen.tls.certificate", raw.certificate);
        let key = self.path("listen.tls.key", raw.key);
        let client_ca = self.path("listen.tls.client_ca", raw.client_ca);
        Some(Tls {
            address: address.ok()?,
            certificate,
            key,
            client_ca,
        })
    }

    fn audit(&mut self, raw: RawAudit) -> Audit {
        let file = raw.file.unwrap_or_else(|| "/var/log/chancery/audit.jsonl".to_owned());
        let sync = raw.sync.as_deref().unwrap_or("interval");
        if sync != "interval" && raw.sync_interval.is_some() {
            self.problem("audit.sync_interval", "only goes with sync = \"interval\"");
        }
        let interval = self.time(
            "audit.sync_interval",
            raw.sync_interval.as_deref(),
            Duration::from_secs(1),
        );
        let sync = match sync {
            "always" => Sync::Always,
            "never" => Sync::Never,
            "interval" => Sync::Interval(interval),
            other => {
                self.problem("audit.sync", format!("{other:?} is none of always, interval, never"));
                Sync::Always
            }
        };
        Audit {
            file: self.path("audit.file", file),
            sync,
        }
    }

    fn log(&mut self, raw: &RawLog) -> Log {
        Log {
            level: self.name("log.level", raw.level.as_deref(), tracing::Level::INFO, names::LEVELS),
            format: self.name("log.format", raw.format.as_deref(), LogFormat::Auto, names::FORMATS),
        }
    }

    fn limits(&mut self, raw: &RawLimits) -> Limits {
        const MIB: usize = 1 << 20;
        let seconds = Duration::from_secs;
        let message = chancery_smime::limits::Limits {
            header_len: self.number("limits.header_bytes", raw.header_bytes, 256 << 10, 1024..=16 * MIB),
            nesting: self.number("limits.nesting", raw.nesting, 32, 1..=128),
            cms_element_len: self.number(
                "limits.cms_element_bytes",
                raw.cms_element_bytes,
                MIB,
                64 << 10..=64 * MIB,
            ),
            recipients: self.number("limits.recipients", raw.recipients, 1000, 1..=100_000),
            signers: self.number("limits.signers", raw.signers, 64, 1..=1000),
            certificates: self.number("limits.certificates", raw.certificates, 256, 1..=10_000),
            lookahead_len: self.number("limits.lookahead_bytes", raw.lookahead_bytes, 64 << 10, 1024..=16 * MIB),
        };
        Limits {
            message_bytes: self.number("limits.message_bytes", raw.message_bytes, 1 << 30, 1024..=1 << 50),
            request_bytes: self.number("limits.request_bytes", raw.request_bytes, 4 * MIB, 2 * MIB..=64 * MIB),
            metadata_bytes: self.number("limits.metadata_bytes", raw.metadata_bytes, 16 << 10, 1024..=1 << 20),
            connections: self.number("limits.connections", raw.connections, 1024, 1..=1_000_000),
            connections_per_caller: self.number(
                "limits.connections_per_caller",
                raw.connections_per_caller,
                256,
                1..=1_000_000,
            ),
            concurrent_streams: self.number("limits.concurrent_streams", raw.concurrent_streams, 256, 1..=100_000),
            mail_streams: self.number("limits.mail_streams", raw.mail_streams, 256, 1..=100_000),
            mail_streams_per_caller: self.number(
                "limits.mail_streams_per_caller",
                raw.mail_streams_per_caller,
                128,
                1..=100_000,
            ),
            stream_idle: self.time("limits.stream_idle", raw.stream_idle.as_deref(), seconds(60)),
            held_bytes: self.number("limits.held_bytes", raw.held_bytes, 256 * MIB, 0..=1 << 40),
            preface: self.time("limits.preface", raw.preface.as_deref(), seconds(10)),
            tls_handshake: self.time("limits.tls_handshake", raw.tls_handshake.as_deref(), seconds(10)),
            keepalive_interval: self.time(
                "limits.keepalive_interval",
                raw.keepalive_interval.as_deref(),
                seconds(60),
            ),
            keepalive_timeout: self.time(
                "limits.keepalive_timeout",
                raw.keepalive_timeout.as_deref(),
                seconds(20),
            ),
            call_deadline: self.time("limits.call_deadline", raw.call_deadline.as_deref(), seconds(30)),
            call_grace: self.time("limits.call_grace", raw.call_grace.as_deref(), seconds(5)),
            module_load: self.time("limits.module_load", raw.module_load.as_deref(), seconds(60)),
            absent_wait: self
                .time_or_none("limits.absent_wait", raw.absent_wait.as_deref(), seconds(5))
                .unwrap_or_default(),
            drain: self.time("limits.drain", raw.drain.as_deref(), seconds(30)),
            message,
        }
    }

    fn mail(&mut self, raw: RawMail) -> Mail {
        let spool = raw
            .spool_directory
            .unwrap_or_else(|| "/var/lib/chancery/spool".to_owned());
        let digest = raw.digest.as_deref();
        let cipher = raw.content_encryption.as_deref();
        Mail {
            digest: self.name("mail.digest", digest, DigestAlgorithm::Sha256, names::DIGESTS),
            content_encryption: self.name(
                "mail.content_encryption",
                cipher,
                Cipher::Aes256Gcm,
                names::CONTENT_ENCRYPTIONS,
            ),
            priority: self.name(
                "mail.priority",
                raw.priority.as_deref(),
                Priority::Interactive,
                names::PRIORITIES,
            ),
            spool_directory: self.path("mail.spool_directory", spool),
            hold_in_memory: self.number("mail.hold_in_memory", raw.hold_in_memory, 4 << 20, 0..=1 << 30),
        }
    }

    fn socket_path(&mut self, key: &str, path: String) -> PathBuf {
        let path = self.path(key, path);
        if path.as_os_str().len() > 107 {
            self.problem(key, "a Unix socket's path has at most 107 bytes");
        }
        path
    }

    fn mode(&mut self, key: &str, mode: Option<&str>) -> u32 {
        let mode = mode.unwrap_or("0660");
        match u32::from_str_radix(mode, 8) {
            Ok(mode) if mode <= 0o777 => mode,
            _ => {
                self.problem(key, format!("{mode:?} is no mode; write it in octal, such as \"0660\""));
                0
            }
        }
    }

    fn path(&mut self, key: impl Into<String>, path: String) -> PathBuf {
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            self.problem(key, format!("{:?} is not an absolute path", path.display().to_string()));
        }
        path
    }

    fn time(&mut self, key: &str, text: Option<&str>, default: Duration) -> Duration {
        let Some(text) = text else { return default };
        match names::duration(text) {
            Some(time) if (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&time) => time,
            _ => {
                self.problem(
                    key,
                    format!("{text:?} is no time between 1ms and 24h, such as \"30s\" or \"5min\""),
                );
                default
            }
        }
    }

    /// As [`time`](Self::time), but "0s" is none.
    fn time_or_none(&mut self, key: &str, text: Option<&str>, default: Duration) -> Option<Duration> {
        match text.and_then(names::duration) {
            Some(Duration::ZERO) => None,
            _ => Some(self.time(key, text, default)),
        }
    }

    fn name<T: Copy>(&mut self, key: &str, text: Option<&str>, default: T, names: Names<T>) -> T {
        let Some(text) = text else { return default };
        match names.iter().find(|(name, _)| *name == text) {
            Some(&(_, meaning)) => meaning,
            None => {
                let known: Vec<&str> = names.iter().map(|&(name, _)| name).collect();
                self.problem(key, format!("{text:?} is none of {}", known.join(", ")));
                default
            }
        }
    }

    fn number<T>(
        &mut self,
        key: impl Into<String>,
        given: Option<i64>,
        default: T,
        range: std::ops::RangeInclusive<T>,
    ) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let Some(given) = given else { return default };
        match T::try_from(given) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.problem(
                    key,
                    format!("{given} is not between {} and {}", range.start(), range.end()),
                );
                default
            }
        }
    }
}
