//! Decryption: what OpenSSL encrypts by a scheme of the table is recovered, and a failure is one error.

use anyhow::{Context as _, Result, ensure};
use chancery_proto::v1::{DigestAlgorithm, KeyRole, KeyServiceDecryptRequest};
use tonic::Code;

use super::{
    Bench, Caller, TOKEN, TokenUnderTest,
    caller::{oaep, pkcs1},
    peer,
    table::{KeyRow, SCHEMES, Scheme},
};
use crate::daemon::Pin;

/// A content-encryption key.
const SECRET: &[u8; 32] = b"a content-encryption key: 32 B. ";

const LABEL: &[u8] = b"chancery";

/// With every RSA key; the keys for signing refuse.
pub fn every_scheme_of_the_table_decrypts<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Right)?;
    for row in T::ROW.keys.iter().filter(|row| row.is_rsa()) {
        for scheme in SCHEMES {
            decrypt(&mut bench.caller, row, scheme).with_context(|| format!("{} {scheme:?}", row.files().name()))?;
        }
    }
    // What was refused has done no harm.
    for row in T::ROW.keys {
        if let Some(scheme) = row.decrypts.first() {
            decrypt(&mut bench.caller, row, *scheme).with_context(|| row.files().name().to_owned())?;
        }
    }
    Ok(())
}

fn decrypt(caller: &mut Caller, row: &KeyRow, scheme: Scheme) -> Result<()> {
    let answer = caller.decrypt(request(row, scheme, |_| {})?);
    if row.decrypts.contains(&scheme) {
        let plaintext = answer.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        ensure!(plaintext == SECRET, "{plaintext:x?}");
        return Ok(());
    }
    let Err(refusal) = answer else {
        anyhow::bail!("it decrypted, and the table says that it does not");
    };
    let reason = if row.is_for(KeyRole::Decrypt) {
        ensure!(refusal.message.contains(TOKEN), "{refusal:?}");
        "MECHANISM_UNSUPPORTED"
    } else {
        "KEY_ROLE_MISMATCH"
    };
    ensure!(
        (refusal.code, refusal.reason.as_str()) == (Code::FailedPrecondition, reason),
        "{refusal:?}"
    );
    Ok(())
}

/// A request for what OpenSSL encrypted, and somebody may have changed.
fn request(row: &KeyRow, scheme: Scheme, change: impl FnOnce(&mut [u8])) -> Result<KeyServiceDecryptRequest> {
    let (pair, key) = (row.files(), row.files().key()?);
    let encrypt = |digest: DigestAlgorithm, label: &[u8]| peer::encrypt_oaep(&pair, digest, label, SECRET);
    let mut ciphertext = match scheme {
        Scheme::Pkcs1 => peer::encrypt_pkcs1(&pair, SECRET)?,
        Scheme::Oaep(digest) => encrypt(digest, b"")?,
        Scheme::OaepWithLabel(digest) => encrypt(digest, LABEL)?,
    };
    change(&mut ciphertext);
    Ok(match scheme {
        Scheme::Pkcs1 => pkcs1(&key, ciphertext, SECRET.len()),
        Scheme::Oaep(digest) => oaep(&key, ciphertext, digest, b""),
        Scheme::OaepWithLabel(digest) => oaep(&key, ciphertext, digest, LABEL),
    })
}

/// By OAEP it is refused, always in the same words; by v1.5 it cannot be told from a success.
pub fn a_bad_ciphertext_is_one_error<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Right)?;
    for row in T::ROW.keys {
        let mut refusals = Vec::new();
        for scheme in row.decrypts.iter().copied() {
            let answer = bench.caller.decrypt(request(row, scheme, break_in_the_last_bit)?);
            match (scheme, answer) {
                (Scheme::Pkcs1, Ok(plaintext)) => ensure!(plaintext.len() == SECRET.len() && plaintext != SECRET),
                (Scheme::Pkcs1, Err(refusal)) => anyhow::bail!("v1.5 tells: {refusal:?}"),
                (_, Ok(plaintext)) => anyhow::bail!("{scheme:?}: {plaintext:x?}"),
                (_, Err(refusal)) => refusals.push(refusal),
            }
        }
        for refusal in &refusals {
            ensure!(refusal.reason == "DECRYPTION_FAILED", "{refusal:?}");
        }
        refusals.dedup();
        ensure!(refusals.len() <= 1, "{refusals:?}");
        for scheme in row.decrypts {
            decrypt(&mut bench.caller, row, *scheme)?;
        }
    }
    let shown = bench.caller.token()?;
    ensure!(shown.last_error.is_empty(), "{shown:?}");
    Ok(())
}

/// The last one, so that the number stays below the modulus.
fn break_in_the_last_bit(ciphertext: &mut [u8]) {
    if let Some(last) = ciphertext.last_mut() {
        *last ^= 1;
    }
}
