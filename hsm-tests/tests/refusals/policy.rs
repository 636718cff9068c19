//! Callers without the grant for what they ask.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use chancery_proto::v1::{GetKeyRequest, KeyServiceSignRequest, key_service_client::KeyServiceClient};
use hsm_tests::{
    command::run,
    daemon::{Daemon, Setup},
    openssl::{self, Recipient},
    people::Person,
};
use rustix::process::getuid;

use crate::{
    ENTITY, LETTER, assert_all_is_well, assert_left_nothing, assert_refused,
    wire::{block_on, bytes_of, reason, with_id},
};

/// The user and group nobody, on Debian.
pub(crate) const NOBODY: &str = "65534";

/// Grants somebody these operations on an identity.
fn grant(uid: u32, identity: &str, operations: &str) -> String {
    format!("name = \"test\"\ncaller = {{ uid = {uid} }}\nidentities = [\"{identity}\"]\noperations = [{operations}]")
}

fn me() -> u32 {
    getuid().as_raw()
}

pub(crate) fn refusals(daemon: &Daemon) -> Vec<serde_json::Value> {
    let records = daemon.audit().unwrap().into_iter();
    records.filter(|record| record["event"] == "refusal").collect()
}

#[test]
fn another_user_with_access_to_the_socket_is_refused_and_written_down() {
    if !getuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .configure("listen", "unix_mode = \"0666\"")
        .start()
        .unwrap();
    let as_nobody = |arguments: &[&str], input: &[u8]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        command.arg(program_for_everybody(&daemon));
        run(command.args(arguments).env("CHANCERY_ADDRESS", daemon.address()), input).unwrap()
    };
    assert_refused(&as_nobody(&["sign"], LETTER), 3, "NOT_PERMITTED");
    assert_refused(
        &as_nobody(&["unlock", "cards", "--pin-stdin"], b"471147"),
        3,
        "NOT_PERMITTED",
    );
    let keys = as_nobody(&["keys", "--json"], b"");
    assert!(!String::from_utf8_lossy(&keys.stdout).contains("alice"), "{keys:?}");
    let sealed = sealed_to(Person::Alice);
    assert_refused(&as_nobody(&["decrypt"], &sealed), 4, "NO_DECRYPTION_KEY");

    let refusals = refusals(&daemon);
    assert!(
        refusals.iter().any(|refusal| refusal["operation"] == "sign"),
        "{refusals:?}"
    );
    assert!(
        refusals.iter().all(|refusal| refusal["caller"]["uid"] == 65534),
        "{refusals:?}"
    );
    assert_all_is_well(&daemon);
}

/// The command line where nobody can run it, and the way to the socket open.
pub(crate) fn program_for_everybody(daemon: &Daemon) -> PathBuf {
    fs::set_permissions(daemon.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let ours = daemon.chancery_command().unwrap();
    let program = daemon.directory().join("chancery");
    if !program.exists() {
        fs::copy(ours.get_program(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    program
}

pub(crate) fn sealed_to(person: Person) -> Vec<u8> {
    openssl::encrypt(&[Recipient { person, options: &[] }], &["-aes-256-gcm"], ENTITY).unwrap()
}

#[test]
fn a_grant_to_another_user_is_not_mine() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .grant(&grant(me() + 1, "*", "\"sign\", \"decrypt\", \"list\", \"admin\""))
        .start()
        .unwrap();
    assert_refused(&daemon.chancery(["sign"], LETTER).unwrap(), 3, "NOT_PERMITTED");
    assert_refused(&daemon.chancery(["lock", "cards"], b"").unwrap(), 3, "NOT_PERMITTED");
    assert_left_nothing(&daemon);
}

#[test]
fn who_is_refused_all_the_time_fills_neither_the_trail_nor_the_log() {
    const TIMES: u64 = 500;
    let mut daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .grant(&grant(me(), "alice@example.org", "\"sign\""))
        .start()
        .unwrap();
    block_on(async {
        for _ in 0..TIMES {
            let status = sign_digest(&daemon, Person::Alice.signing().key().unwrap()).await;
            assert_eq!(reason(&status), "NOT_PERMITTED");
        }
    });
    let one_by_one = refusals(&daemon).len() as u64;
    assert!((30..60).contains(&one_by_one), "{one_by_one}");
    let logged = daemon.log().unwrap().matches("NOT_PERMITTED").count() as u64;
    assert!((30..60).contains(&logged), "{logged}");
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    // What was left out is told at the end, if not before.
    daemon.restart().unwrap();
    let records = daemon.audit().unwrap().into_iter();
    let left_out: Vec<_> = records.filter(|record| record["event"] == "refusals").collect();
    let count: u64 = left_out.iter().map(|record| record["count"].as_u64().unwrap()).sum();
    assert_eq!(refusals(&daemon).len() as u64 + count, TIMES, "{left_out:?}");
    assert_eq!(left_out[0]["callers"][0]["uid"], me());
    assert_all_is_well(&daemon);
}

#[test]
fn a_grant_to_sign_neither_decrypts_nor_administers_nor_signs_digests() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice, Person::Bob])
        .grant(&grant(me(), "alice@example.org", "\"sign\""))
        .faulty()
        .start()
        .unwrap();
    assert_refused(
        &daemon.chancery(["decrypt"], &sealed_to(Person::Alice)).unwrap(),
        4,
        "NO_DECRYPTION_KEY",
    );
    assert_refused(&daemon.chancery(["lock", "cards"], b"").unwrap(), 3, "NOT_PERMITTED");
    let as_bob = daemon.chancery(["sign", "--from", "bob@example.org"], LETTER).unwrap();
    assert_refused(&as_bob, 3, "NOT_PERMITTED");
    let status = block_on(sign_digest(&daemon, Person::Alice.signing().key().unwrap()));
    assert_eq!(reason(&status), "NOT_PERMITTED");
    assert_eq!(daemon.faults().unwrap().of("C_Sign").unwrap(), 0);
    assert_eq!(daemon.faults().unwrap().of("C_Decrypt").unwrap(), 0);
    assert_all_is_well(&daemon);
}

#[test]
fn a_grant_to_decrypt_does_not_sign() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .grant(&grant(me(), "alice@example.org", "\"decrypt\""))
        .start()
        .unwrap();
    assert_refused(&daemon.chancery(["sign"], LETTER).unwrap(), 3, "NOT_PERMITTED");
    let opened = daemon.chancery(["decrypt"], &sealed_to(Person::Alice)).unwrap();
    assert!(opened.success().unwrap().ends_with(b"Hello Bob\r\n"));
    assert_left_nothing(&daemon);
}

#[test]
fn what_is_forbidden_and_what_does_not_exist_answer_alike() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice, Person::Bob])
        .grant(&grant(me(), "alice@example.org", "\"sign\", \"decrypt\", \"list\""))
        .start()
        .unwrap();
    block_on(async {
        let forbidden = Person::Bob.signing().key().unwrap();
        let unknown = format!("keys/{}", "5a".repeat(32));
        let mut keys = KeyServiceClient::new(daemon.channel().await.unwrap());
        let mut seen = Vec::new();
        for name in [&forbidden, &unknown] {
            let request = with_id(GetKeyRequest { name: name.clone() });
            let got = keys.get_key(request).await.unwrap_err();
            let signed = sign_digest(&daemon, name.clone()).await;
            seen.push((bytes_of(&got), bytes_of(&signed)));
        }
        assert_eq!(seen[0], seen[1]);
    });
    let words = |from: &str| {
        let refused = daemon.chancery(["sign", "--from", from], LETTER).unwrap();
        assert_refused(&refused, 3, "NOT_PERMITTED");
        refused.stderr.split(" (NOT_PERMITTED").next().unwrap().to_owned()
    };
    assert_eq!(words("bob@example.org"), words("zoe@example.org"));
    assert_all_is_well(&daemon);
}

async fn sign_digest(daemon: &Daemon, name: String) -> tonic::Status {
    let mut keys = KeyServiceClient::new(daemon.channel().await.unwrap());
    let request = KeyServiceSignRequest {
        name,
        algorithm: chancery_proto::v1::SignatureAlgorithm::RsaPkcs1Sha256.into(),
        input: Some(chancery_proto::v1::key_service_sign_request::Input::Digest(
            vec![7; 32].into(),
        )),
        ..Default::default()
    };
    keys.sign(with_id(request)).await.unwrap_err()
}
