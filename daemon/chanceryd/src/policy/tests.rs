//! The decision as tables: every kind of caller against every kind of grant, every operation against every other, every
//! target against every pattern.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use super::grant::CallerConfig;
use super::*;
use crate::caller::{Group, San};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OTHER_KEY: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

fn unix(uid: u32, user: Option<&str>, groups: &[(u32, Option<&str>)]) -> Caller {
    Caller::Unix {
        uid,
        gid: uid,
        pid: Some(4711),
        user: user.map(str::to_owned),
        groups: groups
            .iter()
            .map(|&(gid, name)| Group {
                gid,
                name: name.map(str::to_owned),
            })
            .collect(),
    }
}

fn tls(spki: u8, sans: &[San]) -> Caller {
    Caller::Tls {
        spki_sha256: [spki; 32],
        sans: sans.to_vec(),
        subject: "CN=gateway".to_owned(),
    }
}

fn config(caller: CallerConfig, identities: &[&str], keys: &[&str], operations: &[&str]) -> GrantConfig {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    GrantConfig {
        name: "the grant".to_owned(),
        caller,
        identities: owned(identities),
        keys: owned(keys),
        operations: owned(operations),
    }
}

fn uid(uid: u32) -> CallerConfig {
    CallerConfig {
        uid: Some(uid),
        ..CallerConfig::default()
    }
}

fn decide(grant: &GrantConfig, caller: &Caller, operation: Operation, key: Option<&str>, identities: &[&str]) -> bool {
    let grants = Grants::from_config(std::slice::from_ref(grant)).unwrap();
    let identities: Vec<String> = identities.iter().map(|&text| text.to_owned()).collect();
    grants
        .decide(
            caller,
            operation,
            &Target {
                key,
                identities: &identities,
            },
        )
        .is_allowed()
}

#[test]
fn without_grants_everything_is_denied_to_root_too() {
    let root = unix(0, Some("root"), &[(0, Some("root"))]);
    for operation in Operation::ALL {
        for target in [
            Target::default(),
            Target {
                key: Some(KEY),
                identities: &["a@example.org".to_owned()],
            },
        ] {
            assert_eq!(
                Grants::default().decide(&root, operation, &target),
                Decision::Denied,
                "{operation}"
            );
        }
    }
}

#[test]
fn each_kind_of_caller_is_matched_by_its_own_patterns_alone() {
    let alice = unix(
        1000,
        Some("alice"),
        &[(8, Some("mail")), (1000, Some("alice")), (77, None)],
    );
    let nameless = unix(1001, None, &[(1001, None)]);
    let gateway = tls(
        0xab,
        &[
            San::Dns("gateway.example.org".to_owned()),
            San::Email("gw@example.org".to_owned()),
        ],
    );
    let spiffe = tls(0xcd, &[San::Uri("spiffe://example.org/gateway".to_owned())]);
    let disguised = tls(0xef, &[San::Dns("gw@example.org".to_owned())]);
    let callers = [&alice, &nameless, &gateway, &spiffe, &disguised];
    let text = |text: &str| Some(text.to_owned());
    let none = CallerConfig::default;
    let table: [(CallerConfig, [bool; 5]); 14] = [
        (uid(1000), [true, false, false, false, false]),
        (uid(1001), [false, true, false, false, false]),
        (
            CallerConfig {
                user: text("alice"),
                ..none()
            },
            [true, false, false, false, false],
        ),
        (
            CallerConfig {
                user: text("Alice"),
                ..none()
            },
            [false; 5],
        ),
        (
            CallerConfig {
                gid: Some(1001),
                ..none()
            },
            [false, true, false, false, false],
        ),
        (
            CallerConfig { gid: Some(8), ..none() },
            [true, false, false, false, false],
        ),
        (
            CallerConfig {
                gid: Some(77),
                ..none()
            },
            [true, false, false, false, false],
        ),
        (
            CallerConfig {
                group: text("mail"),
                ..none()
            },
            [true, false, false, false, false],
        ),
        (
            CallerConfig {
                group: text("wheel"),
                ..none()
            },
            [false; 5],
        ),
        (
            CallerConfig {
                spki: text(&"ab".repeat(32)),
                ..none()
            },
            [false, false, true, false, false],
        ),
        (
            CallerConfig {
                spki: text(&"AB".repeat(32)),
                ..none()
            },
            [false, false, true, false, false],
        ),
        (
            CallerConfig {
                san: text("Gateway.Example.org"),
                ..none()
            },
            [false, false, true, false, false],
        ),
        (
            CallerConfig {
                san: text("gw@EXAMPLE.org"),
                ..none()
            },
            [false, false, true, false, false],
        ),
        (
            CallerConfig {
                san: text("spiffe://example.org/gateway"),
                ..none()
            },
            [false, false, false, true, false],
        ),
    ];
    for (pattern, expected) in table {
        let shown = format!("{pattern:?}");
        let grant = config(pattern, &["*"], &[], &["sign"]);
        let matched = callers.map(|caller| decide(&grant, caller, Operation::Sign, Some(KEY), &[]));
        assert_eq!(matched, expected, "{shown}");
    }
}

#[test]
fn an_operation_never_brings_another_along() {
    let caller = unix(1000, None, &[]);
    for granted in Operation::ALL {
        let grant = config(uid(1000), &["*"], &[KEY], &[granted.as_str()]);
        for asked in Operation::ALL {
            let allowed = decide(&grant, &caller, asked, Some(KEY), &["alice@example.org"]);
            assert_eq!(allowed, granted == asked, "granted {granted}, asked {asked}");
        }
    }
}

#[test]
fn each_pattern_covers_what_it_says_and_nothing_beside() {
    let caller = unix(1000, None, &[]);
    // Targets: a key of Alice's, the same address with another case, the domain below, a key of nobody's, two owners.
    let targets: [(&str, &[&str]); 7] = [
        (KEY, &["alice@example.org"]),
        (KEY, &["alice@EXAMPLE.ORG"]),
        (KEY, &["Alice@example.org"]),
        (OTHER_KEY, &["alice@sub.example.org"]),
        (OTHER_KEY, &[]),
        (OTHER_KEY, &["bob@example.net", "alice@example.org"]),
        (OTHER_KEY, &["eve@notexample.org"]),
    ];
    let table: [(&[&str], &[&str], [bool; 7]); 7] = [
        (&["*"], &[], [true; 7]),
        (&["*@example.org"], &[], [true, true, true, false, false, true, false]),
        (&["*@Example.ORG"], &[], [true, true, true, false, false, true, false]),
        (
            &["alice@example.org"],
            &[],
            [true, true, false, false, false, true, false],
        ),
        (
            &["bob@example.net"],
            &[],
            [false, false, false, false, false, true, false],
        ),
        (&[], &[KEY], [true, true, true, false, false, false, false]),
        (
            &["bob@example.net"],
            &[OTHER_KEY],
            [false, false, false, true, true, true, true],
        ),
    ];
    for (identities, keys, expected) in table {
        let grant = config(uid(1000), identities, keys, &["decrypt"]);
        let covered = targets.map(|(key, owners)| decide(&grant, &caller, Operation::Decrypt, Some(key), owners));
        assert_eq!(covered, expected, "identities {identities:?}, keys {keys:?}");
    }
}

#[test]
fn only_list_and_admin_can_be_asked_without_a_target() {
    let caller = unix(1000, None, &[]);
    for operation in Operation::ALL {
        let narrow = config(uid(1000), &["alice@example.org"], &[], &[operation.as_str()]);
        let expected = matches!(operation, Operation::List | Operation::Admin);
        assert_eq!(decide(&narrow, &caller, operation, None, &[]), expected, "{operation}");
    }
}

#[test]
fn the_first_grant_that_allows_is_named() {
    let mut first = config(uid(1), &["*"], &[], &["sign"]);
    let mut second = config(uid(1000), &["*"], &[], &["sign"]);
    let mut third = second.clone();
    (first.name, second.name, third.name) = ("first".to_owned(), "second".to_owned(), "third".to_owned());
    let grants = Grants::from_config(&[first, second, third]).unwrap();
    let decision = grants.decide(
        &unix(1000, None, &[]),
        Operation::Sign,
        &Target {
            key: Some(KEY),
            identities: &[],
        },
    );
    assert_eq!(decision, Decision::Allowed { grant: "second".into() });
}

#[test]
fn a_replacement_is_in_force_for_every_clone() {
    let live = Live::new(Grants::default());
    let clone = live.clone();
    let caller = unix(1000, None, &[]);
    let target = Target {
        key: Some(KEY),
        identities: &[],
    };
    assert_eq!(clone.decide(&caller, Operation::Sign, &target), Decision::Denied);
    live.replace(Grants::from_config(&[config(uid(1000), &["*"], &[], &["sign"])]).unwrap());
    assert!(clone.decide(&caller, Operation::Sign, &target).is_allowed());
}

#[test]
fn a_grant_that_cannot_be_meant_is_refused() {
    let two = CallerConfig {
        uid: Some(1),
        user: Some("a".to_owned()),
        ..CallerConfig::default()
    };
    let empty = CallerConfig {
        group: Some(String::new()),
        ..CallerConfig::default()
    };
    let short = CallerConfig {
        spki: Some("abcd".to_owned()),
        ..CallerConfig::default()
    };
    let identity = |text: &str| {
        (
            config(uid(1), &[text], &[], &["sign"]),
            GrantError::Identity(text.to_owned()),
        )
    };
    let table = [
        (
            config(CallerConfig::default(), &["*"], &[], &["sign"]),
            GrantError::CallerCount(0),
        ),
        (config(two, &["*"], &[], &["sign"]), GrantError::CallerCount(2)),
        (config(empty, &["*"], &[], &["sign"]), GrantError::EmptyCaller("group")),
        (
            config(short, &["*"], &[], &["sign"]),
            GrantError::Spki("abcd".to_owned()),
        ),
        (
            config(uid(1), &[], &["xyz"], &["sign"]),
            GrantError::Key("xyz".to_owned()),
        ),
        (
            config(uid(1), &["*"], &[], &["singe"]),
            GrantError::Operation("singe".to_owned()),
        ),
        (config(uid(1), &["*"], &[], &[]), GrantError::NoOperations),
        (
            config(uid(1), &[], &[], &["admin", "list"]),
            GrantError::NoTarget(Operation::List),
        ),
        identity("alice"),
        identity("ali*@example.org"),
        identity("*@*.example.org"),
        identity("@example.org"),
        identity("alice@"),
        identity("**"),
    ];
    for (grant, expected) in table {
        assert_eq!(
            Grants::from_config(std::slice::from_ref(&grant)).unwrap_err(),
            (0, expected),
            "{grant:?}"
        );
    }
    let twice = [
        config(uid(1), &["*"], &[], &["sign"]),
        config(uid(2), &["*"], &[], &["sign"]),
    ];
    assert_eq!(
        Grants::from_config(&twice).unwrap_err(),
        (1, GrantError::Duplicate("the grant".to_owned()))
    );
}

fn protecting(toml: &str) -> Result<Grants, GrantError> {
    let config: ProtectionConfig = toml::from_str(toml).unwrap();
    Grants::default().protecting(&[config]).map_err(|(_, error)| error)
}

#[test]
fn a_protection_covers_its_keys_and_identities_and_the_operations_that_it_names() {
    let alice = ["alice@example.org".to_owned(), "office@example.org".to_owned()];
    let (alices, bobs) = (
        Target {
            key: Some(KEY),
            identities: &alice,
        },
        Target {
            key: Some(OTHER_KEY),
            identities: &[],
        },
    );
    let by_identity = protecting("identities = [\"office@EXAMPLE.org\"]").unwrap();
    let by_key = protecting(&format!("keys = [\"{KEY}\"]")).unwrap();
    for protection in [&by_identity, &by_key] {
        for operation in Operation::ALL {
            let private = !matches!(operation, Operation::List | Operation::Admin);
            assert_eq!(protection.wants_pin(operation, &alices), private, "{operation}");
            assert!(!protection.wants_pin(operation, &bobs), "{operation}");
        }
    }
    let signing = protecting("identities = [\"*\"]\noperations = [\"sign\"]").unwrap();
    assert!(signing.wants_pin(Operation::Sign, &bobs));
    assert!(!signing.wants_pin(Operation::SignRaw, &bobs) && !signing.wants_pin(Operation::Decrypt, &alices));
    assert!(!Grants::default().wants_pin(Operation::Sign, &alices));
}

#[test]
fn a_protection_of_nothing_or_of_what_needs_no_key_is_refused() {
    for (toml, key) in [
        ("", "identities"),
        ("identities = [\"alice\"]", "identities"),
        ("keys = [\"00\"]", "keys"),
        ("identities = [\"*\"]\noperations = []", "operations"),
        ("identities = [\"*\"]\noperations = [\"admin\"]", "operations"),
        ("identities = [\"*\"]\noperations = [\"seal\"]", "operations"),
    ] {
        assert_eq!(protecting(toml).unwrap_err().key(), key, "{toml}");
    }
}
