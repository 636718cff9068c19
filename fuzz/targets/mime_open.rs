//! Finding the CMS object and the signed content in a message.
#![no_main]

use chancery_fuzz::both_ways;
use chancery_smime::limits::Limits;
use chancery_smime::mime::{Carrier, EntityReader, EntitySink, Header, LineEnds, MimeError};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Default, PartialEq)]
struct Seen {
    carrier: String,
    cms: Vec<u8>,
    content: Vec<u8>,
    content_end: Option<LineEnds>,
}

impl EntitySink for Seen {
    type Error = MimeError;

    fn carrier(&mut self, header: &Header, carrier: Carrier) -> Result<(), MimeError> {
        assert!(self.carrier.is_empty());
        self.carrier = format!("{carrier:?} {:?}", header.from_addresses());
        Ok(())
    }

    fn cms(&mut self, bytes: &[u8]) -> Result<(), MimeError> {
        assert!(!self.carrier.is_empty());
        self.cms.extend_from_slice(bytes);
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), MimeError> {
        assert!(!self.carrier.is_empty() && self.content_end.is_none() && self.cms.is_empty());
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    fn content_end(&mut self, line_ends: LineEnds) -> Result<(), MimeError> {
        assert!(self.content_end.replace(line_ends).is_none() && self.cms.is_empty());
        Ok(())
    }
}

fn open(pieces: &[&[u8]]) -> Result<Seen, MimeError> {
    let mut reader = EntityReader::new(&Limits::default());
    let mut seen = Seen::default();
    for piece in pieces {
        reader.push(piece, &mut seen)?;
    }
    reader.end(&mut seen)?;
    Ok(seen)
}

fuzz_target!(|data: &[u8]| {
    let [whole, pieces] = both_ways(data).map(|pieces| open(&pieces).map_err(drop));
    assert_eq!(whole, pieces);
});
