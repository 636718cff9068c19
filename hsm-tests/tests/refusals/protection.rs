//! Keys that are protected: the policy wants the token's PIN with each use, and the token is not asked.

use bytes::Bytes;
use chancery::{Client, Error, Pin as SentPin, v1};
use chancery_proto::v1::{AgreeRequest, SignatureAlgorithm, key_service_client::KeyServiceClient};
use hsm_tests::{
    daemon::{Daemon, PIN, Setup},
    people::Person,
};
use rustix::process::getuid;

use crate::{
    LETTER, assert_left_nothing, assert_refused,
    policy::{refusals, sealed_to},
    separation::{decryption, generator_of_p256, signing, used},
    wire::{block_on, reason, with_id},
};

/// Everything is allowed, and this is protected.
pub(crate) fn protecting(protect: &str) -> Daemon {
    let everything = format!(
        "name = \"everything\"\ncaller = {{ uid = {} }}\nidentities = [\"*\"]\n\
         operations = [\"sign\", \"decrypt\", \"sign-raw\", \"decrypt-raw\", \"list\", \"admin\"]",
        getuid().as_raw()
    );
    Setup::new()
        .token("cards", &[Person::Alice, Person::Bob, Person::Carol])
        .faulty()
        .grant(&format!("{everything}\n\n[[protect]]\n{protect}"))
        .start()
        .unwrap()
}

pub(crate) fn pin() -> Bytes {
    Bytes::from_static(PIN.as_bytes())
}

pub(crate) async fn sign(client: &Client, person: Person, pin: Bytes) -> Result<(), Error> {
    let options = v1::SignOptions {
        identity: person.identity(),
        pin,
        ..Default::default()
    };
    client.sign(options, LETTER, &mut Vec::new()).await.map(drop)
}

async fn decrypt(client: &Client, message: &[u8], pin: Bytes) -> Result<Vec<u8>, Error> {
    let options = v1::DecryptOptions {
        pin,
        ..Default::default()
    };
    let mut opened = Vec::new();
    client.decrypt(options, message, &mut opened).await.map(|_| opened)
}

#[track_caller]
pub(crate) fn why<T>(result: Result<T, Error>) -> String {
    let error = result.err().unwrap();
    error.failure().and_then(|failure| failure.reason()).unwrap().to_owned()
}

#[test]
fn each_use_of_a_protected_key_wants_the_pin_with_the_call() {
    let daemon = protecting("identities = [\"alice@example.org\", \"carol@example.org\"]");
    let (mine, others) = (sealed_to(Person::Alice), sealed_to(Person::Bob));
    block_on(async {
        let client = Client::connect(&daemon.address()).await.unwrap();
        let mut keys = KeyServiceClient::new(daemon.channel().await.unwrap());
        let rsa = SignatureAlgorithm::RsaPkcs1Sha256;
        let mut to_sign = signing(&Person::Alice.signing(), rsa);
        let mut to_decrypt = decryption(&Person::Alice.encryption());
        let mut to_agree = AgreeRequest {
            name: Person::Carol.encryption().key().unwrap(),
            peer_public_key: generator_of_p256().into(),
            ..Default::default()
        };
        let (signed, derived) = (used(&daemon, "C_Sign"), used(&daemon, "C_DeriveKey"));
        assert_eq!(
            reason(&keys.sign(with_id(to_sign.clone())).await.unwrap_err()),
            "PIN_REQUIRED"
        );
        assert_eq!(
            reason(&keys.decrypt(with_id(to_decrypt.clone())).await.unwrap_err()),
            "PIN_REQUIRED"
        );
        assert_eq!(
            reason(&keys.agree(with_id(to_agree.clone())).await.unwrap_err()),
            "PIN_REQUIRED"
        );
        assert_eq!(why(sign(&client, Person::Alice, Bytes::new()).await), "PIN_REQUIRED");
        assert_eq!(why(decrypt(&client, &mine, Bytes::new()).await), "PIN_REQUIRED");
        assert_eq!((used(&daemon, "C_Sign"), used(&daemon, "C_Decrypt")), (signed, 0));
        assert_eq!(used(&daemon, "C_DeriveKey"), derived);
        assert_eq!(refusals(&daemon).len(), 5);

        to_sign.pin = pin();
        to_decrypt.pin = pin();
        to_agree.pin = pin();
        keys.sign(with_id(to_sign)).await.unwrap();
        keys.decrypt(with_id(to_decrypt)).await.unwrap();
        keys.agree(with_id(to_agree)).await.unwrap();
        sign(&client, Person::Alice, pin()).await.unwrap();
        decrypt(&client, &mine, pin()).await.unwrap();
        assert_eq!(refusals(&daemon).len(), 5);

        // Bob's keys are on the same token, and are not protected.
        sign(&client, Person::Bob, Bytes::new()).await.unwrap();
        decrypt(&client, &others, Bytes::new()).await.unwrap();
        keys.sign(with_id(signing(&Person::Bob.signing(), rsa))).await.unwrap();
        // A PIN that nobody wants is not looked at.
        sign(&client, Person::Bob, Bytes::from_static(b"000000")).await.unwrap();
    });
    assert_eq!(used(&daemon, "C_Login"), 1);
    assert_left_nothing(&daemon);
}

#[test]
fn wrong_pins_with_calls_are_few_written_down_and_cost_the_token_no_try() {
    let daemon = protecting("identities = [\"alice@example.org\"]\noperations = [\"sign\"]");
    let mine = sealed_to(Person::Alice);
    block_on(async {
        let client = Client::connect(&daemon.address()).await.unwrap();
        // Only what is named is protected.
        decrypt(&client, &mine, Bytes::new()).await.unwrap();
        for wrong in ["wrong-pin-1", "wrong-pin-2"] {
            let wrong = Bytes::from_static(wrong.as_bytes());
            assert_eq!(why(sign(&client, Person::Alice, wrong).await), "PIN_MISMATCH");
        }
        sign(&client, Person::Alice, pin()).await.unwrap();
        for wrong in ["wrong-pin-3", "wrong-pin-4", "wrong-pin-5"] {
            let wrong = Bytes::from_static(wrong.as_bytes());
            assert_eq!(why(sign(&client, Person::Alice, wrong).await), "PIN_MISMATCH");
        }
        assert_eq!(why(sign(&client, Person::Alice, pin()).await), "PIN_TRIES_SPENT");
        sign(&client, Person::Bob, Bytes::new()).await.unwrap();
        let right = SentPin::new(PIN.as_bytes().to_vec()).unwrap();
        client.unlock("tokens/cards", right).await.unwrap();
        sign(&client, Person::Alice, pin()).await.unwrap();
        let long = Bytes::from(vec![b'1'; 256]);
        assert_eq!(why(sign(&client, Person::Alice, long).await), "INVALID_LENGTH");
    });
    assert_eq!(used(&daemon, "C_Login"), 1);
    let refusals = refusals(&daemon);
    let reasons: Vec<&str> = refusals
        .iter()
        .map(|refusal| refusal["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        [&["PIN_MISMATCH"; 5][..], &["PIN_TRIES_SPENT"]].concat(),
        "{refusals:?}"
    );
    assert!(
        refusals
            .iter()
            .all(|refusal| refusal["identity"] == "alice@example.org" && refusal["key"].is_string())
    );
    let (log, audit) = (
        daemon.log().unwrap(),
        std::fs::read_to_string(daemon.audit_file()).unwrap(),
    );
    assert!(
        !log.contains("wrong-pin") && !audit.contains("wrong-pin"),
        "a PIN was written down"
    );
    assert!(!audit.contains(PIN), "the PIN was written down");
    assert_left_nothing(&daemon);
}

#[test]
fn the_command_line_says_that_the_pin_is_wanted_and_a_reload_ends_the_protection() {
    let mut daemon = protecting("identities = [\"*\"]");
    let mut command = std::process::Command::new("setsid");
    let chancery = daemon.chancery_command().unwrap();
    command
        .args(["--wait".as_ref(), chancery.get_program()])
        .arg("sign")
        .env("CHANCERY_ADDRESS", daemon.address());
    let refused = hsm_tests::command::run(&mut command, LETTER).unwrap();
    assert_refused(&refused, 4, "PIN_REQUIRED");
    let configuration = std::fs::read_to_string(daemon.configuration_file()).unwrap();
    let (without, _) = configuration.split_once("[[protect]]").unwrap();
    std::fs::write(daemon.configuration_file(), without).unwrap();
    daemon.reload().unwrap();
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
}
