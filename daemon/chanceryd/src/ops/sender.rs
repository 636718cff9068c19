//! Who signs when the options do not say: the address in From, or in Sender when From has several (RFC 5322, section
//! 3.6.2).

use bytes::Bytes;
use chancery_smime::limits::Limits;
use chancery_smime::mime::{Header, HeaderReader};
use tokio_stream::Stream;

use super::pipeline::Source;
use super::smime_error;
use super::{Invalid, OpError};

/// Reads the header section of the message and puts it back, so that the message still begins at its beginning.
pub(super) async fn of_message<S>(source: &mut Source<S>, limits: &Limits) -> Result<String, OpError>
where
    S: Stream<Item = Result<Bytes, OpError>> + Unpin,
{
    let mut reader = HeaderReader::new(limits);
    let mut seen: Vec<Bytes> = Vec::new();
    loop {
        let Some(pieces) = source.next().await? else {
            if seen.is_empty() {
                return Err(OpError::Invalid(Invalid::MessageEmpty));
            }
            let header = reader.end().map_err(smime_error::mime)?;
            source.put_back(seen);
            return address(&header);
        };
        for piece in &pieces {
            // The reader bounds what is kept here: it fails once the header section is longer than the limit.
            if let Some((header, _)) = reader.push(piece).map_err(smime_error::mime)? {
                seen.extend(pieces);
                source.put_back(seen);
                return address(&header);
            }
        }
        seen.extend(pieces);
    }
}

fn address(header: &Header) -> Result<String, OpError> {
    let mut from = header.from_addresses();
    from.dedup();
    match from.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(OpError::Invalid(Invalid::SenderUnknown)),
        several => header
            .sender_address()
            .ok_or(OpError::Invalid(Invalid::SenderAmbiguous { count: several.len() })),
    }
}
