//! Verifying signed messages, and with that reading SignedData, signer infos and certificates.
#![no_main]

use chancery_fuzz::both_ways;
use chancery_smime::limits::Limits;
use chancery_smime::verify::{Content, Options, VerifyError, Verifying};
use libfuzzer_sys::fuzz_target;

fn verify(pieces: &[&[u8]]) -> Result<(String, Vec<u8>), VerifyError> {
    let mut machine = Verifying::begin(Options {
        content: Content::Emit,
        limits: Limits::default(),
    });
    let mut content = Vec::new();
    for piece in pieces {
        machine.push(piece, &mut content)?;
    }
    let report = machine.finish(&mut content)?;
    Ok((format!("{report:?}"), content))
}

fuzz_target!(|data: &[u8]| {
    let [whole, pieces] = both_ways(data).map(|pieces| verify(&pieces).map_err(drop));
    assert_eq!(whole, pieces);
});
