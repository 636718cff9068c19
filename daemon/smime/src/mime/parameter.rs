//! Parameters of structured fields: tokens, quoted strings, comments, and RFC 2231 continuations and character sets.

use std::collections::BTreeMap;

/// The parameters of one field, decoded, by name in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The first parameter of this name. Case does not matter.
    pub(crate) fn named(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Reads `; name=value; …`. What cannot be read is passed over up to the next semicolon.
    pub(crate) fn parse(mut text: &str) -> Self {
        let mut plain = Vec::new();
        let mut continued: BTreeMap<String, BTreeMap<u32, Piece>> = BTreeMap::new();
        loop {
            text = skip_comments(text);
            let Some(rest) = text.strip_prefix(';') else {
                let mut characters = text.chars();
                match characters.next() {
                    Some('"') => text = value(text).1,
                    Some(_) => text = characters.as_str(),
                    None => break,
                }
                continue;
            };
            let rest = skip_comments(rest);
            let end = rest.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let Some(after) = skip_comments(after).strip_prefix('=') else {
                text = after;
                continue;
            };
            let (value, after) = value(skip_comments(after));
            text = after;
            let name = name.to_ascii_lowercase();
            let (name, encoded) = name
                .strip_suffix('*')
                .map_or((name.as_str(), false), |name| (name, true));
            match name.split_once('*') {
                Some((name, number)) => {
                    if let Ok(number) = number.parse() {
                        let pieces = continued.entry(name.to_owned()).or_default();
                        pieces.entry(number).or_insert(Piece { value, encoded });
                    }
                }
                None if encoded => {
                    let pieces = continued.entry(name.to_owned()).or_default();
                    pieces.entry(0).or_insert(Piece { value, encoded });
                }
                None => plain.push((name.to_owned(), value)),
            }
        }
        plain.extend(continued.into_iter().map(|(name, pieces)| (name, assemble(&pieces))));
        Self(plain)
    }
}

/// One piece of a continued parameter: `name*1=value`, or with `encoded` `name*1*=value`.
struct Piece {
    value: String,
    encoded: bool,
}

/// Puts the pieces 0, 1, … together, up to the first that is missing (RFC 2231, section 3).
fn assemble(pieces: &BTreeMap<u32, Piece>) -> String {
    let mut bytes = Vec::new();
    let mut charset = "utf-8";
    for (expected, (&number, piece)) in (0..).zip(pieces) {
        if number != expected {
            break;
        }
        let mut value = piece.value.as_str();
        if number == 0 && piece.encoded {
            let mut fields = value.splitn(3, '\'');
            if let (Some(named), Some(_language), Some(text)) = (fields.next(), fields.next(), fields.next()) {
                charset = named;
                value = text;
            }
        }
        if piece.encoded {
            percent_decode(value, &mut bytes);
        } else {
            bytes.extend_from_slice(value.as_bytes());
        }
    }
    match charset.to_ascii_lowercase().as_str() {
        "iso-8859-1" | "windows-1252" => bytes.into_iter().map(char::from).collect(),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn percent_decode(text: &str, bytes: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// A quoted string, or else everything up to the next semicolon or comment: senders forget quotes around `=` and spaces.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        // Comments are looked for up to the semicolon alone, so that many parameters do not each cost a look at all the rest.
        let text_or_comment = text.split(';').next().unwrap_or_default();
        let comments = [text_or_comment.find(" ("), text_or_comment.find("\t(")];
        let end = comments.into_iter().flatten().min().unwrap_or(text_or_comment.len());
        let (value, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(position + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

/// Skips white space and comments, which nest (RFC 5322, section 3.2.2).
pub(crate) fn skip_comments(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut characters = text.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            '\\' if depth > 0 => drop(characters.next()),
            ' ' | '\t' | '\r' | '\n' => {}
            _ if depth > 0 => {}
            _ => return text.get(position..).unwrap_or_default(),
        }
    }
    ""
}

/// Characters of a token (RFC 2045, section 5.1).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}
