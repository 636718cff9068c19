//! Making a message's entity canonical, for signing and for encrypting.
#![no_main]

use chancery_fuzz::both_ways;
use chancery_smime::limits::Limits;
use chancery_smime::mime::{EightBit, EntityMaker, MimeError};
use libfuzzer_sys::fuzz_target;

fn make(eight_bit: EightBit, pieces: &[&[u8]]) -> Result<Vec<u8>, MimeError> {
    let mut maker = EntityMaker::new(eight_bit, &Limits::default());
    let mut entity = Vec::new();
    for piece in pieces {
        maker.push(piece, &mut entity)?;
    }
    maker.end(&mut entity)?;
    assert!(maker.outer_header().is_some());
    Ok(entity)
}

fuzz_target!(|data: &[u8]| {
    for eight_bit in [EightBit::Encode, EightBit::Keep] {
        let [whole, pieces] = both_ways(data).map(|pieces| make(eight_bit, &pieces).map_err(drop));
        assert_eq!(whole, pieces);
    }
});
