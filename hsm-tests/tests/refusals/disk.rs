//! Disks that are full: the audit trail's, and the one where ciphertext waits for its tag.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use hsm_tests::{
    command::run,
    daemon::{Daemon, PIN, Setup, chanceryd},
    openssl::{self, Recipient},
    people::Person,
    softhsm::fault::Fault,
};
use rustix::process::getuid;

use crate::{ENTITY, LETTER, assert_all_is_well, assert_left_nothing, assert_refused, outcomes};

/// A file system of 256 KiB on a directory of the daemon's, or nothing where only root could mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(daemon: &Daemon) -> Option<Self> {
        if !getuid().is_root() {
            eprintln!("skipped: only root can mount a small disk");
            return None;
        }
        let directory = daemon.directory().join("disk");
        fs::create_dir(&directory).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs"])
            .arg(&directory);
        let mounted = run(&mut mount, b"").unwrap();
        if mounted.code != 0 {
            eprintln!("skipped: this root may not mount: {}", mounted.stderr);
            return None;
        }
        Some(Self(directory))
    }

    /// Writes until there is no room for another octet.
    fn fill(&self) {
        let error = fs::write(self.0.join("filler"), vec![0; 1 << 20]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_read_only(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,ro"]).arg(&self.0);
        run(&mut mount, b"").unwrap().success().unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(&self.0), b"").ok();
    }
}

/// Replaces a path in the configuration and starts the daemon anew.
fn move_to(daemon: &mut Daemon, from: &Path, to: &Path) {
    let configuration = fs::read_to_string(daemon.configuration_file()).unwrap();
    let [from, to] = [from, to].map(|path| format!("\"{}\"", path.display()));
    assert!(configuration.contains(&from));
    fs::write(daemon.configuration_file(), configuration.replace(&from, &to)).unwrap();
    daemon.restart().unwrap();
}

#[test]
fn when_the_audit_trail_cannot_be_written_no_key_is_used_until_it_can() {
    let mut daemon = Setup::new().token("cards", &[Person::Alice]).faulty().start().unwrap();
    let Some(disk) = SmallDisk::mount(&daemon) else { return };
    let trail = disk.0.join("audit.jsonl");
    let before = daemon.audit_file();
    move_to(&mut daemon, &before, &trail);
    daemon.chancery(["sign"], LETTER).unwrap().success().unwrap();
    let signed = daemon.faults().unwrap().of("C_Sign").unwrap();

    disk.fill();
    // What was left of the last page takes some records.
    let full =
        (0..100).find_map(|_| Some(daemon.chancery(["sign"], LETTER).unwrap()).filter(|signed| signed.code != 0));
    let in_between = daemon.faults().unwrap().of("C_Sign").unwrap();
    assert!(in_between > signed);
    let full = full.expect("the disk is full");
    assert!(full.stderr.contains("(AUDIT_UNAVAILABLE, "), "{}", full.stderr);
    let sealed = {
        let recipient = Recipient {
            person: Person::Alice,
            options: &[],
        };
        openssl::encrypt(&[recipient], &["-aes-256-gcm"], ENTITY).unwrap()
    };
    assert_refused(&daemon.chancery(["decrypt"], &sealed).unwrap(), 75, "AUDIT_UNAVAILABLE");
    let signed = daemon.chancery(["sign"], LETTER).unwrap();
    // The letter itself has passed when its signature is refused.
    assert_eq!(signed.code, 75, "{}", signed.stderr);
    assert!(!String::from_utf8_lossy(&signed.stdout).contains("application/pkcs7-signature; name"));
    assert_eq!(daemon.faults().unwrap().of("C_Sign").unwrap(), in_between);
    assert_eq!(daemon.faults().unwrap().of("C_Decrypt").unwrap(), 0);

    disk.make_room();
    let deadline = Instant::now() + Duration::from_secs(20);
    while daemon.chancery(["sign"], LETTER).unwrap().code != 0 {
        assert!(Instant::now() < deadline, "the trail is still closed");
    }
    let report = chanceryd(["verify-audit".as_ref(), trail.as_os_str()]).unwrap();
    report.success().unwrap();
    daemon.stop().unwrap();
}

#[test]
fn what_was_begun_before_the_disk_was_full_and_what_locks_a_token_is_recorded_when_there_is_room() {
    let mut daemon = Setup::new().token("cards", &[Person::Alice]).faulty().start().unwrap();
    let Some(disk) = SmallDisk::mount(&daemon) else { return };
    let trail = disk.0.join("audit.jsonl");
    let before = daemon.audit_file();
    move_to(&mut daemon, &before, &trail);
    let faults = daemon.faults().unwrap();
    faults.put("C_Sign", Fault::hang().once()).unwrap();
    let unlock = || {
        daemon
            .chancery(["unlock", "cards", "--pin-stdin"], PIN.as_bytes())
            .unwrap()
    };
    let signed = thread::scope(|scope| {
        let signing = scope.spawn(|| daemon.chancery(["sign"], LETTER).unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while faults.hits("C_Sign").unwrap() == 0 {
            assert!(Instant::now() < deadline, "nobody signs");
            thread::yield_now();
        }
        disk.fill();
        // What was left of the last page takes some records.
        let full = (0..100).map(|_| unlock()).find(|unlocked| unlocked.code != 0);
        assert_refused(&full.expect("the disk is full"), 75, "AUDIT_UNAVAILABLE");
        faults.go_on("C_Sign").unwrap();
        signing.join().unwrap()
    });
    assert_eq!(signed.code, 75, "{}", signed.stderr);
    assert!(signed.stderr.contains("a private key was used"), "{}", signed.stderr);
    let before = faults.of("C_Logout").unwrap();
    daemon.chancery(["lock", "cards"], b"").unwrap().success().unwrap();
    assert_eq!(faults.of("C_Logout").unwrap(), before + 1);

    disk.make_room();
    let deadline = Instant::now() + Duration::from_secs(20);
    while unlock().code != 0 {
        assert!(Instant::now() < deadline, "the trail is still closed");
    }
    let verified = chanceryd(["verify-audit".as_ref(), trail.as_os_str()]).unwrap();
    let verified = String::from_utf8(verified.success().unwrap()).unwrap();
    assert!(!verified.contains("has no outcome"), "{verified}");
    let records = fs::read_to_string(&trail).unwrap();
    let records: Vec<serde_json::Value> = records
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let find = |what: &dyn Fn(&serde_json::Value) -> bool| records.iter().find(|record| what(record)).unwrap();
    let intent = find(&|record| record["event"] == "intent" && record["operation"] == "sign");
    let outcome = find(&|record| record["event"] == "outcome" && record["intent"] == intent["seq"]);
    assert_eq!(outcome["result"], "done");
    assert!(outcome["happened"].is_string(), "{outcome}");
    let locked = find(&|record| record["event"] == "act");
    assert_eq!(
        (&locked["rpc"], &locked["result"]),
        (&"chancery.v1.TokenService/LockToken".into(), &"done".into())
    );
    daemon.stop().unwrap();
}

#[test]
fn when_the_spool_is_full_the_message_is_refused_and_no_plaintext_comes_out() {
    let mut daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .configure("mail", "hold_in_memory = 4096")
        .start()
        .unwrap();
    let Some(disk) = SmallDisk::mount(&daemon) else { return };
    let before = daemon.spool_directory();
    move_to(&mut daemon, &before, &disk.0);
    let mut large = ENTITY.to_vec();
    large.extend_from_slice(&b"0123456789abcdef0123456789abcdef\r\n".repeat(30_000));
    let recipient = Recipient {
        person: Person::Alice,
        options: &[],
    };
    let sealed = openssl::encrypt(&[recipient], &["-aes-256-gcm", "-outform", "DER"], &large).unwrap();
    let out = daemon.directory().join("out");
    fs::create_dir(&out).unwrap();
    let file = out.join("message");
    let arguments = ["decrypt".as_ref(), "--out".as_ref(), file.as_os_str()];
    assert_refused(&daemon.chancery(["decrypt"], &sealed).unwrap(), 75, "SPOOL_FULL");
    assert_refused(&daemon.chancery(arguments, &sealed).unwrap(), 75, "SPOOL_FULL");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0);
    // Its room is there again: a message that fits goes through the same directory.
    let small = openssl::encrypt(&[recipient], &["-aes-256-gcm", "-outform", "DER"], &large[..100_000]).unwrap();
    let opened = daemon.chancery(["decrypt"], &small).unwrap().success().unwrap();
    assert_eq!(opened, &large[..100_000]);
    assert!(outcomes(&daemon, "done") >= 3);
    assert_all_is_well(&daemon);
}

#[test]
fn a_spool_directory_that_is_gone_is_no_reason_to_stop() {
    let daemon = Setup::new()
        .token("cards", &[Person::Alice])
        .configure("mail", "hold_in_memory = 4096")
        .start()
        .unwrap();
    fs::remove_dir(daemon.spool_directory()).unwrap();
    let recipient = Recipient {
        person: Person::Alice,
        options: &[],
    };
    let large = [ENTITY, &[b'x'; 70_000]].concat();
    let sealed = openssl::encrypt(&[recipient], &["-aes-256-gcm", "-outform", "DER"], &large).unwrap();
    assert_refused(&daemon.chancery(["decrypt"], &sealed).unwrap(), 70, "INTERNAL");
    assert!(daemon.log().unwrap().contains("spool"), "the log names the directory");
    fs::create_dir(daemon.spool_directory()).unwrap();
    daemon.chancery(["decrypt"], &sealed).unwrap().success().unwrap();
    assert_left_nothing(&daemon);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_found_before_a_pin_is_needed() {
    let mut daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let Some(disk) = SmallDisk::mount(&daemon) else { return };
    let before = daemon.directory().join("state");
    move_to(&mut daemon, &before, &disk.0.join("state"));
    disk.make_read_only();
    let file = daemon.configuration_file();
    let checked = chanceryd(["--config".as_ref(), file.as_os_str(), "check-config".as_ref()]).unwrap();
    assert_eq!(checked.code, 78, "{}", checked.stderr);
    assert!(checked.stderr.contains("no PIN could be tried"), "{}", checked.stderr);
    let refused = daemon.restart().unwrap_err().to_string();
    assert!(refused.contains("no PIN could be tried"), "{refused}");
}
