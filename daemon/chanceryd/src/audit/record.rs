//! One record: how it is written and hashed, and how a line is read back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x509_cert::der::DateTime;

use super::{AuditError, Event};
use crate::caller::{Caller, hex};
use crate::share::Holder;

/// A record's hash.
pub(super) type Hash = [u8; 32];

/// No record is longer, its line end included.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// What the first record of a chain follows.
pub(super) const GENESIS: Hash = [0; 32];

const HASH_FIELD: &str = ",\"hash\":\"";
/// `,"hash":"` + 64 digits + `"}`.
const HASH_SUFFIX_LEN: usize = HASH_FIELD.len() + 64 + 2;

/// What a record says beside its place in the chain.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Body<'a> {
    Intent(EventBody<'a>),
    Outcome {
        intent: u64,
        request: &'a str,
        result: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Refusal {
        #[serde(flatten)]
        refused: EventBody<'a>,
        reason: &'a str,
    },
    /// Refusals that were not written down one by one.
    Refusals {
        count: u64,
        callers: Vec<CallerCount>,
        others: u64,
    },
    /// What was done without an intent, since none could be written, and how it ended.
    Act {
        #[serde(flatten)]
        done: EventBody<'a>,
        result: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Note {
        what: &'a str,
        detail: &'a str,
    },
    /// What was found at the end of the file when it was opened.
    Recovery(Recovery),
}

/// What was wrong with the end of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Recovery {
    /// The bytes before this record, back to the record before, are what a crash or a full disk left of a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) torn: Option<Torn>,
    /// Records are missing; the chain goes on where `FILE.head` says it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<Missing>,
}

/// Bytes that are no record, without the final line end.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Torn {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Torn {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
        }
    }
}

/// Which records the file does not hold.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Missing {
    pub(super) last_in_file: u64,
    pub(super) last_written: u64,
}

#[derive(Serialize)]
pub(super) struct EventBody<'a> {
    request: &'a str,
    operation: &'static str,
    rpc: &'static str,
    caller: CallerBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum CallerBody<'a> {
    Unix {
        uid: u32,
        gid: u32,
        pid: Option<i32>,
        user: Option<&'a str>,
    },
    Tls {
        spki_sha256: String,
        subject: &'a str,
    },
}

/// How many of a caller's.
#[derive(Serialize)]
pub(super) struct CallerCount {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spki_sha256: Option<String>,
    count: u64,
}

impl CallerCount {
    pub(super) fn new(holder: Holder, count: u64) -> Self {
        let (uid, spki_sha256) = match holder {
            Holder::User(uid) => (Some(uid), None),
            Holder::Key(spki) => (None, Some(hex(&spki))),
        };
        Self {
            uid,
            spki_sha256,
            count,
        }
    }
}

impl<'a> EventBody<'a> {
    pub(super) fn new(event: &Event<'a>) -> Self {
        let caller = match event.caller {
            Caller::Unix {
                uid, gid, pid, user, ..
            } => CallerBody::Unix {
                uid: *uid,
                gid: *gid,
                pid: *pid,
                user: user.as_deref(),
            },
            Caller::Tls {
                spki_sha256, subject, ..
            } => CallerBody::Tls {
                spki_sha256: hex(spki_sha256),
                subject,
            },
        };
        Self {
            request: event.request_id,
            operation: event.operation.as_str(),
            rpc: event.rpc,
            caller,
            grant: event.grant,
            identity: event.identity,
            key: event.key,
            token: event.token,
            retry_of: event.retry_of,
            algorithm: event.detail.algorithm,
            digest: event.detail.digest,
        }
    }
}

#[derive(Serialize)]
struct Line<'a, B> {
    seq: u64,
    time: String,
    previous: String,
    #[serde(flatten)]
    body: &'a B,
}

/// Writes the line of a record, line end included, over what `line` holds; returns its hash.
pub(super) fn encode(
    line: &mut Vec<u8>,
    seq: u64,
    previous: Hash,
    now: SystemTime,
    body: &impl Serialize,
) -> Result<Hash, AuditError> {
    let record = Line {
        seq,
        time: timestamp(now),
        previous: hex(&previous),
        body,
    };
    line.clear();
    // Strings and numbers always serialize; an empty line would be refused by the next check of the file.
    if serde_json::to_writer(&mut *line, &record).is_err() {
        line.clear();
    }
    line.pop();
    let hash = chain(previous, line);
    line.extend_from_slice(HASH_FIELD.as_bytes());
    line.extend_from_slice(hex(&hash).as_bytes());
    line.extend_from_slice(b"\"}\n");
    if line.len() > MAX_LINE {
        return Err(AuditError::TooLong {
            length: line.len(),
            limit: MAX_LINE,
        });
    }
    Ok(hash)
}

/// What the next record follows: SHA-256 of the previous hash and everything of this record before its own hash.
fn chain(previous: Hash, record: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(previous)
        .chain_update(record)
        .finalize()
        .into()
}

/// A line that has the form of a record.
pub(super) struct Parsed {
    pub(super) seq: u64,
    pub(super) previous: Hash,
    /// As the record says.
    pub(super) hash: Hash,
    /// Whether that is the hash of what the record says.
    pub(super) intact: bool,
    pub(super) content: Content,
}

/// What verification needs of a record.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Content {
    Intent {
        request: String,
        operation: String,
        #[serde(default)]
        identity: Option<String>,
        #[serde(default)]
        key: Option<String>,
    },
    Outcome {
        intent: u64,
    },
    Recovery(Recovery),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Chained {
    seq: u64,
    previous: String,
    hash: String,
    #[serde(flatten)]
    content: Content,
}

/// Reads a line without its end. `None` if it is no record.
pub(super) fn decode(line: &[u8]) -> Option<Parsed> {
    let chained: Chained = serde_json::from_slice(line).ok()?;
    let (record, suffix) = line.split_at_checked(line.len().checked_sub(HASH_SUFFIX_LEN)?)?;
    let previous = unhex(&chained.previous)?;
    let hash = unhex(&chained.hash)?;
    let intact = suffix == format!("{HASH_FIELD}{}\"}}", chained.hash).as_bytes() && chain(previous, record) == hash;
    Some(Parsed {
        seq: chained.seq,
        previous,
        hash,
        intact,
        content: chained.content,
    })
}

/// 64 lower-case hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    (base16ct::lower::decode(text, &mut hash).ok()?.len() == hash.len()).then_some(hash)
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    match DateTime::from_unix_duration(Duration::from_secs(since.as_secs())) {
        Ok(time) => {
            let text = time.to_string();
            format!("{}.{:03}Z", text.trim_end_matches('Z'), since.subsec_millis())
        }
        Err(_) => format!("@{}", since.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_042);
        assert_eq!(timestamp(time), "2023-11-14T22:13:20.042Z");
    }

    #[test]
    fn a_record_reads_back_intact_and_any_flipped_bit_shows() {
        let body = Body::Note {
            what: "started",
            detail: "with \"quotes\" and ümlauts\n",
        };
        let mut line = b"what stood there before".to_vec();
        let hash = encode(&mut line, 7, [3; 32], UNIX_EPOCH, &body).unwrap();
        let line = line.strip_suffix(b"\n").unwrap();
        let parsed = decode(line).unwrap();
        assert!(parsed.intact && parsed.seq == 7 && parsed.previous == [3; 32] && parsed.hash == hash);
        for position in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.to_vec();
                *changed.get_mut(position).unwrap() ^= 1 << bit;
                assert!(
                    decode(&changed).is_none_or(|parsed| !parsed.intact),
                    "byte {position}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn a_record_that_is_too_long_is_refused() {
        let detail = "x".repeat(MAX_LINE);
        let result = encode(
            &mut Vec::new(),
            1,
            GENESIS,
            UNIX_EPOCH,
            &Body::Note {
                what: "long",
                detail: &detail,
            },
        );
        assert!(matches!(result, Err(AuditError::TooLong { .. })));
    }
}
