//! How a body is encoded (RFC 2045, section 6).

/// Value of a Content-Transfer-Encoding field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// Short lines of 7-bit text, as they are.
    SevenBit,
    /// Short lines, as they are.
    EightBit,
    /// Bytes, as they are.
    Binary,
    /// Quoted-printable.
    QuotedPrintable,
    /// Base64.
    Base64,
    /// Something else, in lower case.
    Other(String),
}

impl TransferEncoding {
    pub(crate) fn parse(value: &str) -> Self {
        let name = value
            .split([';', ' ', '\t', '('])
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match name.as_str() {
            "" | "7bit" | "7-bit" => Self::SevenBit,
            "8bit" | "8-bit" => Self::EightBit,
            "binary" => Self::Binary,
            "quoted-printable" => Self::QuotedPrintable,
            "base64" => Self::Base64,
            _ => Self::Other(name),
        }
    }
}

impl std::fmt::Display for TransferEncoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
            Self::Other(name) => name,
        })
    }
}
