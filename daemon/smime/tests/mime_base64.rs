//! Base64 and line ends in streams: every way of cutting the input gives the same output.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use chancery_smime::mime::{Base64Decoder, Base64Encoder, CrlfWriter, MimeError};

fn encode(pieces: &[&[u8]]) -> String {
    let (mut encoder, mut out) = (Base64Encoder::new(), Vec::new());
    pieces.iter().for_each(|piece| encoder.push(piece, &mut out));
    encoder.end(&mut out);
    String::from_utf8(out).unwrap()
}

fn decode(pieces: &[&[u8]]) -> Result<Vec<u8>, MimeError> {
    let (mut decoder, mut out) = (Base64Decoder::new(), Vec::new());
    pieces.iter().try_for_each(|piece| decoder.push(piece, &mut out))?;
    decoder.end(&mut out)?;
    Ok(out)
}

fn canonical(pieces: &[&[u8]]) -> Vec<u8> {
    let (mut writer, mut out) = (CrlfWriter::new(), Vec::new());
    pieces.iter().for_each(|piece| writer.push(piece, &mut out));
    out
}

/// Bytes without a pattern: a linear congruential generator.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn lines_have_64_characters_and_end_in_crlf() {
    assert_eq!(encode(&[b""]), "");
    assert_eq!(encode(&[b"a"]), "YQ==\r\n");
    assert_eq!(encode(&[b"ab", b"c"]), "YWJj\r\n");
    assert_eq!(encode(&[&[0; 48]]), format!("{}\r\n", "A".repeat(64)));
    assert_eq!(encode(&[&[0; 49]]), format!("{}\r\nAA==\r\n", "A".repeat(64)));
}

#[test]
fn encoding_and_decoding_are_inverse_for_every_length_and_cut() {
    let bytes = noise(300);
    for len in 0..bytes.len() {
        let whole = encode(&[&bytes[..len]]);
        assert_eq!(decode(&[whole.as_bytes()]).unwrap(), &bytes[..len]);
    }
    let whole = encode(&[&bytes]);
    for cut in 0..bytes.len() {
        assert_eq!(encode(&[&bytes[..cut], &bytes[cut..]]), whole);
    }
    for cut in 0..whole.len() {
        let (first, second) = whole.as_bytes().split_at(cut);
        assert_eq!(decode(&[first, second]).unwrap(), bytes);
    }
    let bytes = noise(200_000);
    let whole = encode(&[&bytes]);
    for size in [1, 7, 66, 1000, 65_536] {
        assert_eq!(encode(&bytes.chunks(size).collect::<Vec<_>>()), whole);
        assert_eq!(
            decode(&whole.as_bytes().chunks(size).collect::<Vec<_>>()).unwrap(),
            bytes
        );
    }
}

#[test]
fn lines_of_any_length_with_any_white_space_are_decoded() {
    for text in [
        "YWJjZGVm",
        "YWJj\nZGVm\n",
        "Y\r\nWJ\r\njZGV\r\nm",
        " YWJj ZGVm\t\r\n",
        "\r\n\r\nYWJjZGVm\x0b\x0c\r\n",
    ] {
        for cut in 0..text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            assert_eq!(decode(&[first, second]).unwrap(), b"abcdef", "{text:?} cut at {cut}");
        }
    }
}

#[test]
fn padding_may_be_missing_and_what_follows_it_is_ignored() {
    for text in [
        "YWI=",
        "YWI",
        "YWI=\r\n-- \r\nA list's footer: _?%",
        "YWI=YWI=",
        "YW\nI =",
        "YWJ=",
    ] {
        for cut in 0..text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            assert_eq!(decode(&[first, second]).unwrap(), b"ab", "{text:?} cut at {cut}");
        }
    }
    for text in ["YQ==", "YQ", "YQ=\r\n=", "YQ==!"] {
        assert_eq!(decode(&[text.as_bytes()]).unwrap(), b"a", "{text:?}");
    }
}

#[test]
fn damage_is_an_error_however_it_is_cut() {
    for text in [
        "YWJ-",
        "YW!j",
        "YWJjY",
        "=",
        "Y===",
        "YW=j",
        "YW=",
        "YWJj=",
        "YWJj\0YWJj",
    ] {
        for cut in 0..text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            assert!(
                matches!(decode(&[first, second]), Err(MimeError::Base64 { .. })),
                "{text:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn line_ends_become_crlf_however_they_are_cut() {
    for (text, expected) in [
        ("", ""),
        ("\n", "\r\n"),
        ("\r\n", "\r\n"),
        ("\n\n\r\n\n", "\r\n\r\n\r\n\r\n"),
        ("a\nb\r\nc", "a\r\nb\r\nc"),
        ("a\r\r\nb\rc\n", "a\r\r\nb\rc\r\n"),
        ("trailing  \nspace\t\r\n", "trailing  \r\nspace\t\r\n"),
    ] {
        for cut in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            assert_eq!(
                canonical(&[first, b"", second]),
                expected.as_bytes(),
                "{text:?} cut at {cut}"
            );
        }
    }
}
