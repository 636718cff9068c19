//! The Content-Type and Content-Disposition fields and their parameters (RFC 2045, section 5.1; RFC 2231).

use crate::mime::parameter::{Parameters, is_token_byte, skip_comments};

/// What an entity is, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// `type/subtype` in lower case.
    pub media_type: String,
    params: Parameters,
}

impl Default for ContentType {
    fn default() -> Self {
        Self {
            media_type: "text/plain".to_owned(),
            params: Parameters::default(),
        }
    }
}

impl ContentType {
    /// Value of the parameter `name`, decoded; case of the name does not matter. The first one counts.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.named(name)
    }

    /// Reads the value of a Content-Type field; `None` if it has no `type/subtype`.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (kind, rest) = token(value)?;
        let (subtype, rest) = token(skip_comments(rest).strip_prefix('/')?)?;
        Some(Self {
            media_type: format!("{kind}/{subtype}").to_ascii_lowercase(),
            params: Parameters::parse(rest),
        })
    }

    /// What an entity without a Content-Type is in a multipart/digest.
    pub(crate) fn message() -> Self {
        Self {
            media_type: "message/rfc822".to_owned(),
            params: Parameters::default(),
        }
    }

    /// The top-level type: what stands before the slash.
    pub(crate) fn kind(&self) -> &str {
        self.media_type.split('/').next().unwrap_or_default()
    }
}

/// The parameter `filename` of a Content-Disposition field.
pub(crate) fn disposition_file_name(value: &str) -> Option<String> {
    let (_, rest) = token(value)?;
    Parameters::parse(rest).named("filename").map(str::to_owned)
}

fn token(text: &str) -> Option<(&str, &str)> {
    let text = skip_comments(text);
    let end = text.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(text.len());
    let (token, rest) = text.split_at_checked(end)?;
    (!token.is_empty()).then_some((token, rest))
}
