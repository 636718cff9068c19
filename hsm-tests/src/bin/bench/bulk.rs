//! Large bodies through the command line and the daemon, against `openssl cms` with its PKCS#11 engine on the same file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use hsm_tests::{
    daemon::Daemon,
    people::{KeyPair, Person, intermediate_certificate, root_certificate},
};

use crate::{
    statistics::{median, median_ratio},
    table::{Row, Table},
    world::{Scale, TOKEN, daemon},
};

const ENGINES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/engines-3/pkcs11.so",
    "/usr/lib/aarch64-linux-gnu/engines-3/pkcs11.so",
    "/usr/lib/engines-3/pkcs11.so",
];

/// A message from Alice with a text body of about `length` bytes, CRLF.
pub(crate) fn message(length: usize) -> Vec<u8> {
    const LINE: &[u8] = b"All work and no play makes for a long and perfectly ordinary line of text.\r\n";
    let mut message = b"From: Alice <alice@example.org>\r\nTo: Alice <alice@example.org>\r\nSubject: A long letter\r\n\
        MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        .to_vec();
    while message.len() < length {
        message.extend_from_slice(LINE);
    }
    message
}

pub(crate) fn measure(scale: &Scale, table: &mut Table) -> Result<()> {
    let daemon = daemon()?;
    let bench = Bench {
        openssl: OpenSsl::new(&daemon)?,
        daemon: &daemon,
        rounds: scale.rounds,
        megabytes: scale.body >> 20,
    };
    let plain = daemon.directory().join("plain.eml");
    fs::write(&plain, message(scale.body))?;
    let certificate = Person::Alice.encryption().certificate_file().display().to_string();
    let openssl = &bench.openssl;

    let clear = bench.compare("sign, clear", &["sign"], &openssl.sign(false), &plain, MAKING, table)?;
    let opaque = bench.compare(
        "sign, opaque",
        &["sign", "--opaque"],
        &openssl.sign(true),
        &plain,
        MAKING,
        table,
    )?;
    for (cipher, flag) in [("aes256-cbc", "-aes-256-cbc"), ("aes256-gcm", "-aes-256-gcm")] {
        let title = format!("encrypt, {cipher}");
        let ours = [
            "encrypt",
            "--recipient-cert",
            &certificate,
            "--content-encryption",
            cipher,
        ];
        let encrypted = bench.compare(&title, &ours, &openssl.encrypt(flag), &plain, MAKING, table)?;
        let title = format!("decrypt, {cipher}");
        bench.compare(&title, &["decrypt"], &openssl.decrypt(), &encrypted, OPENING, table)?;
    }
    bench.compare("verify, clear", &["verify"], &openssl.verify(), &clear, OPENING, table)?;
    bench.compare(
        "verify, opaque",
        &["verify"],
        &openssl.verify(),
        &opaque,
        OPENING,
        table,
    )?;
    Ok(())
}

const MAKING: &str = "≤ 1.5 of the peer, ≤ 32 MiB";
const OPENING: &str = "≤ 0.7 of the peer, ≤ 32 MiB";

struct Bench<'a> {
    openssl: OpenSsl,
    daemon: &'a Daemon,
    rounds: usize,
    megabytes: usize,
}

impl Bench<'_> {
    /// Runs both on `input`, in turns; returns the file that OpenSSL made.
    fn compare(
        &self,
        what: &str,
        ours: &[&str],
        theirs: &[String],
        input: &Path,
        goal: &str,
        table: &mut Table,
    ) -> Result<PathBuf> {
        let output = self.daemon.directory().join("ours.eml");
        let (mut our_times, mut their_times, mut memory) = (Vec::new(), Vec::new(), 0);
        // The first round fills the page cache and is not counted.
        for round in 0..=self.rounds {
            let idle = self.daemon.reset_peak_memory()?;
            let begun = Instant::now();
            let mut command = self.daemon.chancery_command()?;
            command.args(ours).arg("--in").arg(input).arg("--out").arg(&output);
            finish(&mut command)?;
            let our_time = begun.elapsed().as_secs_f64();
            memory = memory.max(self.daemon.peak_memory()?.saturating_sub(idle));
            let begun = Instant::now();
            self.openssl.run(theirs, input)?;
            if round > 0 {
                our_times.push(our_time);
                their_times.push(begun.elapsed().as_secs_f64());
            }
        }
        table.push(Row {
            what: &format!("{} MiB, {what}", self.megabytes),
            ours: format!(
                "{:.2} s = {:.2} of the peer, {} MiB above idle",
                median(&our_times)?,
                median_ratio(&our_times, &their_times)?,
                memory >> 20
            ),
            baseline: String::new(),
            peer: format!("openssl cms with its engine: {:.2} s", median(&their_times)?),
            goal,
        });
        let kept = self
            .daemon
            .directory()
            .join(format!("{}.eml", what.replace([' ', ','], "-")));
        fs::rename(self.openssl.output(), &kept)?;
        Ok(kept)
    }
}

/// `openssl cms` as Alice, with her keys in the daemon's token.
pub(crate) struct OpenSsl {
    directory: PathBuf,
    configuration: PathBuf,
    softhsm: PathBuf,
    token: String,
    pin: String,
}

impl OpenSsl {
    pub(crate) fn new(daemon: &Daemon) -> Result<Self> {
        let engine = ENGINES
            .iter()
            .find(|path| Path::new(path).exists())
            .context("OpenSSL's PKCS#11 engine was not found: install libengine-pkcs11-openssl")?;
        let directory = daemon.directory().to_owned();
        let configuration = directory.join("openssl.cnf");
        fs::write(
            &configuration,
            format!(
                "openssl_conf = init\n[init]\nengines = engines\n[engines]\npkcs11 = pkcs11\n[pkcs11]\nengine_id = pkcs11\n\
                 dynamic_path = {engine}\nMODULE_PATH = {}\ninit = 0\n",
                daemon.softhsm().module_path().display()
            ),
        )?;
        let token = daemon.token(TOKEN)?;
        Ok(Self {
            configuration,
            softhsm: daemon.softhsm().conf_path().to_owned(),
            token: token.label.clone(),
            pin: token.pin.clone(),
            directory,
        })
    }

    pub(crate) fn sign(&self, opaque: bool) -> Vec<String> {
        let pair = Person::Alice.signing();
        let mut arguments = words(&[
            "-sign", "-md", "sha256", "-keyform", "engine", "-engine", "pkcs11", "-inkey",
        ]);
        arguments.push(self.key(&pair));
        arguments.extend(words(&["-signer", &pair.certificate_file().display().to_string()]));
        arguments.extend(words(&["-certfile", &intermediate_certificate().display().to_string()]));
        if opaque {
            arguments.extend(words(&["-nodetach"]));
        }
        arguments
    }

    fn encrypt(&self, cipher: &str) -> Vec<String> {
        let mut arguments = words(&["-encrypt", cipher, "-recip"]);
        arguments.push(Person::Alice.encryption().certificate_file().display().to_string());
        arguments
    }

    fn decrypt(&self) -> Vec<String> {
        let pair = Person::Alice.encryption();
        let mut arguments = words(&["-decrypt", "-keyform", "engine", "-engine", "pkcs11", "-inkey"]);
        arguments.push(self.key(&pair));
        arguments.extend(words(&["-recip", &pair.certificate_file().display().to_string()]));
        arguments
    }

    fn verify(&self) -> Vec<String> {
        let mut arguments = words(&["-verify", "-CAfile"]);
        arguments.push(root_certificate().display().to_string());
        arguments
    }

    fn key(&self, pair: &KeyPair) -> String {
        format!(
            "pkcs11:token={};object={};type=private;pin-value={}",
            self.token,
            pair.name(),
            self.pin
        )
    }

    fn output(&self) -> PathBuf {
        self.directory.join("openssl.eml")
    }

    /// `openssl cms ARGUMENTS -in INPUT -out OUTPUT`.
    pub(crate) fn run(&self, arguments: &[String], input: &Path) -> Result<()> {
        finish(
            Command::new("openssl")
                .arg("cms")
                .args(arguments)
                .arg("-in")
                .arg(input)
                .arg("-out")
                .arg(self.output())
                .env("OPENSSL_CONF", &self.configuration)
                .env("SOFTHSM2_CONF", &self.softhsm),
        )
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Runs a command whose output is of no interest unless it fails.
fn finish(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
