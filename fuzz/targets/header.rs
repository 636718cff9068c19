//! Reading header sections: addresses, content types, parameters.
#![no_main]

use chancery_fuzz::both_ways;
use chancery_smime::limits::Limits;
use chancery_smime::mime::{Header, HeaderReader, MimeError};
use libfuzzer_sys::fuzz_target;

fn read(pieces: &[&[u8]]) -> Result<(Header, usize), MimeError> {
    let mut reader = HeaderReader::new(&Limits::default());
    let mut pieces = pieces.iter();
    while let Some(piece) = pieces.next() {
        if let Some((header, rest)) = reader.push(piece)? {
            return Ok((header, rest.len() + pieces.map(|piece| piece.len()).sum::<usize>()));
        }
    }
    Ok((reader.end()?, 0))
}

fuzz_target!(|data: &[u8]| {
    let [whole, pieces] = both_ways(data).map(|pieces| read(&pieces));
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
    for header in [whole.ok().map(|(header, _)| header), Header::parse(data).ok()]
        .into_iter()
        .flatten()
    {
        let _who = (header.from_addresses(), header.sender_address());
        let _what = (header.content_type(), header.transfer_encoding());
        let _split = (header.outer_fields(), header.content_fields());
        for field in header.fields() {
            let _field = (field.name(), field.value());
        }
    }
});
