//! Tags and lengths written as DER wants them, for the structures that are put together by hand.

/// Identifier octets.
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const INTEGER: u8 = 0x02;

/// Appends a length in the fewest octets.
pub(crate) fn push_length(length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => out.push(short),
        _ => {
            let octets = length.to_be_bytes();
            let significant = octets.iter().skip_while(|octet| **octet == 0);
            let count = significant.clone().count();
            // A usize has eight octets at most.
            out.push(0x80 | u8::try_from(count).unwrap_or(u8::MAX));
            out.extend(significant);
        }
    }
}

/// Appends one element.
pub(crate) fn push_tlv(tag: u8, contents: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    push_length(contents.len(), out);
    out.extend_from_slice(contents);
}
