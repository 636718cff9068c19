//! Messages of 200 MB, with OpenSSL on the other side: they come through, and the daemon does not grow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use hsm_tests::{
    command::run,
    daemon::{Daemon, Setup},
    people::{Person, root_certificate},
};

const OUTER: &str = "From: alice@example.org\r\nSubject: Large\r\nMIME-Version: 1.0\r\n";
const CONTENT_TYPE: &str = "Content-Type: text/plain; charset=us-ascii\r\n\r\n";
const BODY: u64 = 200_000_000;
/// What the daemon may need above what it needs at rest, whatever the size.
const MEMORY: u64 = 32 << 20;

/// A daemon with keys for Alice and Carol, and room for files beside it.
struct World {
    daemon: Daemon,
    idle: u64,
}

impl World {
    fn new() -> Self {
        let daemon = Setup::new()
            .token("cards", &[Person::Alice, Person::Carol])
            .start()
            .unwrap();
        let idle = daemon.memory().unwrap();
        let world = Self { daemon, idle };
        world.write_letter();
        world
    }

    fn file(&self, name: &str) -> PathBuf {
        self.daemon.directory().join(name)
    }

    /// Lines that differ, so that nothing can pass by repeating or leaving out a piece.
    fn write_letter(&self) {
        let mut letter = BufWriter::new(File::create(self.file("letter")).unwrap());
        write!(letter, "{OUTER}{CONTENT_TYPE}").unwrap();
        let (mut written, mut number) = (0, 0_u64);
        while written < BODY {
            let line = format!("{number:016x} the quick brown fox jumps over the lazy dog, again\r\n");
            letter.write_all(line.as_bytes()).unwrap();
            written += line.len() as u64;
            number += 1;
        }
        letter.flush().unwrap();
    }

    /// `chancery ARGUMENTS --in INPUT --out OUTPUT`.
    fn chancery(&self, arguments: &[&str], input: &str, output: &str) {
        let mut command = self.daemon.chancery_command().unwrap();
        command
            .args(arguments)
            .arg("--in")
            .arg(self.file(input))
            .arg("--out")
            .arg(self.file(output));
        run(&mut command, b"").unwrap().success().unwrap();
    }

    /// `openssl cms ARGUMENTS -in INPUT -out OUTPUT RECIPIENT`.
    fn openssl(&self, arguments: &[&str], input: &str, output: &str, operands: &[PathBuf]) {
        let mut command = Command::new("openssl");
        command.arg("cms").args(arguments);
        command
            .arg("-in")
            .arg(self.file(input))
            .arg("-out")
            .arg(self.file(output))
            .args(operands);
        run(&mut command, b"").unwrap().success().unwrap();
    }

    fn openssl_verifies(&self, input: &str, output: &str) {
        let root = root_certificate();
        self.openssl(&["-verify", "-CAfile", root.to_str().unwrap()], input, output, &[]);
    }

    fn openssl_decrypts(&self, input: &str, output: &str) {
        let key = Person::Carol.encryption().private_key_file();
        self.openssl(&["-decrypt", "-inkey", key.to_str().unwrap()], input, output, &[]);
    }

    fn openssl_encrypts(&self, options: &[&str], input: &str, output: &str) {
        let recipient = Person::Carol.encryption().certificate_file();
        self.openssl(&[&["-encrypt"], options].concat(), input, output, &[recipient]);
    }

    /// Whether a file ends in the entity of the letter, with no more than a header of its own before it.
    fn assert_is_the_entity(&self, name: &str) {
        let (letter, file) = (self.file("letter"), self.file(name));
        let entity = length(&letter) - OUTER.len() as u64;
        let before = length(&file)
            .checked_sub(entity)
            .expect("the file is shorter than the entity");
        assert!(before < 1000, "{name} has {before} bytes before the entity");
        assert!(same(&letter, OUTER.len() as u64, &file, before), "{name} differs");
        fs::remove_file(file).unwrap();
    }

    fn assert_the_daemon_stayed_small(&self) {
        let peak = self.daemon.peak_memory().unwrap();
        let grown = peak.saturating_sub(self.idle) >> 20;
        assert!(
            peak <= self.idle + MEMORY,
            "the daemon grew by {grown} MiB above {} MiB",
            self.idle >> 20
        );
    }
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

fn same(one: &Path, one_from: u64, other: &Path, other_from: u64) -> bool {
    let open = |path: &Path, from| {
        let mut file = File::open(path).unwrap();
        file.seek(SeekFrom::Start(from)).unwrap();
        BufReader::with_capacity(1 << 20, file)
    };
    let (mut one, mut other) = (open(one, one_from), open(other, other_from));
    let (mut first, mut second) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = one.read(&mut first).unwrap();
        if count == 0 {
            return other.read(&mut second).unwrap() == 0;
        }
        if other.read_exact(&mut second[..count]).is_err() || first[..count] != second[..count] {
            return false;
        }
    }
}

#[test]
fn a_large_message_is_signed_clear_for_openssl_and_verified() {
    let world = World::new();
    world.chancery(&["sign"], "letter", "signed");
    world.openssl_verifies("signed", "content");
    world.assert_is_the_entity("content");
    world.chancery(&["verify"], "signed", "content");
    world.assert_is_the_entity("content");
    world.assert_the_daemon_stayed_small();
}

#[test]
fn a_large_message_is_signed_opaque_for_openssl_and_verified() {
    let world = World::new();
    world.chancery(&["sign", "--opaque"], "letter", "signed");
    world.openssl_verifies("signed", "content");
    world.assert_is_the_entity("content");
    world.chancery(&["verify"], "signed", "content");
    world.assert_is_the_entity("content");
    world.assert_the_daemon_stayed_small();
}

#[test]
fn a_large_message_is_encrypted_with_authentication_for_openssl_and_decrypted() {
    let world = World::new();
    let options = [
        "encrypt",
        "--to",
        "carol@example.org",
        "--content-encryption",
        "aes256-gcm",
    ];
    world.chancery(&options, "letter", "sealed");
    world.openssl_decrypts("sealed", "content");
    world.assert_is_the_entity("content");
    world.chancery(&["decrypt"], "sealed", "content");
    world.assert_is_the_entity("content");
    world.assert_the_daemon_stayed_small();
    let spooled = fs::read_dir(world.daemon.spool_directory()).unwrap().count();
    assert_eq!(spooled, 0, "held ciphertext is in unlinked files");
}

#[test]
fn a_large_message_from_openssl_is_decrypted() {
    let world = World::new();
    for options in [
        &["-aes-256-cbc", "-binary", "-stream", "-outform", "DER"][..],
        &["-aes-128-gcm", "-binary", "-stream"],
    ] {
        world.openssl_encrypts(options, "letter", "sealed");
        world.chancery(&["decrypt"], "sealed", "content");
        world.assert_is_the_entity("content");
    }
    world.assert_the_daemon_stayed_small();
}

#[test]
fn a_large_message_with_8_bit_lines_is_signed_in_7_bits_for_openssl() {
    let world = World::new();
    let letter = world.file("letter");
    let text = fs::read(&letter).unwrap();
    let header = "From: alice@example.org\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n";
    fs::write(
        &letter,
        [header.as_bytes(), &text[(OUTER.len() + CONTENT_TYPE.len())..]].concat(),
    )
    .unwrap();
    world.chancery(&["sign"], "letter", "signed");
    world.openssl_verifies("signed", "content");
    let mut start = [0; 1000];
    File::open(world.file("content"))
        .unwrap()
        .read_exact(&mut start)
        .unwrap();
    assert!(start.is_ascii(), "{}", String::from_utf8_lossy(&start));
    world.assert_the_daemon_stayed_small();
}
