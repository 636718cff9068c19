//! The house's own rules, held where no lint can hold them: what a crate's whole dependency tree may contain, and who may
//! name whom inside `chanceryd`. What direct imports are allowed stands in deny.toml; ARCHITECTURE.md draws all of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

const WORKSPACE: [&str; 7] = [
    "chancery",
    "chancery-proto",
    "chancery-smime",
    "chancery-token",
    "chanceryd",
    "fault-module",
    "hsm-tests",
];

#[test]
fn smime_token_and_proto_import_no_crate_of_the_workspace() {
    let graph = Graph::of_the_workspace();
    for crate_name in ["chancery-smime", "chancery-token", "chancery-proto"] {
        graph.assert_free_of(crate_name, WORKSPACE.iter().filter(|other| **other != crate_name));
    }
}

#[test]
fn nothing_that_smime_depends_on_does_input_output_or_speaks_to_a_token() {
    Graph::of_the_workspace().assert_free_of(
        "chancery-smime",
        &[
            "tokio",
            "tonic",
            "prost",
            "cryptoki",
            "cryptoki-sys",
            "mio",
            "socket2",
            "rustix",
            "tempfile",
            "rand",
            "chrono",
            "time",
            "tracing",
            "log",
        ],
    );
}

#[test]
fn the_token_crate_knows_neither_the_contract_nor_the_network() {
    Graph::of_the_workspace().assert_free_of("chancery-token", &["tonic", "prost", "hyper", "h2", "rustls", "cms"]);
}

#[test]
fn nothing_on_the_client_side_can_reach_a_private_key() {
    Graph::of_the_workspace().assert_free_of(
        "chancery",
        &[
            "chanceryd",
            "chancery-smime",
            "chancery-token",
            "cryptoki",
            "cryptoki-sys",
            "libloading",
        ],
    );
}

#[test]
fn only_the_token_crate_and_the_tests_link_cryptoki() {
    let graph = Graph::of_the_workspace();
    for crate_name in WORKSPACE {
        let allowed = ["chancery-token", "hsm-tests"].contains(&crate_name);
        assert!(
            allowed || !graph.direct(crate_name).contains("cryptoki"),
            "{crate_name} imports cryptoki; only chancery-token may"
        );
    }
}

#[test]
fn policy_and_audit_see_neither_grpc_nor_tokens() {
    for room in ["policy", "audit"] {
        assert_free_of_words(
            &chanceryd_room(room),
            &[
                "tonic",
                "chancery_proto",
                "chancery_token",
                "chancery_smime",
                "crate::grpc",
                "crate::ops",
            ],
        );
    }
}

#[test]
fn operations_do_not_know_how_they_were_called() {
    assert_free_of_words(
        &chanceryd_room("ops"),
        &["tonic", "crate::grpc", "crate::listen", "crate::app"],
    );
}

#[test]
fn main_only_parses_builds_runs_and_exits() {
    let main = fs::read_to_string(root().join("daemon/chanceryd/src/main.rs")).unwrap();
    assert!(
        main.lines().count() < 50,
        "daemon/chanceryd/src/main.rs has {} lines",
        main.lines().count()
    );
}

#[test]
fn every_source_file_says_what_lives_in_it() {
    for tree in ["proto", "daemon", "client", "hsm-tests"] {
        for file in rust_files(&root().join(tree)) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//!"), "{} does not open with //!", file.display());
            assert!(
                !file.ends_with("mod.rs"),
                "{}: a module is foo.rs beside foo/",
                file.display()
            );
        }
    }
}

#[test]
fn the_tests_that_the_threat_model_names_exist() {
    let model = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let mut sources = String::new();
    for tree in ["proto", "daemon", "client", "hsm-tests"] {
        for file in rust_files(&root().join(tree)) {
            sources.push_str(&fs::read_to_string(file).unwrap());
        }
    }
    let rows = model.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    // Names in backquotes: every second piece.
    let names: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 20, "the threat model names {} tests", names.len());
    for name in names {
        let exists = if name.contains('/') {
            root().join(name).exists()
        } else {
            sources.contains(&format!("fn {name}()"))
        };
        assert!(exists, "docs/threat-model.md names {name}, which is nowhere");
    }
}

/// The workspace's dependency graph, dev-dependencies left out, with every feature that the workspace turns on.
struct Graph {
    /// Crate name to the names of what it depends on.
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of_the_workspace() -> Self {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .current_dir(root())
            .output()
            .expect("cargo metadata starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let names: BTreeMap<&str, &str> = array(&metadata["packages"])
            .iter()
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in array(&metadata["resolve"]["nodes"]) {
            let dependencies = edges.entry(names[text(&node["id"])].to_owned()).or_default();
            for dependency in array(&node["deps"]) {
                let shipped = array(&dependency["dep_kinds"])
                    .iter()
                    .any(|kind| kind["kind"].is_null());
                if shipped {
                    dependencies.insert(names[text(&dependency["pkg"])].to_owned());
                }
            }
        }
        Self { edges }
    }

    fn direct(&self, crate_name: &str) -> &BTreeSet<String> {
        self.edges
            .get(crate_name)
            .unwrap_or_else(|| panic!("no crate {crate_name} in the workspace"))
    }

    fn assert_free_of<'a>(&self, crate_name: &str, forbidden: impl IntoIterator<Item = &'a &'a str>) {
        let forbidden: BTreeSet<&str> = forbidden.into_iter().copied().collect();
        let mut paths = vec![vec![crate_name]];
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop() {
            for next in self.direct(path[path.len() - 1]) {
                let mut longer = path.clone();
                longer.push(next);
                assert!(
                    !forbidden.contains(next.as_str()),
                    "{} is not allowed",
                    longer.join(" → ")
                );
                if seen.insert(next) {
                    paths.push(longer);
                }
            }
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// `daemon/chanceryd/src/{room}.rs` and all below `daemon/chanceryd/src/{room}/`.
fn chanceryd_room(room: &str) -> Vec<PathBuf> {
    let source = root().join("daemon/chanceryd/src");
    let mut files = rust_files(&source.join(room));
    files.extend(Some(source.join(room).with_extension("rs")).filter(|file| file.exists()));
    assert!(!files.is_empty(), "chanceryd has no {room}");
    files
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn assert_free_of_words(files: &[PathBuf], forbidden: &[&str]) {
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let code = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in code {
            for word in forbidden {
                assert!(!line.contains(word), "{}:{}: names {word}", file.display(), number + 1);
            }
        }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array in cargo's metadata")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string in cargo's metadata")
}
