//! OpenSSL as the other side: what our messages have to be opened by, and what we have to open.
//!
//! It works with the people's keys as files and knows nothing of tokens. Messages are S/MIME (`-inform SMIME`) unless the
//! arguments say otherwise.

use std::{ffi::OsString, process::Command};

use anyhow::Result;

use crate::{
    command::{Finished, run},
    people::{KeyPair, Person, intermediate_certificate, root_certificate},
};

/// One recipient of [`encrypt`], with options that follow its certificate, such as `-keyopt rsa_padding_mode:oaep`.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// Whose encryption certificate.
    pub person: Person,
    /// `-keyopt …` for it.
    pub options: &'a [&'a str],
}

/// One signer of [`sign_by`], with options that follow its certificate, such as `-keyopt rsa_padding_mode:pss`.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// Whose signing certificate and key.
    pub person: Person,
    /// `-keyopt …` for it.
    pub options: &'a [&'a str],
}

/// Signs `message` for a person: `openssl cms -sign OPTIONS`. Without `-nodetach` the result is multipart/signed.
pub fn sign(person: Person, options: &[&str], message: &[u8]) -> Result<Vec<u8>> {
    sign_by(&[Signer { person, options: &[] }], options, message)
}

/// Signs `message` for several people at once, or with options of a signer.
pub fn sign_by(signers: &[Signer<'_>], options: &[&str], message: &[u8]) -> Result<Vec<u8>> {
    let mut arguments = words(&["-sign"]);
    arguments.extend(words(options));
    for signer in signers {
        let pair = signer.person.signing();
        arguments.extend(["-signer".into(), pair.certificate_file().into()]);
        arguments.extend(["-inkey".into(), pair.private_key_file().into()]);
        arguments.extend(words(signer.options));
    }
    arguments.extend(["-certfile".into(), intermediate_certificate().into()]);
    cms(arguments, message)?.success()
}

/// Verifies a message, chain included, and returns its content; an error if OpenSSL does not accept it.
pub fn verify(options: &[&str], message: &[u8]) -> Result<Vec<u8>> {
    let mut arguments = words(&["-verify"]);
    arguments.extend(words(options));
    arguments.extend(["-CAfile".into(), root_certificate().into()]);
    cms(arguments, message)?.success()
}

/// Encrypts `message`: `openssl cms -encrypt OPTIONS`, where a cipher such as `-aes-256-gcm` is among the options.
pub fn encrypt(recipients: &[Recipient<'_>], options: &[&str], message: &[u8]) -> Result<Vec<u8>> {
    let mut arguments = words(&["-encrypt"]);
    arguments.extend(words(options));
    for recipient in recipients {
        arguments.push("-recip".into());
        arguments.push(recipient.person.encryption().certificate_file().into());
        arguments.extend(words(recipient.options));
    }
    cms(arguments, message)?.success()
}

/// Decrypts a message with one of a person's keys.
pub fn decrypt(pair: &KeyPair, options: &[&str], message: &[u8]) -> Result<Vec<u8>> {
    let mut arguments = words(&["-decrypt"]);
    arguments.extend(words(options));
    arguments.extend(["-recip".into(), pair.certificate_file().into()]);
    arguments.extend(["-inkey".into(), pair.private_key_file().into()]);
    cms(arguments, message)?.success()
}

/// Writes the CMS object of a message anew: `openssl cms -cmsout OPTIONS`.
pub fn reencode(options: &[&str], message: &[u8]) -> Result<Vec<u8>> {
    let mut arguments = words(&["-cmsout"]);
    arguments.extend(words(options));
    cms(arguments, message)?.success()
}

/// The CMS object of a message, in DER.
pub fn object(message: &[u8]) -> Result<Vec<u8>> {
    reencode(&["-outform", "DER"], message)
}

/// What OpenSSL sees in a message, field by field.
pub fn describe(message: &[u8]) -> Result<String> {
    Ok(String::from_utf8_lossy(&reencode(&["-noout", "-print"], message)?).into_owned())
}

/// `openssl cms ARGUMENTS` with `input` on its standard input.
pub fn cms(arguments: impl IntoIterator<Item = OsString>, input: &[u8]) -> Result<Finished> {
    run(Command::new("openssl").arg("cms").args(arguments), input)
}

/// The same with `openssl smime`, which knows PKCS #7 alone: no PSS, OAEP, ECDH, GCM or key identifiers.
pub fn smime(arguments: impl IntoIterator<Item = OsString>, input: &[u8]) -> Result<Finished> {
    run(Command::new("openssl").arg("smime").args(arguments), input)
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
