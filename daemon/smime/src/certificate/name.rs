//! X.501 names: their text in the form of RFC 4514, the mail addresses in them, and when two of them are the same.

use std::fmt::Write;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc3280::EMAIL_ADDRESS;
use der::asn1::AnyRef;
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};

const ORGANIZATION_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.97");

/// The text of a Name (DER) in the form of RFC 4514; what cannot be read is shown in hexadecimal.
pub(super) fn to_text(name: &[u8]) -> String {
    let Ok(mut relative_names) = read(name) else {
        return hexadecimal(name);
    };
    relative_names.reverse();
    let mut text = String::new();
    for (index, attributes) in relative_names.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        for (index, attribute) in attributes.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            attribute.write(&mut text);
        }
    }
    text
}

/// The values of emailAddress in a Name (DER).
pub(super) fn email_addresses(name: &[u8]) -> Vec<String> {
    let attributes = read(name).unwrap_or_default().into_iter().flatten();
    attributes
        .filter(|attribute| attribute.oid == EMAIL_ADDRESS)
        .filter_map(|attribute| attribute.string())
        .collect()
}

/// Attributes in one RelativeDistinguishedName that are compared one by one, in any order. There is one as a rule.
const MAX_ATTRIBUTES: usize = 16;

/// Whether two Names (DER) are the same by the rules of RFC 5280, section 7.1: string types, case and runs of spaces make
/// no difference.
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    match (read(left), read(right)) {
        (Ok(left), Ok(right)) => {
            left.len() == right.len()
                && left.iter().zip(&right).all(|(left, right)| {
                    left.len() == right.len()
                        && left.len() <= MAX_ATTRIBUTES
                        && left.iter().all(|one| right.iter().any(|other| one.same(other)))
                })
        }
        _ => false,
    }
}

struct Attribute<'a> {
    oid: ObjectIdentifier,
    value: AnyRef<'a>,
}

fn read(name: &[u8]) -> der::Result<Vec<Vec<Attribute<'_>>>> {
    let name = AnyRef::from_der(name)?;
    name.tag().assert_eq(Tag::Sequence)?;
    let mut relative_names = SliceReader::new(name.value())?;
    let mut found = Vec::new();
    while !relative_names.is_finished() {
        let set: AnyRef<'_> = relative_names.decode()?;
        set.tag().assert_eq(Tag::Set)?;
        let mut attributes = SliceReader::new(set.value())?;
        let mut attributes_found = Vec::new();
        while !attributes.is_finished() {
            attributes_found.push(attributes.sequence(|attribute| {
                Ok::<_, der::Error>(Attribute {
                    oid: attribute.decode()?,
                    value: attribute.decode()?,
                })
            })?);
        }
        found.push(attributes_found);
    }
    Ok(found)
}

impl Attribute<'_> {
    /// The value as a string, if it is of one of the string types.
    fn string(&self) -> Option<String> {
        let octets = self.value.value();
        match self.value.tag() {
            Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
                String::from_utf8(octets.to_vec()).ok()
            }
            // In practice a TeletexString holds Latin-1.
            Tag::TeletexString => Some(octets.iter().map(|&octet| char::from(octet)).collect()),
            Tag::BmpString if octets.len() % 2 == 0 => {
                let units = octets
                    .chunks_exact(2)
                    .filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes));
                char::decode_utf16(units).collect::<Result<_, _>>().ok()
            }
            _ => None,
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.oid == other.oid
            && match (self.string(), other.string()) {
                (Some(left), Some(right)) => prepared(&left) == prepared(&right),
                _ => self.value == other.value,
            }
    }

    fn write(&self, text: &mut String) {
        match short_name(self.oid) {
            Some(short_name) => text.push_str(short_name),
            None => text.push_str(&self.oid.to_string()),
        }
        text.push('=');
        match self.string() {
            Some(value) => write_escaped(&value, text),
            None => text.push_str(&hexadecimal(&self.value.to_der().unwrap_or_default())),
        }
    }
}

/// Descriptors of RFC 4514, section 3, and some more that are registered and stand in certificates.
fn short_name(oid: ObjectIdentifier) -> Option<&'static str> {
    use const_oid::db::{rfc3280, rfc4519};
    Some(match oid {
        rfc4519::CN => "CN",
        rfc4519::L => "L",
        rfc4519::ST => "ST",
        rfc4519::O => "O",
        rfc4519::OU => "OU",
        rfc4519::C => "C",
        rfc4519::STREET => "STREET",
        rfc4519::DC => "DC",
        rfc4519::UID => "UID",
        rfc4519::SN => "SN",
        rfc4519::GIVEN_NAME => "givenName",
        rfc4519::SERIAL_NUMBER => "serialNumber",
        rfc4519::TITLE => "title",
        rfc4519::INITIALS => "initials",
        ORGANIZATION_IDENTIFIER => "organizationIdentifier",
        rfc3280::PSEUDONYM => "pseudonym",
        EMAIL_ADDRESS => "emailAddress",
        _ => return None,
    })
}

/// RFC 4514, section 2.4.
fn write_escaped(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        match character {
            ' ' if index == 0 || index == last => text.push_str("\\ "),
            '#' if index == 0 => text.push_str("\\#"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            _ if character.is_control() => {
                let mut buffer = [0; 4];
                for octet in character.encode_utf8(&mut buffer).bytes() {
                    let _ = write!(text, "\\{octet:02x}");
                }
            }
            _ => text.push(character),
        }
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    let mut text = String::from("#");
    for octet in octets {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// A string ready for comparison: lower case, runs of white space one space, none at the ends.
fn prepared(value: &str) -> String {
    value
        .split_whitespace()
        .map(str::to_lowercase)
        .collect::<Vec<_>>()
        .join(" ")
}
