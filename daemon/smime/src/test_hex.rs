//! Octets as the standards print them, for unit tests.
#![allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests")]

/// The octets that `text` gives in hexadecimal. What stands between the digits is passed over.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
