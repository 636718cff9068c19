//! What chanceryd does not start with, and what `check-config` says of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "process/daemon.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod daemon;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use daemon::{Daemon, EX_CONFIG, Scene};

#[test]
fn it_does_not_start_on_a_configuration_that_others_can_write() {
    let scene = Scene::new("");
    fs::set_permissions(scene.configuration(), fs::Permissions::from_mode(0o666)).unwrap();
    let (status, said) = Daemon::fail(&scene);
    assert!(status == Some(EX_CONFIG) && said.contains("chmod go-w"), "{said}");
}

#[test]
fn it_does_not_start_in_a_socket_directory_that_others_can_write() {
    let scene = Scene::new("");
    let open = scene.directory().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    scene.configure_beside("[listen]\nunix = \"{directory}/open/s\"\n");
    let (status, said) = Daemon::fail(&scene);
    assert!(status == Some(1) && said.contains("socket directory"), "{said}");
}

#[test]
fn it_does_not_start_with_a_pin_that_others_can_read_and_check_config_says_so_too() {
    let token =
        "[[module]]\nname = \"m\"\npath = \"/m.so\"\n[[token]]\nname = \"card\"\nmodule = \"m\"\nlabel = \"l\"\n";
    let scene = Scene::new("");
    scene.configure(&format!(
        "{token}pin = {{ file = \"{}/pin\" }}\n",
        scene.directory().display()
    ));
    fs::write(scene.directory().join("pin"), "secret-1234").unwrap();
    fs::set_permissions(scene.directory().join("pin"), fs::Permissions::from_mode(0o644)).unwrap();
    for (command, expected) in [("run", 1), ("check-config", EX_CONFIG)] {
        let (status, said) = Daemon::run_to_the_end(&scene, command);
        assert!(
            status == Some(expected) && said.contains("chmod 600") && said.contains("card"),
            "{said}"
        );
        assert!(!said.contains("secret-1234"), "{said}");
    }
}

#[test]
fn it_does_not_load_a_module_that_others_can_write_and_check_config_says_so_too() {
    let scene = Scene::new("");
    let above = scene.directory().join("above");
    let module = above.join("own/m.so");
    fs::create_dir_all(above.join("own")).unwrap();
    fs::write(&module, "").unwrap();
    scene.configure_beside(
        "[[module]]\nname = \"m\"\npath = \"{directory}/above/own/m.so\"\n[[token]]\nname = \"card\"\nmodule = \"m\"\n\
         label = \"l\"\n",
    );
    for place in [&module, &above] {
        fs::set_permissions(place, fs::Permissions::from_mode(0o775)).unwrap();
        for (command, expected) in [("run", 1), ("check-config", EX_CONFIG)] {
            let (status, said) = Daemon::run_to_the_end(&scene, command);
            let named = said.contains(&format!("module m: {} belongs to uid", place.display()));
            assert!(
                status == Some(expected) && named && said.contains("chmod go-w"),
                "{said}"
            );
        }
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn check_config_names_file_line_and_key() {
    let scene = Scene::new("[log]\nlevel = \"loud\"\n");
    let (status, said) = Daemon::run_to_the_end(&scene, "check-config");
    let expected = format!("{}:3: log.level: \"loud\" is none of", scene.configuration().display());
    assert!(status == Some(EX_CONFIG) && said.contains(&expected), "{said}");
    scene.configure("");
    assert_eq!(Daemon::run_to_the_end(&scene, "check-config").0, Some(0));
}
