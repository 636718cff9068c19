//! Who is told what, and in which order things happen. No token is needed for that: the keys here have none, so whoever
//! gets as far as a token is told that it has no such key.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

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

#[tokio::test]
async fn without_a_grant_a_key_that_exists_and_one_that_does_not_have_the_same_answer() {
    let Fixture { context, .. } = &Fixture::new(ALICES);
    let call = &call();
    for key in [id(3), id(4), unknown()] {
        let answers = [
            keys::find(context, call, key).await.unwrap_err(),
            sign::sign(context, call, to_sign(key)).await.unwrap_err(),
            decrypt::decrypt(context, call, to_decrypt(key)).await.unwrap_err(),
            agree::agree(context, call, to_agree(key)).await.unwrap_err(),
        ];
        for answer in answers {
            assert!(matches!(answer, OpError::NotPermitted), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn without_a_grant_an_identity_that_exists_and_one_that_does_not_have_the_same_answer() {
    let Fixture { context, .. } = &Fixture::new(ALICES);
    let call = &call();
    for address in [BOB, NOBODY] {
        let answer = identities::find(context, call, address).await.unwrap_err();
        assert!(matches!(answer, OpError::NotPermitted), "{answer:?}");
    }
    assert!(identities::find(context, call, "alice@EXAMPLE.org").await.is_ok());
}

#[tokio::test]
async fn with_a_grant_what_does_not_exist_is_not_found() {
    let Fixture { context, .. } = &Fixture::new(EVERYTHING);
    let answer = identities::find(context, &call(), NOBODY).await.unwrap_err();
    assert!(matches!(answer, OpError::IdentityNotFound(address) if address == NOBODY));
}

#[tokio::test]
async fn lists_show_what_the_caller_may_list_and_nothing_else() {
    let Fixture { context, .. } = &Fixture::new(ALICES);
    let page = PageRequest::new(0, "").unwrap();
    let keys = keys::list(context, &call(), &page).await.unwrap();
    let mut expected = [id(1), id(2)];
    expected.sort();
    assert_eq!(keys.entries.iter().map(|key| key.id).collect::<Vec<_>>(), expected);
    assert!(keys.next_page_token.is_empty(), "that there is more must not show");
    let identities = identities::list(context, &call(), &page).await.unwrap();
    assert_eq!(
        identities
            .entries
            .iter()
            .map(|one| one.address.as_str())
            .collect::<Vec<_>>(),
        [ALICE]
    );

    let stranger = Call {
        caller: Arc::new(Caller::of_uid(2000)),
        ..call()
    };
    assert!(keys::list(context, &stranger, &page).await.unwrap().entries.is_empty());
    assert!(matches!(
        tokens::list(context, &stranger, &page),
        Err(OpError::NotPermitted)
    ));
    assert!(matches!(
        tokens::lock(context, &call(), "card", false).await,
        Err(OpError::NotPermitted)
    ));
}

#[tokio::test]
async fn no_grant_lets_a_key_do_the_work_of_the_other_role() {
    let Fixture { context, .. } = &Fixture::new(EVERYTHING);
    let call = &call();
    let signed = sign::sign(context, call, to_sign(id(2))).await.unwrap_err();
    assert!(
        matches!(signed, OpError::KeyRoleMismatch { wanted: "signing", .. }),
        "{signed:?}"
    );
    let decrypted = decrypt::decrypt(context, call, to_decrypt(id(1))).await.unwrap_err();
    assert!(
        matches!(
            decrypted,
            OpError::KeyRoleMismatch {
                wanted: "decryption",
                ..
            }
        ),
        "{decrypted:?}"
    );
    let agreed = agree::agree(context, call, to_agree(id(1))).await.unwrap_err();
    assert!(matches!(agreed, OpError::KeyRoleMismatch { .. }), "{agreed:?}");
    // With the right role, the next thing to be missed is the token.
    let signed = sign::sign(context, call, to_sign(id(1))).await.unwrap_err();
    assert!(matches!(signed, OpError::KeyNotFound(_)), "{signed:?}");
}

#[tokio::test]
async fn what_does_not_fit_the_key_is_refused_before_the_token_is_asked() {
    let Fixture { context, .. } = &Fixture::new(EVERYTHING);
    let call = &call();
    let request = sign::Request {
        algorithm: SignatureAlgorithm::Ed25519,
        ..to_sign(id(1))
    };
    let error = sign::sign(context, call, request).await.unwrap_err();
    assert!(
        matches!(error, OpError::Invalid(Invalid::AlgorithmMismatch { .. })),
        "{error:?}"
    );
    let request = sign::Request {
        input: sign::Input::Digest(Bytes::from_static(&[1; 31])),
        ..to_sign(id(1))
    };
    let error = sign::sign(context, call, request).await.unwrap_err();
    assert!(
        matches!(error, OpError::Invalid(Invalid::Length { field: "digest", .. })),
        "{error:?}"
    );
    for (ciphertext, plaintext_length) in [
        (vec![1; 256], 16),
        (vec![0xff; 257], 16),
        (vec![1; 257], 0),
        (vec![1; 257], 257),
    ] {
        let request = decrypt::Request {
            ciphertext: ciphertext.into(),
            scheme: decrypt::Scheme::Pkcs1 { plaintext_length },
            ..to_decrypt(id(2))
        };
        let error = decrypt::decrypt(context, call, request).await.unwrap_err();
        assert!(matches!(error, OpError::Invalid(_)), "{error:?}");
    }
    let error = agree::agree(context, call, to_agree(id(2))).await.unwrap_err();
    assert!(
        matches!(error, OpError::Invalid(Invalid::AlgorithmMismatch { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refusal_of_a_private_key_is_written_down_and_one_of_a_list_is_not() {
    let fixture = Fixture::new(ALICES);
    let before = fixture.records().len();
    keys::find(&fixture.context, &call(), id(3)).await.unwrap_err();
    assert_eq!(fixture.records().len(), before);
    sign::sign(&fixture.context, &call(), to_sign(id(3))).await.unwrap_err();
    let last = fixture.records().pop().unwrap();
    assert_eq!(
        (&last["event"], &last["reason"]),
        (&"refusal".into(), &"NOT_PERMITTED".into())
    );
    assert_eq!(last["key"], id(3).to_string());
}

#[test]
fn why_a_token_failed_is_told_to_those_alone_who_may_look_at_tokens() {
    let failed = || TokenError::Failed {
        token: "card".to_owned(),
        detail: "/usr/lib/odd.so: CKR_GENERAL_ERROR, as token other said".to_owned(),
    };
    let lost = || TokenError::WorkerLost {
        token: "card".to_owned(),
        how: "token other: it did not answer".to_owned(),
    };
    let with = |operation| {
        format!(
            "[[grant]]\nname = \"one\"\ncaller = {{ uid = 1000 }}\noperations = [{operation:?}]\nidentities = [\"*\"]\n"
        )
    };
    for (operation, is_told) in [("sign", false), ("list", true), ("admin", true)] {
        let fixture = Fixture::new(&with(operation));
        for error in [failed(), lost()] {
            let (token, reason) = (error.token().to_owned(), OpError::Token(error.clone()).reason());
            let told = fixture.context.as_told(&call(), OpError::Token(error));
            let text = told.to_string();
            assert_eq!(text.contains("other"), is_told, "{operation}: {text}");
            assert_eq!(text.contains("request-1"), !is_told, "{operation}: {text}");
            assert!(text.contains(&token) && told.reason() == reason, "{text}");
        }
    }
}

#[tokio::test]
async fn the_intent_is_written_before_and_the_outcome_after_the_work() {
    let fixture = Fixture::new(ALICES);
    let call = call();
    let event = call.event(Operation::Sign, Some("alice"));
    let work = async {
        assert_eq!(fixture.records().pop().unwrap()["event"], "intent");
        Ok(())
    };
    private_key::run(&fixture.context, &call, &event, work).await.unwrap();
    let last = fixture.records().pop().unwrap();
    assert_eq!((&last["event"], &last["result"]), (&"outcome".into(), &"done".into()));

    let failing = async {
        Err::<(), _>(TokenError::Absent {
            token: "card".to_owned(),
        })
    };
    let error = private_key::run(&fixture.context, &call, &event, failing)
        .await
        .unwrap_err();
    assert!(matches!(error, OpError::Token(TokenError::Absent { .. })));
    let last = fixture.records().pop().unwrap();
    assert_eq!(
        (&last["result"], &last["reason"]),
        (&"failed".into(), &"TOKEN_ABSENT".into())
    );
}

#[tokio::test]
async fn nothing_happens_when_the_trail_cannot_be_written() {
    let Fixture { directory, context } = Fixture::new(ALICES);
    directory.close().unwrap();
    context.audit.reopen().unwrap_err();
    let begun = AtomicBool::new(false);
    let work = async {
        begun.store(true, Ordering::Relaxed);
        Ok(())
    };
    let call = call();
    let event = call.event(Operation::Sign, Some("alice"));
    let error = private_key::run(&context, &call, &event, work).await.unwrap_err();
    assert_eq!(error.reason(), "AUDIT_UNAVAILABLE");
    assert!(!begun.load(Ordering::Relaxed));
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_started() {
    let fixture = Fixture::new(ALICES);
    let before = fixture.records().len();
    let call = Call {
        deadline: Some(Instant::now()),
        ..call()
    };
    let event = call.event(Operation::Sign, Some("alice"));
    let work = async { panic!("it was started") };
    let error = private_key::run::<()>(&fixture.context, &call, &event, work)
        .await
        .unwrap_err();
    assert!(matches!(error, OpError::DeadlineExceeded));
    assert_eq!(fixture.records().len(), before);
}

#[tokio::test]
async fn a_caller_who_goes_leaves_an_intent_that_is_closed_as_abandoned() {
    let fixture = Fixture::new(ALICES);
    let call = call();
    let event = call.event(Operation::Sign, Some("alice"));
    let work = std::future::pending::<Result<(), TokenError>>();
    let mut running = Box::pin(private_key::run(&fixture.context, &call, &event, work));
    assert!(
        std::future::poll_fn(|context| std::task::Poll::Ready(running.as_mut().poll(context)))
            .await
            .is_pending()
    );
    drop(running);
    assert_eq!(fixture.records().pop().unwrap()["result"], "abandoned");
}

#[tokio::test]
async fn nothing_is_encrypted_to_a_certificate_that_has_expired_or_is_not_valid_yet() {
    let Fixture { context, .. } = &Fixture::new(ALICES);
    let encrypt = async |from, to| {
        let certificate = Made::new(2, ALICE).usage(RSA_ENCIPHER).validity(from, to).der();
        let options = mail_encrypt::Options {
            certificates: vec![mail_encrypt::Recipient {
                certificate: certificate.into(),
                key_management: None,
            }],
            identities: Vec::new(),
            content_encryption: None,
        };
        let (sink, _pieces) = Sink::new();
        let content = tokio_stream::iter([Ok(Bytes::from_static(b"\r\nA letter.\r\n"))]);
        match mail_encrypt::encrypt(context, &call(), options, content, sink).await {
            Err(OpError::Invalid(error @ Invalid::RecipientNotValid { .. })) => error.to_string(),
            // The key is made up, so that whether the rest succeeds says nothing.
            _ => String::new(),
        }
    };
    // The call comes at 2030-01-01T00:00:00Z.
    let expired = encrypt("200101000000Z", "291231235959Z").await;
    assert!(expired.contains("CN=Subject 2"), "{expired}");
    assert!(expired.contains("expired on 2029-12-31T23:59:59Z"), "{expired}");
    let early = encrypt("300101000001Z", "490101000000Z").await;
    assert!(early.contains("is not valid before 2030-01-01T00:00:01Z"), "{early}");
    assert_eq!(encrypt("300101000000Z", "490101000000Z").await, "");
    assert_eq!(encrypt("200101000000Z", "300101000000Z").await, "");
}
