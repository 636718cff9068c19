//! Each test starts this test binary again for itself alone, because what is given up is given up for good.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use std::{
    env,
    fs::{self, File},
    io::ErrorKind,
    net::UdpSocket,
    os::unix::net::{UnixDatagram, UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Command,
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::Attribute,
    session::UserType,
    types::AuthPin,
};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, netlink, socket},
};

use super::{Confinement, Landlock, confine};

/// Set in the child: the directory of its scene.
const SCENE: &str = "CHANCERY_TEST_SCENE";

/// Runs `body` with a directory, in a process of its own. `test` is the calling test's name.
fn alone(test: &str, environment: &[(&str, &Path)], prepare: impl Fn(&Path), body: impl Fn(&Path)) {
    if let Some(scene) = env::var_os(SCENE) {
        return body(Path::new(&scene));
    }
    let scene = tempfile::tempdir().unwrap();
    prepare(scene.path());
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("confine::tests::{test}")])
        .env(SCENE, scene.path())
        .envs(environment.iter().map(|(name, file)| (name, scene.path().join(file))))
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    eprint!("{err}");
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}

fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

fn nothing(_: &Path) {}

fn address_family_is_refused(family: AddressFamily) -> bool {
    matches!(socket(family, SocketType::DGRAM, None), Err(Errno::AFNOSUPPORT))
}

#[test]
fn without_the_network_only_unix_sockets_and_the_news_of_devices_are_left() {
    let name = "without_the_network_only_unix_sockets_and_the_news_of_devices_are_left";
    alone(name, &[], nothing, |scene| {
        assert!(UdpSocket::bind("127.0.0.1:0").is_ok());
        confine(&Confinement::default()).unwrap();
        for family in [
            AddressFamily::INET,
            AddressFamily::INET6,
            AddressFamily::VSOCK,
            AddressFamily::PACKET,
        ] {
            assert!(address_family_is_refused(family), "{family:?}");
        }
        let netlink = |protocol| socket(AddressFamily::NETLINK, SocketType::RAW, Some(protocol));
        assert!(netlink(netlink::KOBJECT_UEVENT).is_ok());
        assert_eq!(netlink(netlink::GENERIC).err(), Some(Errno::AFNOSUPPORT));

        UnixDatagram::pair().unwrap();
        let listener = UnixListener::bind(scene.join("socket")).unwrap();
        UnixStream::connect(scene.join("socket")).unwrap();
        listener.accept().unwrap();
    });
}

#[test]
fn with_the_network_sockets_of_every_kind_are_left() {
    alone("with_the_network_sockets_of_every_kind_are_left", &[], nothing, |_| {
        let confinement = Confinement {
            network: true,
            ..Confinement::default()
        };
        confine(&confinement).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    });
}

#[test]
fn threads_that_start_later_are_bound_too() {
    alone("threads_that_start_later_are_bound_too", &[], nothing, |_| {
        confine(&Confinement::default()).unwrap();
        let refused = std::thread::spawn(|| address_family_is_refused(AddressFamily::INET));
        assert!(refused.join().unwrap());
    });
}

#[test]
fn a_program_cannot_be_started_unless_that_is_allowed() {
    alone(
        "a_program_cannot_be_started_unless_that_is_allowed",
        &[],
        nothing,
        |_| {
            let confinement = |programs| Confinement {
                programs,
                ..Confinement::default()
            };
            confine(&confinement(true)).unwrap();
            assert!(Command::new("true").status().unwrap().success());
            confine(&confinement(false)).unwrap();
            let error = Command::new("true").status().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        },
    );
}

#[test]
fn new_privileges_and_the_machinery_of_the_kernel_are_out_of_reach() {
    alone(
        "new_privileges_and_the_machinery_of_the_kernel_are_out_of_reach",
        &[],
        nothing,
        |_| {
            confine(&Confinement::default()).unwrap();
            assert!(rustix::thread::no_new_privs().unwrap());
            let chroot = rustix::process::chroot("/nonexistent");
            assert_eq!(chroot, Err(Errno::PERM));
        },
    );
}

#[test]
fn a_hidden_file_is_closed_and_its_neighbours_are_not() {
    let prepare = |scene: &Path| {
        for directory in ["state", "module", "deep/er/still"] {
            fs::create_dir_all(scene.join(directory)).unwrap();
        }
        for file in [
            "state/pins",
            "module/conf",
            "audit.jsonl",
            "conf",
            "deep/er/still/secret",
            "deep/er/near",
        ] {
            fs::write(scene.join(file), file).unwrap();
        }
        std::os::unix::fs::symlink(scene.join("state"), scene.join("a way round")).unwrap();
        std::os::unix::fs::symlink(scene.join("deep/er"), scene.join("short cut")).unwrap();
    };
    alone(
        "a_hidden_file_is_closed_and_its_neighbours_are_not",
        &[],
        prepare,
        |scene| {
            let hidden = ["state", "audit.jsonl", "short cut/still/secret", "not there yet/file"];
            let confinement = Confinement {
                hidden: hidden.map(|name| scene.join(name)).to_vec(),
                ..Confinement::default()
            };
            let confined = confine(&confinement).unwrap();
            if confined.landlock == Landlock::Missing {
                return skip("the kernel has no Landlock");
            }
            let refused = |result: std::io::Result<File>| {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
            };
            let read = |name: &str| File::open(scene.join(name));
            for name in ["state/pins", "a way round/pins", "audit.jsonl", "deep/er/still/secret"] {
                refused(read(name));
            }
            refused(File::options().append(true).open(scene.join("audit.jsonl")));
            refused(File::create(scene.join("state/new")));
            assert!(fs::read_dir(scene.join("state")).is_err());
            assert!(fs::remove_file(scene.join("audit.jsonl")).is_err());
            assert!(fs::rename(scene.join("state"), scene.join("module/state")).is_err());
            assert!(fs::hard_link(scene.join("audit.jsonl"), scene.join("module/audit")).is_err());

            for name in ["module/conf", "conf", "deep/er/near"] {
                assert_eq!(fs::read_to_string(scene.join(name)).unwrap(), name);
            }
            fs::write(scene.join("module/made later"), "").unwrap();
            read("module/made later").unwrap();
            fs::create_dir(scene.join("module/directory")).unwrap();
            fs::rename(scene.join("module/made later"), scene.join("module/directory/moved")).unwrap();
            fs::read_dir("/usr").unwrap();
            File::open("/dev/null").unwrap();
            read("/proc/self/status").unwrap();
        },
    );
}

#[test]
fn copies_of_a_hidden_file_are_closed_as_well() {
    let copies = [
        "d.toml~",
        "d.toml.bak",
        "d.toml.dpkg-old",
        "d.toml_old",
        "d.toml-20260102.gz",
        ".d.toml.swp",
        ".d.toml",
        "#d.toml#",
        ".pin.bak",
        ".pin~",
        "..pin.swp",
        "#.pin#",
    ];
    let others = [
        "d.tomlin",
        "e.toml",
        "softhsm2.conf",
        "d",
        "d.tom",
        "statement",
        ".pinned",
        "pin",
    ];
    let prepare = |scene: &Path| {
        fs::create_dir(scene.join("state")).unwrap();
        fs::create_dir(scene.join("state.d")).unwrap();
        for file in copies.iter().chain(&others).chain(&["d.toml", ".pin", "state.d/file"]) {
            fs::write(scene.join(file), file).unwrap();
        }
    };
    alone("copies_of_a_hidden_file_are_closed_as_well", &[], prepare, |scene| {
        let confinement = Confinement {
            hidden: ["d.toml", ".pin", "state"].map(|name| scene.join(name)).to_vec(),
            ..Confinement::default()
        };
        if confine(&confinement).unwrap().landlock == Landlock::Missing {
            return skip("the kernel has no Landlock");
        }
        for name in copies {
            let error = File::open(scene.join(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{name}");
        }
        // What stands beside a directory under its name is another.
        for name in others.iter().chain(&["state.d/file"]) {
            assert_eq!(fs::read_to_string(scene.join(name)).unwrap(), *name);
        }
    });
}

#[test]
fn a_relative_path_and_the_root_cannot_be_hidden() {
    alone("a_relative_path_and_the_root_cannot_be_hidden", &[], nothing, |_| {
        for path in ["state", "/", ""] {
            let confinement = Confinement {
                hidden: vec![PathBuf::from(path)],
                ..Confinement::default()
            };
            let message = confine(&confinement).unwrap_err().to_string();
            assert!(message.contains("cannot be hidden"), "{message}");
        }
    });
}

#[test]
fn softhsm_signs_as_ever() {
    let modules = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
    ];
    let Some(module) = modules.into_iter().find(|path| Path::new(path).exists()) else {
        return skip("SoftHSM is not installed");
    };
    let prepare = |scene: &Path| {
        let tokens = scene.join("tokens");
        fs::create_dir(&tokens).unwrap();
        fs::create_dir(scene.join("state")).unwrap();
        let configuration = format!("directories.tokendir = {}\n", tokens.display());
        fs::write(scene.join("softhsm2.conf"), configuration).unwrap();
    };
    let environment = [("SOFTHSM2_CONF", Path::new("softhsm2.conf"))];
    alone("softhsm_signs_as_ever", &environment, prepare, |scene| {
        let confinement = Confinement {
            hidden: vec![scene.join("state")],
            ..Confinement::default()
        };
        confine(&confinement).unwrap();
        let context = Pkcs11::new(module).unwrap();
        context
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .unwrap();
        let pin = AuthPin::new("1234".into());
        let slot = *context.get_all_slots().unwrap().first().unwrap();
        context.init_token(slot, &pin, "token").unwrap();
        let session = context.open_rw_session(slot).unwrap();
        session.login(UserType::So, Some(&pin)).unwrap();
        session.init_pin(&pin).unwrap();
        session.logout().unwrap();
        session.login(UserType::User, Some(&pin)).unwrap();
        let public = [Attribute::ModulusBits(2048.into()), Attribute::Verify(true)];
        let private = [Attribute::Sign(true), Attribute::Token(true)];
        let (_, key) = session
            .generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)
            .unwrap();
        assert_eq!(
            session.sign(&Mechanism::Sha256RsaPkcs, key, b"data").unwrap().len(),
            256
        );
    });
}
