//! What the names, sizes and times of the file mean.

use std::time::Duration;

use chancery_smime::algorithm::{ContentEncryptionAlgorithm, DigestAlgorithm};
use chancery_token::Priority;

use super::LogFormat;

/// A name with what it means.
pub(super) type Names<T> = &'static [(&'static str, T)];

pub(super) const DIGESTS: Names<DigestAlgorithm> = &[
    ("sha256", DigestAlgorithm::Sha256),
    ("sha384", DigestAlgorithm::Sha384),
    ("sha512", DigestAlgorithm::Sha512),
];

pub(super) const CONTENT_ENCRYPTIONS: Names<ContentEncryptionAlgorithm> = &[
    ("aes128-cbc", ContentEncryptionAlgorithm::Aes128Cbc),
    ("aes192-cbc", ContentEncryptionAlgorithm::Aes192Cbc),
    ("aes256-cbc", ContentEncryptionAlgorithm::Aes256Cbc),
    ("aes128-gcm", ContentEncryptionAlgorithm::Aes128Gcm),
    ("aes192-gcm", ContentEncryptionAlgorithm::Aes192Gcm),
    ("aes256-gcm", ContentEncryptionAlgorithm::Aes256Gcm),
];

pub(super) const PRIORITIES: Names<Priority> = &[("interactive", Priority::Interactive), ("bulk", Priority::Bulk)];

pub(super) const LEVELS: Names<tracing::Level> = &[
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

pub(super) const FORMATS: Names<LogFormat> = &[
    ("auto", LogFormat::Auto),
    ("text", LogFormat::Text),
    ("json", LogFormat::Json),
    ("journald", LogFormat::Journald),
];

/// A time such as `500ms`, `30s`, `5min` or `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// A token's or module's name: it becomes part of resource names and health service names.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let starts_well = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    starts_well && text.len() <= 63 && text.bytes().all(allowed)
}

/// A name that a shell could export.
pub(super) fn is_variable(text: &str) -> bool {
    let starts_well = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    starts_well && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
