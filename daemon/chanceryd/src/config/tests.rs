//! Checks of what is not said by the golden files in `tests/config`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use super::*;

/// A configuration of these lines, and without the tables that are not in them.
fn parse(text: &str) -> Result<Config, ConfigError> {
    let without: Vec<&str> = ["token", "grant"]
        .into_iter()
        .filter(|table| !text.contains(&format!("[[{table}]]")))
        .collect();
    Config::parse(&format!("without = {without:?}\n{text}"), Path::new("chanceryd.toml"))
}

#[test]
fn a_file_that_says_nothing_else_gives_every_default_and_no_grant() {
    let config = parse("").unwrap();
    let unix = config.listen.unix.unwrap();
    assert_eq!(
        (unix.path, unix.mode),
        (PathBuf::from("/run/chancery/chanceryd.sock"), 0o660)
    );
    assert_eq!(config.listen.tls, None);
    assert_eq!(config.audit.sync, audit::Sync::Interval(Duration::from_secs(1)));
    assert_eq!(config.limits.message, chancery_smime::limits::Limits::default());
    assert!(config.grants.is_empty());
}

#[test]
fn times_are_read_with_their_units() {
    for (text, expected) in [
        ("250ms", Some(250)),
        ("30s", Some(30_000)),
        ("5 min", Some(300_000)),
        ("1h", Some(3_600_000)),
        ("30", None),
        ("s", None),
        ("-1s", None),
        ("99999999999999999999s", None),
        ("18446744073709551615h", None),
    ] {
        assert_eq!(names::duration(text), expected.map(Duration::from_millis), "{text}");
    }
}

#[test]
fn a_wait_of_no_time_is_none_at_all() {
    let wait = |text: &str| parse(&format!("[limits]\nabsent_wait = {text:?}")).map(|config| config.limits.absent_wait);
    assert_eq!(wait("0s").unwrap(), Duration::ZERO);
    assert_eq!(wait("2s").unwrap(), Duration::from_secs(2));
    assert_eq!(parse("").unwrap().limits.absent_wait, Duration::from_secs(5));
    wait("never").unwrap_err();
}

#[test]
fn what_needs_a_restart_is_told_apart_from_what_a_reload_changes() {
    let old = parse("").unwrap();
    let reloadable = parse("[log]\nlevel = \"debug\"\n[certificates]\ndirectory = \"/c\"").unwrap();
    assert!(old.needs_restart_for(&reloadable).is_empty());
    let serving = "[[module]]\nname = \"m\"\npath = \"/m\"\n[[token]]\nname = \"t\"\nmodule = \"m\"\nlabel = \"t\"\n";
    let in_maintenance = parse(&format!("{serving}maintenance = true\n")).unwrap();
    assert!(in_maintenance.tokens[0].maintenance);
    assert!(parse(serving).unwrap().needs_restart_for(&in_maintenance).is_empty());
    let moved = parse("[audit]\nfile = \"/a\"\n[limits]\nnesting = 3").unwrap();
    assert_eq!(old.needs_restart_for(&moved), ["audit", "limits"]);
}
