//! BER-TLV with definite lengths, as PIV's data objects and templates are made of.

/// One element.
pub(super) fn element(tag: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = tag.to_vec();
    let length = value.len().to_be_bytes();
    let significant: &[u8] = match value.len() {
        0..=0x7f => &[],
        0x80..=0xff => &[0x81],
        _ => &[0x82],
    };
    out.extend(significant);
    let bytes = match significant {
        [0x82] => 2,
        _ => 1,
    };
    // No value here reaches 64 KiB.
    out.extend(length.iter().skip(length.len() - bytes));
    out.extend(value);
    out
}

/// The value of the first element with this tag of one byte, and whatever follows is not looked at.
pub(super) fn find(mut bytes: &[u8], tag: u8) -> Option<&[u8]> {
    loop {
        let (&found, rest) = bytes.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
            0x82 => rest
                .split_first_chunk()
                .map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
            0..=0x7f => (usize::from(first), rest),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        if found == tag {
            return Some(value);
        }
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_again() {
        for length in [0, 1, 127, 128, 255, 256, 3000] {
            let value = vec![7; length];
            let bytes = [element(&[0x81], b"before"), element(&[0x82], &value)].concat();
            assert_eq!(find(&bytes, 0x82), Some(value.as_slice()));
            assert_eq!(find(&bytes, 0x83), None);
        }
        assert_eq!(find(&[0x82, 5, 1], 0x82), None);
        assert_eq!(find(&[0x82, 0x84], 0x82), None);
    }
}
