//! Key agreement: both sides come to the same secret, or the token says that it cannot.

use anyhow::{Context as _, Result, ensure};
use chancery_proto::v1::KeyRole;
use tonic::Code;

use super::{Bench, TOKEN, TokenUnderTest, peer};
use crate::daemon::Pin;

/// With every key on a curve; those for signing refuse.
pub fn a_key_agrees_where_the_table_says_so<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Right)?;
    for row in T::ROW
        .keys
        .iter()
        .filter(|row| row.is_for(KeyRole::Decrypt) && !row.is_rsa())
    {
        let (pair, key) = (row.files(), row.files().key()?);
        for _ in 0..4 {
            let agreement = peer::agree(&pair)?;
            let answer = bench.caller.agree(&key, agreement.point);
            if row.agrees {
                let secret = answer.map_err(|refusal| anyhow::anyhow!("{}: {refusal:?}", pair.name()))?;
                ensure!(secret == agreement.secret, "{}: another secret", pair.name());
                continue;
            }
            let refusal = answer.err().with_context(|| format!("{} agreed", pair.name()))?;
            ensure!(refusal.message.contains(TOKEN), "{refusal:?}");
            ensure!(
                (refusal.code, refusal.reason.as_str()) == (Code::FailedPrecondition, "MECHANISM_UNSUPPORTED"),
                "{}: {refusal:?}",
                pair.name()
            );
        }
    }
    for row in T::ROW.keys.iter().filter(|row| !row.is_for(KeyRole::Decrypt)) {
        let refusal = bench.caller.agree(&row.files().key()?, vec![4; 65]).err();
        let reason = refusal.map(|refusal| refusal.reason).unwrap_or_default();
        ensure!(reason == "KEY_ROLE_MISMATCH", "{}: {reason}", row.files().name());
    }
    Ok(())
}

/// A point that is not on the curve does not reach the token, and the next one is agreed with.
pub fn a_point_off_the_curve_is_refused<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Right)?;
    for row in T::ROW.keys.iter().filter(|row| row.agrees) {
        let (pair, key) = (row.files(), row.files().key()?);
        let mut agreement = peer::agree(&pair)?;
        // Of X25519 every number is a public key.
        if agreement.point.len() > 32 {
            let mut wrong = agreement.point.clone();
            if let Some(last) = wrong.last_mut() {
                *last ^= 1;
            }
            let refusal = bench.caller.agree(&key, wrong).err().context("it agreed")?;
            ensure!(refusal.code == Code::InvalidArgument, "{}: {refusal:?}", pair.name());
        }
        let point = std::mem::take(&mut agreement.point);
        let secret = bench.caller.agree(&key, point);
        ensure!(secret == Ok(agreement.secret), "{}: {secret:?}", pair.name());
    }
    Ok(())
}
