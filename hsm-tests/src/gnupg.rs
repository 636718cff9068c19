//! GnuPG's `gpgsm` as the other side, with a home directory of its own.
//!
//! It reads and writes CMS objects, not messages. Its agent is a process that outlives the command that starts it; it is
//! stopped, and the home directory removed, when [`Gpgsm`] is dropped.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    command::{Finished, run},
    people::{KeyPair, intermediate_certificate, root_certificate},
};

/// What guards the keys, in the bundle and in the agent's store.
const PASSPHRASE: &str = "x";

/// A home directory that trusts the people's authority and has the keys of some of them.
#[derive(Debug)]
pub struct Gpgsm {
    home: tempfile::TempDir,
}

impl Gpgsm {
    /// Makes the home directory. The key pairs have to be RSA: gpgsm 2.2 crashes on others in a PKCS#12 bundle.
    pub fn new(pairs: &[KeyPair]) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("gpgsm-").tempdir()?;
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700))?;
        let gpgsm = Self { home };
        fs::write(
            gpgsm.file("gpgsm.conf"),
            "disable-crl-checks\ndisable-dirmngr\nbatch\nno-tty\npinentry-mode loopback\n",
        )?;
        fs::write(gpgsm.file("gpg-agent.conf"), "allow-loopback-pinentry\n")?;
        fs::write(
            gpgsm.file("trustlist.txt"),
            format!("{} S relax\n", root_fingerprint()?),
        )?;
        for certificate in [root_certificate(), intermediate_certificate()] {
            gpgsm.import(certificate)?;
        }
        for pair in pairs {
            let bundle = gpgsm.file("bundle.p12");
            let mut export = Command::new("openssl");
            // What gpgsm 2.2 can read, which is not what OpenSSL 3 writes by default.
            export.args(["pkcs12", "-export", "-macalg", "sha1"]);
            export.args(["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"]);
            export.args(["-passout", &format!("pass:{PASSPHRASE}")]);
            export.arg("-inkey").arg(pair.private_key_file());
            export.arg("-in").arg(pair.certificate_file());
            export.arg("-out").arg(&bundle);
            run(&mut export, b"")?.success()?;
            gpgsm.import(bundle)?;
        }
        Ok(gpgsm)
    }

    /// Imports a certificate, PEM or DER.
    pub fn import(&self, file: PathBuf) -> Result<()> {
        let file = file.into_os_string().into_string().ok().context("a path in UTF-8")?;
        self.run(&["--import", &file], PASSPHRASE.as_bytes())?
            .success()
            .map(drop)
    }

    /// Signs: `gpgsm --sign OPTIONS`; with `--detach-sign` among them, without the content.
    pub fn sign(&self, user: &str, options: &[&str], content: &[u8]) -> Result<Vec<u8>> {
        self.file_to_file(&[&["-u", user], options, &["--sign"]].concat(), content)
    }

    /// Encrypts: `gpgsm --encrypt`.
    pub fn encrypt(&self, users: &[&str], options: &[&str], content: &[u8]) -> Result<Vec<u8>> {
        let recipients: Vec<&str> = users.iter().flat_map(|user| ["-r", user]).collect();
        self.file_to_file(&[&recipients, options, &["--encrypt"]].concat(), content)
    }

    /// Decrypts.
    pub fn decrypt(&self, cms: &[u8]) -> Result<Vec<u8>> {
        self.file_to_file(&["--decrypt"], cms)
    }

    /// The content of a SignedData; an error if a signature or a signer's chain is not good.
    pub fn verify(&self, cms: &[u8]) -> Result<Vec<u8>> {
        self.file_to_file(&["--verify"], cms)
    }

    /// The same for a SignedData without its content.
    pub fn verify_detached(&self, cms: &[u8], content: &[u8]) -> Result<()> {
        let (signature, signed) = (self.path("signature"), self.path("signed"));
        fs::write(&signature, cms)?;
        fs::write(&signed, content)?;
        self.run(&["--verify", &signature, &signed], b"")?.success().map(drop)
    }

    fn file_to_file(&self, arguments: &[&str], content: &[u8]) -> Result<Vec<u8>> {
        let (input, output) = (self.path("input"), self.path("output"));
        fs::write(&input, content)?;
        self.run(
            &[&["--yes", "--output", &output], arguments, &[&input]].concat(),
            PASSPHRASE.as_bytes(),
        )?
        .success()?;
        Ok(fs::read(output)?)
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Finished> {
        let mut command = Command::new("gpgsm");
        command.args(["--passphrase-fd", "0"]).args(arguments);
        run(command.env("GNUPGHOME", self.home.path()), input)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }
}

impl Drop for Gpgsm {
    fn drop(&mut self) {
        let mut stop = Command::new("gpgconf");
        stop.args(["--kill", "all"]).env("GNUPGHOME", self.home.path());
        // An agent that is not stopped ends by itself soon after its home directory is gone.
        let _stopped = run(&mut stop, b"");
    }
}

fn root_fingerprint() -> Result<String> {
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-fingerprint", "-sha1", "-in"]);
    let line = String::from_utf8(run(command.arg(root_certificate()), b"")?.success()?)?;
    let (_, fingerprint) = line.trim().split_once('=').context("no fingerprint")?;
    Ok(fingerprint.to_owned())
}
