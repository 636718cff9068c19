//! NSS as the other side, which is what Thunderbird is made of: `cmsutil` with a database of certificates and keys.
//!
//! It reads and writes CMS objects, not messages, and writes them in BER with indefinite lengths throughout.

use std::{ffi::OsString, fs, path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    command::{Finished, run},
    people::{KeyPair, intermediate_certificate, root_certificate},
};

/// A database with the certificates and keys of some people, under the names of their pairs. Gone when dropped.
///
/// NSS gives certificates of one subject one nickname, so a database takes one pair of a person.
#[derive(Debug)]
pub struct Nss {
    directory: tempfile::TempDir,
}

impl Nss {
    /// Makes a database that trusts the people's authority.
    pub fn new(pairs: &[KeyPair]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("nss-").tempdir()?;
        let nss = Self { directory };
        nss.tool("certutil", ["-N", "--empty-password"], b"")?;
        for (name, trust, file) in [
            ("root", "C,C,C", root_certificate()),
            ("intermediate", ",,", intermediate_certificate()),
        ] {
            let file = file.display().to_string();
            nss.tool("certutil", ["-A", "-n", name, "-t", trust, "-i", &file], b"")?;
        }
        for pair in pairs {
            let bundle = nss.file("bundle.p12");
            let mut export = Command::new("openssl");
            export.args(["pkcs12", "-export", "-passout", "pass:", "-name", pair.name()]);
            export.arg("-inkey").arg(pair.private_key_file());
            export.arg("-in").arg(pair.certificate_file());
            export.arg("-out").arg(&bundle);
            run(&mut export, b"")?.success()?;
            nss.tool("pk12util", ["-i", &bundle.display().to_string(), "-W", ""], b"")?;
        }
        Ok(nss)
    }

    /// Signs: `cmsutil -S OPTIONS`, without naming an encryption certificate, for there is none in the database.
    pub fn sign(&self, pair: &KeyPair, options: &[&str], content: &[u8]) -> Result<Vec<u8>> {
        self.cmsutil(&[&["-S", "-Y", "NONE", "-N", pair.name()], options].concat(), content)?
            .success()
    }

    /// Encrypts to several people: `cmsutil -E`.
    pub fn encrypt(&self, pairs: &[KeyPair], content: &[u8]) -> Result<Vec<u8>> {
        let names: Vec<&str> = pairs.iter().map(KeyPair::name).collect();
        self.cmsutil(&["-E", "-r", &names.join(",")], content)?.success()
    }

    /// Decrypts an EnvelopedData: `cmsutil -D`.
    pub fn decrypt(&self, cms: &[u8]) -> Result<Vec<u8>> {
        self.cmsutil(&["-D"], cms)?.success()
    }

    /// The content of a SignedData; an error if a signature or a signer's chain is not good.
    pub fn verify(&self, cms: &[u8]) -> Result<Vec<u8>> {
        self.cmsutil(&["-D"], cms)?.success()
    }

    /// The same for a SignedData without its content.
    pub fn verify_detached(&self, cms: &[u8], content: &[u8]) -> Result<Vec<u8>> {
        let file = self.file("content");
        fs::write(&file, content)?;
        self.cmsutil(&["-D", "-c", &file.display().to_string()], cms)?.success()
    }

    fn cmsutil(&self, arguments: &[&str], input: &[u8]) -> Result<Finished> {
        self.start("cmsutil", arguments, input)
    }

    fn tool<const N: usize>(&self, program: &str, arguments: [&str; N], input: &[u8]) -> Result<()> {
        self.start(program, &arguments, input)?.success().map(drop)
    }

    fn start(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<Finished> {
        let mut database = OsString::from("sql:");
        database.push(self.directory.path());
        let mut command = Command::new(program);
        command.args(arguments).arg("-d").arg(database);
        run(&mut command, input)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
