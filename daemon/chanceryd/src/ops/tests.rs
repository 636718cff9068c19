//! Who is told what, and in which order things happen. No token is needed for that: the keys here have none, so whoever
//! gets as far as a token is told that it has no such key.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod recorded;
mod refused;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use chancery_smime::algorithm::{ContentEncryptionAlgorithm, DigestAlgorithm, SignatureAlgorithm};
use chancery_token::{Catalogue, KeyAlgorithm, KeyEntry, KeyId, Priority, TokenError};

use super::*;
use crate::audit::{Sync, Trail};
use crate::caller::Caller;
use crate::directory::test_certificates::{Made, RSA_ENCIPHER, SIGN, spki};
use crate::directory::{Directory, Index};
use crate::policy::{GrantConfig, Grants, Live, Operation};
use crate::spool::SpoolSettings;

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";
const NOBODY: &str = "nobody@example.org";

/// A context over four keys: Alice signs with 1 and decrypts with 2, Bob with 3 and 4.
struct Fixture {
    directory: tempfile::TempDir,
    context: Arc<Context>,
}

impl Fixture {
    fn new(grants: &str) -> Self {
        let keys = [
            (1, ALICE, SIGN),
            (2, ALICE, RSA_ENCIPHER),
            (3, BOB, SIGN),
            (4, BOB, RSA_ENCIPHER),
        ];
        let mut keys: Vec<KeyEntry> = keys.map(|(n, address, usage)| entry(n, address, usage)).into();
        keys.sort_by_key(|key| key.id);
        let index = Index::build(
            &[Arc::new(Catalogue {
                keys,
                others: Vec::new(),
            })],
            &[],
            &Index::default(),
        );
        let directory = tempfile::tempdir().unwrap();
        let trail = Trail::open(&directory.path().join("audit.jsonl"), Sync::Never).unwrap();
        let grants: Vec<GrantConfig> = toml::from_str::<toml::Table>(grants).unwrap()["grant"]
            .clone()
            .try_into()
            .unwrap();
        let settings = Settings {
            message_bytes: 1 << 20,
            mail_streams: 2,
            mail_streams_per_caller: 2,
            stream_idle: Duration::from_secs(60),
            request_bytes: 2 << 20,
            limits: chancery_smime::limits::Limits::default(),
            digest: DigestAlgorithm::Sha256,
            content_encryption: ContentEncryptionAlgorithm::Aes256Gcm,
            mail_priority: Priority::Interactive,
            call_deadline: Duration::from_secs(30),
            absent_wait: Duration::ZERO,
            pin_sources: Default::default(),
            spool: SpoolSettings {
                directory: directory.path().to_owned(),
                hold_in_memory: 1 << 20,
                memory: Arc::new(tokio::sync::Semaphore::new(1 << 20)),
            },
        };
        let grants = Live::new(Grants::from_config(&grants).unwrap());
        let context = Context::new(Directory::fixed(index), grants, trail, settings).unwrap();
        let context = Arc::new(context);
        Self { directory, context }
    }

    /// The audit trail's records.
    fn records(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.directory.path().join("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn entry(n: u8, address: &str, usage: u8) -> KeyEntry {
    KeyEntry {
        id: id(n),
        algorithm: KeyAlgorithm::Rsa { bits: 2056 },
        spki_der: spki(n),
        object_id: vec![n],
        label: format!("key {n}"),
        can_sign: true,
        can_decrypt: true,
        always_authenticate: false,
        certificates: vec![Made::new(n, address).usage(usage).der()],
    }
}

fn id(n: u8) -> KeyId {
    KeyId::of_spki(&spki(n))
}

fn unknown() -> KeyId {
    KeyId::from_bytes([0xee; 32])
}

fn call() -> Call {
    Call {
        caller: Arc::new(Caller::of_uid(1000)),
        request_id: "request-1".to_owned(),
        rpc: "chancery.v1.KeyService/Sign",
        now: UNIX_EPOCH + Duration::from_secs(1_893_456_000),
        deadline: None,
    }
}

fn to_sign(key: KeyId) -> sign::Request {
    sign::Request {
        key,
        algorithm: SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256),
        input: sign::Input::Digest(Bytes::from_static(&[1; 32])),
        priority: Priority::Interactive,
        pin: None,
    }
}

fn to_decrypt(key: KeyId) -> decrypt::Request {
    decrypt::Request {
        key,
        scheme: decrypt::Scheme::Pkcs1 { plaintext_length: 16 },
        ciphertext: Bytes::from_static(&[1; 257]),
        priority: Priority::Interactive,
        pin: None,
    }
}

fn to_agree(key: KeyId) -> agree::Request {
    agree::Request {
        key,
        peer_public_key: Bytes::new(),
        kdf: None,
        priority: Priority::Interactive,
        pin: None,
    }
}

const ALICES: &str = "[[grant]]\nname = \"alice\"\ncaller = { uid = 1000 }\nidentities = [\"alice@example.org\"]\n\
                      operations = [\"sign\", \"decrypt\", \"sign-raw\", \"decrypt-raw\", \"list\"]";
const EVERYTHING: &str = "[[grant]]\nname = \"all\"\ncaller = { uid = 1000 }\nidentities = [\"*\"]\n\
                          operations = [\"sign\", \"decrypt\", \"sign-raw\", \"decrypt-raw\", \"list\", \"admin\"]";
