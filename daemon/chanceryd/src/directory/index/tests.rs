//! Which keys, roles and certificates make which identities.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
use std::time::{Duration, UNIX_EPOCH};

use chancery_token::KeyAlgorithm;

use super::*;
use crate::directory::Roles;
use crate::directory::test_certificates::{self as certificates, Made, P256, RSA_ENCIPHER, SIGN};

/// 2030-01-01, well inside every certificate made here unless it says otherwise.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_893_456_000)
}

fn entry(n: u8, certificates: &[Vec<u8>], can_sign: bool, can_decrypt: bool) -> KeyEntry {
    let spki_der = certificates::spki(n);
    KeyEntry {
        id: KeyId::of_spki(&spki_der),
        algorithm: KeyAlgorithm::Rsa { bits: 2048 },
        spki_der,
        object_id: vec![n],
        label: format!("key {n}"),
        can_sign,
        can_decrypt,
        always_authenticate: false,
        certificates: certificates.to_vec(),
    }
}

fn catalogue(mut keys: Vec<KeyEntry>) -> Arc<Catalogue> {
    keys.sort_by_key(|key| key.id);
    Arc::new(Catalogue {
        keys,
        others: Vec::new(),
    })
}

fn index(keys: Vec<KeyEntry>) -> Index {
    Index::build(&[catalogue(keys)], &[], &Index::default())
}

fn id(n: u8) -> KeyId {
    KeyId::of_spki(&certificates::spki(n))
}

#[test]
fn the_same_key_on_two_tokens_is_one_key_with_two_replicas() {
    let certificate = Made::new(1, "alice@example.org").usage(SIGN).der();
    let one = catalogue(vec![entry(1, std::slice::from_ref(&certificate), true, true)]);
    let two = catalogue(vec![entry(1, &[certificate], true, true), entry(2, &[], true, false)]);
    let index = Index::build(&[one, two], &[], &Index::default());
    let key = index.key(id(1)).unwrap();
    assert_eq!(
        key.replicas.iter().map(|replica| replica.token).collect::<Vec<_>>(),
        [0, 1]
    );
    assert_eq!(key.certificates.len(), 1);
    assert_eq!(index.keys_after(None).count(), 2);
    assert_eq!(
        index
            .identity("alice@example.org", now())
            .unwrap()
            .signing
            .unwrap()
            .key
            .id,
        id(1)
    );
}

#[test]
fn roles_come_from_the_newest_certificate_and_the_attributes_together() {
    let sign = Made::new(1, "a@example.org").usage(SIGN).der();
    let encipher = Made::new(2, "a@example.org").usage(RSA_ENCIPHER).der();
    let index = index(vec![
        entry(1, &[sign], true, true),
        entry(2, std::slice::from_ref(&encipher), true, true),
        entry(3, &[], true, true),
        entry(4, &[], true, false),
        entry(5, &[], false, true),
    ]);
    let roles = |n| index.key(id(n)).unwrap().roles;
    assert_eq!(
        roles(1),
        Roles {
            sign: true,
            decrypt: false
        }
    );
    assert_eq!(
        roles(2),
        Roles {
            sign: false,
            decrypt: true
        }
    );
    assert_eq!(roles(3), Roles::default(), "both attributes and no certificate: none");
    assert_eq!(
        roles(4),
        Roles {
            sign: true,
            decrypt: false
        }
    );
    assert_eq!(
        roles(5),
        Roles {
            sign: false,
            decrypt: true
        }
    );

    let renewed = Made::new(6, "a@example.org")
        .usage(SIGN)
        .validity("300101000000Z", "400101000000Z")
        .der();
    let old = Made::new(6, "a@example.org").usage(RSA_ENCIPHER).der();
    let index = Index::build(
        &[catalogue(vec![entry(6, &[old, renewed], true, true)])],
        &[],
        &Index::default(),
    );
    assert_eq!(
        index.key(id(6)).unwrap().roles,
        Roles {
            sign: true,
            decrypt: false
        }
    );
}

#[test]
fn the_newest_valid_certificate_is_current_and_older_keys_still_decrypt() {
    let cert = |n, from, to| {
        Made::new(n, "a@example.org")
            .usage(RSA_ENCIPHER)
            .validity(from, to)
            .der()
    };
    let index = index(vec![
        entry(1, &[cert(1, "200101000000Z", "250101000000Z")], false, true),
        entry(2, &[cert(2, "240101000000Z", "350101000000Z")], false, true),
        entry(3, &[cert(3, "230101000000Z", "350101000000Z")], false, true),
        entry(4, &[cert(4, "320101000000Z", "350101000000Z")], false, true),
    ]);
    let identity = index.identity("a@example.org", now()).unwrap();
    assert_eq!(identity.encryption.as_ref().unwrap().key.id, id(2));
    assert!(identity.signing.is_none());
    let former: Vec<_> = identity
        .former_decryption
        .iter()
        .map(|binding| binding.key.id)
        .collect();
    assert_eq!(former, [id(4), id(3), id(1)], "not yet valid, superseded, expired");
    assert_eq!(identity.decryption().count(), 4);

    let later = index
        .identity("a@example.org", now() + Duration::from_secs(3 * 366 * 86400))
        .unwrap();
    assert_eq!(later.encryption.unwrap().key.id, id(4), "the clock decides");
}

#[test]
fn an_expired_signing_certificate_does_not_sign() {
    let expired = Made::new(1, "a@example.org")
        .usage(SIGN)
        .validity("200101000000Z", "250101000000Z")
        .der();
    let index = index(vec![entry(1, &[expired], true, false)]);
    assert!(index.identity("a@example.org", now()).is_none());
    let then = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    assert!(index.identity("a@example.org", then).unwrap().signing.is_some());
}

#[test]
fn a_single_pair_is_both_current_keys() {
    let both = Made::new(1, "a@example.org").usage(SIGN | RSA_ENCIPHER).der();
    let index = index(vec![entry(1, &[both], true, true)]);
    let identity = index.identity("a@example.org", now()).unwrap();
    assert_eq!(identity.signing.unwrap().key.id, id(1));
    assert_eq!(identity.encryption.unwrap().key.id, id(1));
    assert!(identity.former_decryption.is_empty());
}

#[test]
fn addresses_are_folded_in_the_domain_and_a_certificate_with_two_serves_both() {
    let made = Made::new(1, "Alice@Example.ORG")
        .also("office@example.org")
        .usage(SIGN)
        .der();
    let index = index(vec![entry(1, &[made], true, false)]);
    assert_eq!(
        index.addresses_after(None).collect::<Vec<_>>(),
        ["Alice@example.org", "office@example.org"]
    );
    assert_eq!(
        index.addresses_after(Some("Alice@example.org")).collect::<Vec<_>>(),
        ["office@example.org"]
    );
    assert!(
        index.identity("alice@example.org", now()).is_none(),
        "the local part is case-sensitive"
    );
    assert_eq!(
        index.key(id(1)).unwrap().identities,
        ["Alice@example.org", "office@example.org"]
    );
}

#[test]
fn a_certificate_that_cannot_be_read_sinks_nothing() {
    let good = Made::new(1, "a@example.org").usage(SIGN).der();
    let index = index(vec![entry(1, &[vec![0x30, 0x03, 1, 2, 3], good], true, false)]);
    assert!(index.identity("a@example.org", now()).unwrap().signing.is_some());
}

#[test]
fn elliptic_keys_need_key_agreement_to_decrypt() {
    let sign_only = Made::new(1, "a@example.org")
        .algorithm(P256)
        .usage(SIGN | RSA_ENCIPHER)
        .der();
    let index = index(vec![entry(1, &[sign_only], true, true)]);
    assert!(!index.key(id(1)).unwrap().roles.decrypt);
}

#[test]
fn issuers_are_found_up_to_the_root_and_rings_end() {
    let root = Certificate::from_der(&Made::new(10, "").authority("Root", "Root").der()).unwrap();
    let middle = Certificate::from_der(&Made::new(11, "").authority("Root", "Middle").der()).unwrap();
    let ring = Certificate::from_der(&Made::new(12, "").authority("Middle", "Root").der()).unwrap();
    let leaf = Made::new(1, "a@example.org").issuer("Middle").usage(SIGN).der();
    let keys = [catalogue(vec![entry(1, std::slice::from_ref(&leaf), true, false)])];
    let index = Index::build(&keys, &[root.clone(), middle.clone(), ring.clone()], &Index::default());
    let leaf = Certificate::from_der(&leaf).unwrap();
    let chain = index.issuers(&leaf);
    assert_eq!(chain[0], middle);
    assert_eq!(chain.len(), 3);
    assert!(chain.contains(&root) && chain.contains(&ring));
    assert!(Index::build(&keys, &[], &Index::default()).issuers(&leaf).is_empty());

    let others = vec![middle.der().to_vec()];
    let on_token = [
        Arc::clone(&keys[0]),
        Arc::new(Catalogue {
            keys: Vec::new(),
            others,
        }),
    ];
    assert_eq!(Index::build(&on_token, &[], &Index::default()).issuers(&leaf), [middle]);
}

#[test]
fn ten_thousand_keys_are_indexed_and_found() {
    let keys: Vec<_> = (0..10_000_u32)
        .map(|n| {
            let mut spki_der = certificates::spki(1);
            spki_der.extend_from_slice(&n.to_be_bytes());
            KeyEntry {
                id: KeyId::of_spki(&spki_der),
                spki_der,
                ..entry(1, &[], true, false)
            }
        })
        .collect();
    let some = keys[4711].id;
    let index = index(keys);
    assert_eq!(index.keys_after(None).count(), 10_000);
    assert_eq!(index.key(some).unwrap().id, some);
    assert!(index.keys_after(Some(some)).all(|key| key.id > some));
}
