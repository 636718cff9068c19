//! PKCS#11 URIs (RFC 7512) as names of tokens.
//!
//! `pkcs11:token=alice;serial=0123?…`: path attributes separated by `;`, query attributes by `&`, values percent-encoded.
//! What is deliberate here:
//! - `slot-id` and the other slot and library attributes are checked for form and play no part in matching: slot numbers
//!   change when a reader is plugged in elsewhere, and a token is the same token in any slot;
//! - object attributes (`object`, `id`, `type`) are read and ignored, so that a key's URI can be pasted to name its token;
//! - vendor attributes, which RFC 7512 section 2.3 leaves to those who know them, are ignored;
//! - `pin-value` and `pin-source` are refused: PINs have a place of their own in the configuration, which a URI that
//!   appears in logs is not. `module-name` and `module-path` are refused because the module is configured by name.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// Longer URIs are refused.
const MAX_LEN: usize = 4096;

/// Everything but unreserved characters is encoded when a URI is written.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A PKCS#11 URI that names a token by at least one of label, serial number, manufacturer and model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUri {
    token: Option<String>,
    manufacturer: Option<String>,
    serial: Option<String>,
    model: Option<String>,
}

/// A text that is not a PKCS#11 URI of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// The scheme is not `pkcs11:`.
    #[error("a PKCS#11 URI begins with \"pkcs11:\"")]
    Scheme,
    /// The URI is too long.
    #[error("a PKCS#11 URI of more than {MAX_LEN} bytes is refused")]
    TooLong,
    /// An attribute has no `=`, an empty name or a name with other characters than letters, digits, `-` and `_`.
    #[error("\"{0}\" is not a PKCS#11 URI attribute (name=value)")]
    Attribute(String),
    /// A character that has to be percent-encoded, or a `%` without two hexadecimal digits.
    #[error("the value of \"{0}\" has a character that must be percent-encoded, or a broken percent-encoding")]
    Encoding(String),
    /// A value that is no UTF-8 text or holds a NUL.
    #[error("the value of \"{0}\" is not text")]
    NotText(String),
    /// A path attribute stands twice (RFC 7512 section 2.3).
    #[error("\"{0}\" stands twice")]
    Repeated(String),
    /// A value out of the attribute's range.
    #[error("the value of \"{0}\" is not one that this attribute can have")]
    Value(String),
    /// `pin-value`, `pin-source`, `module-name` or `module-path`.
    #[error("\"{0}\" does not belong into a token's URI here: the PIN and the module are configured on their own")]
    Refused(String),
    /// None of the attributes that tell one token from another.
    #[error("the URI names no token: give at least one of token, serial, manufacturer and model")]
    NoToken,
}

impl TokenUri {
    /// The label, from `token=`.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// From `manufacturer=`.
    pub fn manufacturer(&self) -> Option<&str> {
        self.manufacturer.as_deref()
    }

    /// From `serial=`.
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// From `model=`.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }
}

impl FromStr for TokenUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > MAX_LEN {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("pkcs11") {
            return Err(UriError::Scheme);
        }
        let (path, query) = rest
            .split_once('?')
            .map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut uri = Self {
            token: None,
            manufacturer: None,
            serial: None,
            model: None,
        };
        let mut seen = Vec::new();
        if !path.is_empty() {
            for attribute in path.split(';') {
                let (name, value) = split(attribute, b":[]@!$'()*+,=&")?;
                if seen.contains(&name) {
                    return Err(UriError::Repeated(name.to_owned()));
                }
                seen.push(name);
                uri.take_path_attribute(name, value)?;
            }
        }
        for attribute in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = split(attribute, b":[]@!$'()*+,=/?|")?;
            if matches!(name, "pin-value" | "pin-source" | "module-name" | "module-path") {
                return Err(UriError::Refused(name.to_owned()));
            }
            decode(name, value)?;
        }
        if [&uri.token, &uri.manufacturer, &uri.serial, &uri.model]
            .into_iter()
            .all(Option::is_none)
        {
            return Err(UriError::NoToken);
        }
        Ok(uri)
    }
}

impl TokenUri {
    fn take_path_attribute(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        let invalid = || UriError::Value(name.to_owned());
        let (place, max_len) = match name {
            "token" => (&mut self.token, 32),
            "manufacturer" => (&mut self.manufacturer, 32),
            "serial" => (&mut self.serial, 16),
            "model" => (&mut self.model, 16),
            "slot-id" => return value.parse::<u64>().map(drop).map_err(|_| invalid()),
            "type" => {
                let known = matches!(value, "public" | "private" | "cert" | "secret-key" | "data");
                return if known { Ok(()) } else { Err(invalid()) };
            }
            // A CKA_ID is any bytes.
            "id" => return decode_bytes(name, value).map(drop),
            _ => return decode(name, value).map(drop),
        };
        let value = decode(name, value)?;
        // The sizes of CK_TOKEN_INFO's fields. Its padding is no part of the value.
        if value.len() > max_len || value.ends_with(' ') {
            return Err(invalid());
        }
        *place = Some(value);
        Ok(())
    }
}

impl fmt::Display for TokenUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
        ];
        let mut separator = "pkcs11:";
        for (name, value) in attributes {
            if let Some(value) = value {
                write!(formatter, "{separator}{name}={}", utf8_percent_encode(value, ENCODED))?;
                separator = ";";
            }
        }
        Ok(())
    }
}

/// Splits `name=value` and checks that the value has only unreserved characters, `%` and those in `also`.
fn split<'a>(attribute: &'a str, also: &[u8]) -> Result<(&'a str, &'a str), UriError> {
    let (name, value) = attribute
        .split_once('=')
        .ok_or_else(|| UriError::Attribute(shorten(attribute)))?;
    let name_fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || !name.bytes().all(name_fits) {
        return Err(UriError::Attribute(shorten(name)));
    }
    let value_fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte) || also.contains(&byte);
    if !value.bytes().all(value_fits) {
        return Err(UriError::Encoding(name.to_owned()));
    }
    Ok((name, value))
}

fn decode(name: &str, value: &str) -> Result<String, UriError> {
    let text = String::from_utf8(decode_bytes(name, value)?).map_err(|_| UriError::NotText(name.to_owned()))?;
    if text.contains('\0') {
        Err(UriError::NotText(name.to_owned()))
    } else {
        Ok(text)
    }
}

fn decode_bytes(name: &str, value: &str) -> Result<Vec<u8>, UriError> {
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' && !(0..2).all(|_| rest.next().is_some_and(|digit| digit.is_ascii_hexdigit())) {
            return Err(UriError::Encoding(name.to_owned()));
        }
    }
    Ok(percent_decode_str(value).collect())
}

/// An error message does not repeat a URI at length, which might carry a PIN after a typing error.
fn shorten(text: &str) -> String {
    text.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<TokenUri, UriError> {
        text.parse()
    }

    #[test]
    fn the_attributes_of_a_token_are_read() {
        let uri = parse(
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;serial=",
        )
        .unwrap();
        assert_eq!(uri.token(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(uri.manufacturer(), Some("Snake Oil, Inc."));
        assert_eq!(uri.model(), Some("1.0"));
        assert_eq!(uri.serial(), Some(""));
    }

    #[test]
    fn slot_object_library_and_vendor_attributes_do_not_identify() {
        let plain = parse("pkcs11:token=alice").unwrap();
        for more in [
            ";slot-id=327",
            ";slot-description=Sun%20Metaslot;slot-manufacturer=x",
            ";object=my-certificate;type=cert;id=%69%95%3E%FF",
            ";library-version=3;library-manufacturer=y",
            ";x-vend=vendor-value",
            "?x-query=a&x-query=b",
        ] {
            assert_eq!(parse(&format!("pkcs11:token=alice{more}")).unwrap(), plain, "{more}");
        }
        assert_eq!(parse("pkcs11:slot-id=3"), Err(UriError::NoToken));
        assert_eq!(parse("pkcs11:"), Err(UriError::NoToken));
        assert_eq!(parse("pkcs11:object=x;x-vend=y"), Err(UriError::NoToken));
    }

    #[test]
    fn pins_and_modules_are_refused() {
        for query in [
            "pin-value=1234",
            "pin-source=file:/etc/pin",
            "module-path=/lib/x.so",
            "module-name=x",
        ] {
            let error = parse(&format!("pkcs11:token=alice?{query}")).unwrap_err();
            assert!(matches!(error, UriError::Refused(_)), "{query}: {error}");
            assert!(!error.to_string().contains("1234"));
        }
    }

    #[test]
    fn broken_uris_are_refused() {
        assert_eq!(parse("pkcs12:token=a"), Err(UriError::Scheme));
        assert_eq!(parse("token=a"), Err(UriError::Scheme));
        assert_eq!(
            parse(&format!("pkcs11:object={}", "a".repeat(5000))),
            Err(UriError::TooLong)
        );
        for (uri, name) in [("a;", ""), ("a;b", "b"), ("a;=b", ""), ("a;ü=b", "ü"), ("a?", "")] {
            assert_eq!(
                parse(&format!("pkcs11:token={uri}")),
                Err(UriError::Attribute(name.to_owned())),
                "{uri}"
            );
        }
        for value in ["%", "%4", "%4g", "%%41", "a b", "ä", "a#b", "a/b", "\"", "%+1"] {
            assert_eq!(
                parse(&format!("pkcs11:token={value}")),
                Err(UriError::Encoding("token".into())),
                "{value}"
            );
        }
        assert_eq!(parse("pkcs11:token=%ff"), Err(UriError::NotText("token".into())));
        assert_eq!(parse("pkcs11:token=a%00"), Err(UriError::NotText("token".into())));
        assert_eq!(parse("pkcs11:token=a;token=a"), Err(UriError::Repeated("token".into())));
        assert_eq!(
            parse("pkcs11:token=a;slot-id=x"),
            Err(UriError::Value("slot-id".into()))
        );
        assert_eq!(parse("pkcs11:token=a;type=key"), Err(UriError::Value("type".into())));
        assert_eq!(
            parse("pkcs11:serial=12345678901234567"),
            Err(UriError::Value("serial".into()))
        );
        assert_eq!(parse("pkcs11:token=padded%20"), Err(UriError::Value("token".into())));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            token in proptest::option::of("[^\0]{0,7}[^\0 ]"),
            serial in proptest::option::of("[!-~]{1,16}"),
            manufacturer in "[^\0]{0,7}[^\0 ]",
        ) {
            let uri = TokenUri { token, serial, manufacturer: Some(manufacturer), model: None };
            prop_assert_eq!(uri.to_string().parse::<TokenUri>(), Ok(uri));
        }

        #[test]
        fn any_text_is_answered_without_panic(text in ".{0,200}") {
            let _ = parse(&text);
            let _ = parse(&format!("pkcs11:{text}"));
        }

        #[test]
        fn every_byte_of_an_id_may_be_percent_encoded(id in proptest::collection::vec(any::<u8>(), 0..20)) {
            let id: String = id.iter().map(|byte| format!("%{byte:02X}")).collect();
            let uri = format!("pkcs11:token=a;id={id}");
            prop_assert!(parse(&uri).is_ok());
        }
    }
}
