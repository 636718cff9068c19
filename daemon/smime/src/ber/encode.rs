//! Tags and lengths written as DER wants them, for the structures that are put together by hand.

/// Identifier octets.
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const CONTEXT_0: u8 = 0xa0;
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

/// One element.
pub(crate) fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(contents.len() + 10);
    push_tlv(tag, contents, &mut out);
    out
}

/// One element made of several parts.
pub(crate) fn constructed(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 10);
    out.push(tag);
    push_length(length, &mut out);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A SET OF with its elements sorted as DER wants it (X.690, 11.6). Elements compare like octet strings: a shorter one that
/// is a prefix of another cannot occur among complete elements.
pub(crate) fn set_of(tag: u8, mut elements: Vec<Vec<u8>>) -> Vec<u8> {
    elements.sort();
    let parts: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    constructed(tag, &parts)
}
