//! Drop a file into `tests/config/` and there is a new test: its leading `#! ` lines are what the daemon has to say about
//! it, each as `LINE: KEY: MESSAGE`; a file without them has to be accepted. The shipped example is one of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use chanceryd::config::{Config, ConfigError};

/// As little as a configuration can say.
const NOTHING: &str = "without = [\"token\", \"grant\"]\n";

#[test]
fn every_configuration_is_accepted_or_refused_with_exactly_the_expected_words() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 20, "only {} files found", files.len());
    let mut wrong = String::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let expected: String = text
            .lines()
            .filter_map(|line| line.strip_prefix("#! "))
            .map(|line| format!("{line}\n"))
            .collect();
        let said = match Config::parse(&text, Path::new("F")) {
            Ok(_) => String::new(),
            Err(error) => error
                .to_string()
                .lines()
                .map(|line| line.strip_prefix("F:").unwrap_or(line).to_owned() + "\n")
                .collect(),
        };
        if said != expected {
            wrong.push_str(&format!("{}\nexpected:\n{expected}said:\n{said}\n", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_shipped_example_is_accepted_and_says_every_key() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/chanceryd.toml");
    let text = fs::read_to_string(&file).unwrap();
    let config = Config::parse(&text, &file).unwrap();
    assert!(!config.tokens.is_empty() && !config.grants.is_empty());
    // With every commented setting switched on it must still be a configuration: a default that the example shows wrong,
    // or a key that has been renamed, is found here.
    let switched_on: String = text
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    Config::parse(&switched_on, &file).unwrap();
}

#[test]
fn what_is_installed_has_no_token_and_grants_nobody_anything() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/fresh-configuration.sh");
    let printed = Command::new(script).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let text = String::from_utf8(printed.stdout).unwrap();
    let config = Config::parse(&text, Path::new("chanceryd.toml")).unwrap();
    assert!(config.modules.is_empty() && config.tokens.is_empty() && config.grants.is_empty());
    // The example is still in it, to be switched on.
    for table in ["[[module]]", "[[token]]", "[[grant]]", "[certificates]"] {
        assert!(text.contains(&format!("\n#{table}\n")), "{table} is not in it:\n{text}");
    }
}

#[test]
fn the_defaults_that_the_example_shows_are_the_defaults() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/chanceryd.toml");
    let text = fs::read_to_string(&file).unwrap();
    // `#: ` marks a setting at its default; the tables around them stand uncommented.
    let switched_on: String = text
        .lines()
        .take_while(|line| !line.contains("no default below"))
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let (shown, empty) = (
        Config::parse(&format!("{NOTHING}{switched_on}"), &file).unwrap(),
        Config::parse(NOTHING, &file).unwrap(),
    );
    assert_eq!(shown.limits, empty.limits);
    assert_eq!(shown.mail, empty.mail);
    assert_eq!(shown.audit, empty.audit);
    assert_eq!(shown.log, empty.log);
    assert_eq!(shown.listen, empty.listen);
}

#[test]
fn a_file_that_others_can_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chanceryd.toml");
    fs::write(&file, NOTHING).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    Config::load(&file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    let error = Config::load(&file).unwrap_err();
    assert!(matches!(error, ConfigError::Permissions(_)), "{error}");
    assert!(error.to_string().contains("chmod go-w"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("/nonexistent/chanceryd.toml")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/chanceryd.toml"), "{error}");
}
