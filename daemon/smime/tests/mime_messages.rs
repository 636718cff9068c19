//! Walks `tests/messages`: each file is a message and, in sections, what is made of it. A file dropped there is a new test.
//!
//! The sections are `outer`, `entity to sign`, `entity to encrypt`, `refusal to sign`, `refusal to encrypt`, and `refusal`
//! for both. They are kept with LF; the entity has CRLF and is compared in that form, whatever the message had.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::HashMap;
use std::path::Path;

use chancery_smime::limits::Limits;
use chancery_smime::mime::{EightBit, EntityMaker, MimeError};

/// Outer header and entity.
type Made = (String, String);

fn make<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, eight_bit: EightBit) -> Result<Made, MimeError> {
    let (mut maker, mut entity) = (EntityMaker::new(eight_bit, &Limits::default()), Vec::new());
    for piece in pieces {
        maker.push(piece, &mut entity)?;
        assert!(
            entity.is_empty() || maker.outer_header().is_some(),
            "the outer header comes first"
        );
    }
    maker.end(&mut entity)?;
    let outer = maker.outer_header().unwrap().to_vec();
    Ok((String::from_utf8(outer).unwrap(), String::from_utf8(entity).unwrap()))
}

fn expected(sections: &HashMap<&str, String>, verb: &str) -> Result<Made, String> {
    let refusal = sections
        .get("refusal")
        .or_else(|| sections.get(format!("refusal to {verb}").as_str()));
    match refusal {
        Some(refusal) => Err(refusal.trim_end().to_owned()),
        None => {
            let section = |name: &str| {
                sections
                    .get(name)
                    .unwrap_or_else(|| panic!("no section {name}"))
                    .replace('\n', "\r\n")
            };
            Ok((section("outer"), section(&format!("entity to {verb}"))))
        }
    }
}

#[test]
fn every_message_in_the_directory_becomes_what_its_file_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with('.') {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let (message, rest) = text.split_once("#### ").unwrap();
        let sections: HashMap<&str, String> = rest
            .split("#### ")
            .map(|section| {
                section
                    .split_once('\n')
                    .map(|(name, body)| (name, body.to_owned()))
                    .unwrap()
            })
            .collect();
        for (eight_bit, verb) in [(EightBit::Encode, "sign"), (EightBit::Keep, "encrypt")] {
            let expected = expected(&sections, verb);
            for message in [message.to_owned(), message.replace('\n', "\r\n")] {
                let whole = make([message.as_bytes()], eight_bit).map_err(|error| error.to_string());
                if message.contains("\r\n") && name == "bare-entity" {
                    continue; // What is not text keeps its bytes.
                }
                assert_eq!(whole, expected, "{name}, to {verb}");
                let pieces = make(message.as_bytes().chunks(1), eight_bit).map_err(|error| error.to_string());
                assert_eq!(pieces, expected, "{name}, to {verb}, byte by byte");
                for cut in 0..=message.len() {
                    let (first, second) = message.as_bytes().split_at(cut);
                    let cut_in_two = make([first, second], eight_bit).map_err(|error| error.to_string());
                    assert_eq!(cut_in_two, expected, "{name}, to {verb}, cut at {cut}");
                }
            }
        }
    }
    assert!(seen >= 10, "only {seen} messages were found");
}
