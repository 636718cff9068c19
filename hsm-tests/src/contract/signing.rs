//! Signatures: every algorithm of the table is valid to OpenSSL, and everything else is refused with the reason.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use chancery_proto::v1::{KeyRole, SignatureAlgorithm, key_service_sign_request::Input};
use tonic::Code;

use super::{
    Bench, Caller, TOKEN, TokenUnderTest,
    caller::Answer,
    peer,
    table::{ECDSA, KeyRow, RSA},
};
use crate::{daemon::Pin, people::Person};

/// Longer than a block of any digest.
const DATA: &[u8] = b"The seal is in the drawer, and the drawer is locked; the key to it is on a token. \
    What is sealed here is opened by whoever holds the other one, and by nobody else.";

/// How many signatures are asked for at once: more than there are sessions.
const AT_ONCE: usize = 12;

/// With every key, over data and over a digest.
pub fn every_algorithm_of_the_table_signs<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Right)?;
    for row in T::ROW.keys {
        for algorithm in RSA.into_iter().chain(ECDSA).chain([SignatureAlgorithm::Ed25519]) {
            sign(&mut bench.caller, row, algorithm).with_context(|| format!("{} {algorithm:?}", row.files().name()))?;
        }
    }
    // What was refused has done no harm.
    every_key_signs::<T>(&mut bench.caller)
}

/// Every key for signing makes a valid signature, with the first of its algorithms.
pub(super) fn every_key_signs<T: TokenUnderTest>(caller: &mut Caller) -> Result<()> {
    for row in T::ROW.keys {
        if let Some(algorithm) = row.signs.first() {
            sign(caller, row, *algorithm).with_context(|| row.files().name().to_owned())?;
        }
    }
    Ok(())
}

/// A key for signing, with one of its algorithms.
pub(super) fn a_signer(rows: &'static [KeyRow]) -> Result<(&'static KeyRow, SignatureAlgorithm)> {
    rows.iter()
        .find_map(|row| Some((row, *row.signs.first()?)))
        .context("the table has no key that signs")
}

/// A signature by [`a_signer`].
pub(super) fn sign_something<T: TokenUnderTest>(caller: &mut Caller) -> Result<Answer<Vec<u8>>> {
    let (row, algorithm) = a_signer(T::ROW.keys)?;
    Ok(caller.sign(&row.files().key()?, algorithm, an_input(algorithm)?))
}

/// A digest of [`DATA`] for an algorithm, or the data itself.
pub(super) fn an_input(algorithm: SignatureAlgorithm) -> Result<Input> {
    Ok(match peer::digest_of(algorithm) {
        Some(name) => Input::Digest(peer::digest(name, DATA)?.into()),
        None => Input::Data(DATA.into()),
    })
}

fn sign(caller: &mut Caller, row: &KeyRow, algorithm: SignatureAlgorithm) -> Result<()> {
    let (pair, key) = (row.files(), row.files().key()?);
    let answer = caller.sign(&key, algorithm, Input::Data(DATA.into()));
    if row.signs.contains(&algorithm) {
        let signature = answer.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        peer::verify(&pair, algorithm, DATA, &signature)?;
        if peer::digest_of(algorithm).is_some() {
            let signature = caller
                .sign(&key, algorithm, an_input(algorithm)?)
                .map_err(|refusal| anyhow::anyhow!("a digest: {refusal:?}"))?;
            peer::verify(&pair, algorithm, DATA, &signature)?;
        }
        return Ok(());
    }
    let Err(refusal) = answer else {
        anyhow::bail!("it signed, and the table says that it does not");
    };
    let (code, reason) = if !row.is_for(KeyRole::Sign) {
        (Code::FailedPrecondition, "KEY_ROLE_MISMATCH")
    } else if !is_of_its_kind(row, algorithm) {
        (Code::InvalidArgument, "ALGORITHM_MISMATCH")
    } else {
        ensure!(refusal.message.contains(TOKEN), "{refusal:?}");
        (Code::FailedPrecondition, "MECHANISM_UNSUPPORTED")
    };
    ensure!((refusal.code, refusal.reason.as_str()) == (code, reason), "{refusal:?}");
    Ok(())
}

fn is_of_its_kind(row: &KeyRow, algorithm: SignatureAlgorithm) -> bool {
    if row.is_rsa() {
        RSA.contains(&algorithm)
    } else if row.person == Person::Erin {
        algorithm == SignatureAlgorithm::Ed25519
    } else {
        ECDSA.contains(&algorithm)
    }
}

/// More of them than there are sessions, with every key for signing.
pub fn many_signatures_at_once_are_all_valid<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Right)?;
    for row in T::ROW.keys {
        let Some(algorithm) = row.signs.first().copied() else {
            continue;
        };
        let (pair, input) = (row.files(), an_input(algorithm)?);
        let calls = bench.caller.begin_signing(&pair.key()?, algorithm, &input, AT_ONCE);
        let answers = bench.caller.rest_of(calls);
        let signatures = answers
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|refusal| anyhow::anyhow!("{}: {refusal:?}", pair.name()))?;
        verify_all(row, algorithm, signatures)?;
    }
    let shown = bench.caller.token()?;
    ensure!(shown.last_error.is_empty(), "{shown:?}");
    Ok(())
}

/// Each of them is valid; those that are the same are looked at once.
pub(super) fn verify_all(row: &KeyRow, algorithm: SignatureAlgorithm, signatures: Vec<Vec<u8>>) -> Result<()> {
    let different: BTreeSet<Vec<u8>> = signatures.into_iter().collect();
    for signature in different {
        peer::verify(&row.files(), algorithm, DATA, &signature)?;
    }
    Ok(())
}
