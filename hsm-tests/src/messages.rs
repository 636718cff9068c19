//! The messages that tests sign and encrypt, and what has to come out of each.
//!
//! They are the files of `daemon/smime/tests/messages`, which that crate's own test reads as well. A file dropped there is
//! tried against OpenSSL here.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::people::Person;

/// A message and what is made of it.
#[derive(Debug)]
pub struct Sample {
    /// The file's name.
    pub name: String,
    /// The message, with LF.
    pub message: String,
    /// What is signed, with CRLF; none if it is refused.
    pub to_sign: Option<Made>,
    /// What is encrypted, with CRLF; none if it is refused.
    pub to_encrypt: Option<Made>,
}

/// The two parts of a message that is about to be signed or encrypted.
#[derive(Debug)]
pub struct Made {
    /// The header fields that stay outside.
    pub outer: String,
    /// The MIME entity that goes inside.
    pub entity: String,
}

impl Sample {
    /// The message with LF, and with CRLF where that is the same message. What has no header and may not be text keeps its
    /// line ends, so that a second form of it would be another message.
    #[must_use]
    pub fn forms(&self) -> Vec<String> {
        let mut forms = vec![self.message.clone()];
        if self.name != "bare-entity" {
            forms.push(self.message.replace('\n', "\r\n"));
        }
        forms
    }
}

/// Every message of the directory, by name.
pub fn samples() -> Result<Vec<Sample>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/smime/tests/messages");
    let mut samples = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        samples.push(sample(&path, &text).with_context(|| path.display().to_string())?);
    }
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(samples)
}

/// A short letter from somebody, with CRLF.
#[must_use]
pub fn letter(from: Person) -> Vec<u8> {
    format!(
        "From: {}\r\nSubject: A letter\r\nMIME-Version: 1.0\r\n{}",
        from.address(),
        String::from_utf8_lossy(ENTITY)
    )
    .into_bytes()
}

/// What of a [`letter`] is signed or encrypted.
pub const ENTITY: &[u8] =
    b"Content-Type: text/plain; charset=us-ascii\r\n\r\nThe seal is in the drawer.\r\n\r\nYours\r\n";

fn sample(path: &Path, text: &str) -> Result<Sample> {
    let (message, rest) = text.split_once("#### ").context("no section")?;
    let sections: HashMap<&str, String> = rest
        .split("#### ")
        .filter_map(|section| section.split_once('\n'))
        .map(|(name, body)| (name, body.replace('\n', "\r\n")))
        .collect();
    let made = |verb: &str| {
        Some(Made {
            outer: sections.get("outer")?.clone(),
            entity: sections.get(format!("entity to {verb}").as_str())?.clone(),
        })
    };
    Ok(Sample {
        name: path.file_name().context("no name")?.to_string_lossy().into_owned(),
        message: message.to_owned(),
        to_sign: made("sign"),
        to_encrypt: made("encrypt"),
    })
}
