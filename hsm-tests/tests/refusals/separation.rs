//! Signing keys sign and encryption keys decrypt, whatever the grants say, and no token is asked for anything else.

use chancery_proto::v1::{
    AgreeRequest, KeyManagementAlgorithm, KeyServiceDecryptRequest, KeyServiceSignRequest, SignatureAlgorithm,
    key_service_client::KeyServiceClient, key_service_sign_request::Input,
};
use hsm_tests::{
    daemon::{Daemon, Setup},
    openssl,
    people::{KeyPair, Person},
};
use tonic::Code;

use crate::{
    ENTITY, LETTER, assert_all_is_well, assert_refused,
    wire::{Mail, block_on, reason, with_id},
};

pub(crate) fn signing(pair: &KeyPair, algorithm: SignatureAlgorithm) -> KeyServiceSignRequest {
    KeyServiceSignRequest {
        name: pair.key().unwrap(),
        algorithm: algorithm.into(),
        input: Some(Input::Digest(vec![7; 32].into())),
        ..Default::default()
    }
}

pub(crate) fn decryption(pair: &KeyPair) -> KeyServiceDecryptRequest {
    KeyServiceDecryptRequest {
        name: pair.key().unwrap(),
        algorithm: KeyManagementAlgorithm::RsaPkcs1.into(),
        ciphertext: vec![1; 256].into(),
        plaintext_length: 32,
        ..Default::default()
    }
}

pub(crate) fn used(daemon: &Daemon, function: &str) -> u64 {
    daemon.faults().unwrap().of(function).unwrap()
}

#[test]
fn an_encryption_key_signs_nothing() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice, Person::Carol])
        .faulty()
        .start()
        .unwrap();
    block_on(async {
        let mut keys = KeyServiceClient::new(daemon.channel().await.unwrap());
        for (person, algorithm) in [
            (Person::Alice, SignatureAlgorithm::RsaPkcs1Sha256),
            (Person::Alice, SignatureAlgorithm::RsaPssSha256),
            (Person::Carol, SignatureAlgorithm::EcdsaSha256),
        ] {
            let refused = keys
                .sign(with_id(signing(&person.encryption(), algorithm)))
                .await
                .unwrap_err();
            assert_eq!(reason(&refused), "KEY_ROLE_MISMATCH", "{person:?}");
            assert_eq!(refused.code(), Code::FailedPrecondition);
            keys.sign(with_id(signing(&person.signing(), algorithm))).await.unwrap();
        }
    });
    assert_eq!(used(&daemon, "C_Sign"), 3);
    assert_all_is_well(&daemon);
}

#[test]
fn a_signing_key_decrypts_and_agrees_to_nothing() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice, Person::Carol])
        .faulty()
        .start()
        .unwrap();
    let before = used(&daemon, "C_DeriveKey");
    block_on(async {
        let mut keys = KeyServiceClient::new(daemon.channel().await.unwrap());
        let refused = keys
            .decrypt(with_id(decryption(&Person::Alice.signing())))
            .await
            .unwrap_err();
        assert_eq!(reason(&refused), "KEY_ROLE_MISMATCH");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let agreement = AgreeRequest {
            name: Person::Carol.signing().key().unwrap(),
            peer_public_key: generator_of_p256().into(),
            ..Default::default()
        };
        let refused = keys.agree(with_id(agreement)).await.unwrap_err();
        assert_eq!(reason(&refused), "KEY_ROLE_MISMATCH");
    });
    assert_eq!(used(&daemon, "C_Decrypt"), 0);
    assert_eq!(used(&daemon, "C_DeriveKey"), before);
    assert_all_is_well(&daemon);
}

/// A point that is on the curve.
pub(crate) fn generator_of_p256() -> Vec<u8> {
    let spki = Person::Carol.encryption().spki().unwrap();
    spki[spki.len() - 65..].to_vec()
}

#[test]
fn mail_encrypted_to_a_signing_certificate_is_not_opened() {
    let daemon = Setup::new().token("cards", &[Person::Alice]).faulty().start().unwrap();
    let arguments = [
        "-encrypt".into(),
        "-aes-256-cbc".into(),
        Person::Alice.signing().certificate_file().into(),
    ];
    let sealed = openssl::cms(arguments, ENTITY).unwrap().success().unwrap();
    // OpenSSL has no such scruples.
    assert_eq!(
        openssl::decrypt(&Person::Alice.signing(), &[], &sealed).unwrap(),
        ENTITY
    );

    assert_refused(&daemon.chancery(["decrypt"], &sealed).unwrap(), 4, "NO_DECRYPTION_KEY");
    assert_eq!(used(&daemon, "C_Decrypt"), 0);
    assert_all_is_well(&daemon);
}

#[test]
fn a_single_pair_does_both() {
    let daemon = Setup::new().token("cards", &[Person::Frank]).start().unwrap();
    let signed = daemon
        .chancery(["sign", "--from", "frank@example.org"], LETTER)
        .unwrap();
    openssl::verify(&[], &signed.success().unwrap()).unwrap();
    let recipient = openssl::Recipient {
        person: Person::Frank,
        options: &[],
    };
    let sealed = openssl::encrypt(&[recipient], &["-aes-256-gcm"], ENTITY).unwrap();
    let opened = block_on(async { Mail::connect(&daemon).await.decrypt(&sealed).await.unwrap() });
    assert!(opened.ends_with(ENTITY), "{}", String::from_utf8_lossy(&opened));
}
