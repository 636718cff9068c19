//! The header fields that the outside of each kind of S/MIME message carries (RFC 8551, sections 3.2, 3.2.1 and 3.5.3).

/// What an application/pkcs7-mime entity holds: its smime-type parameter (RFC 8551, section 3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SmimeType {
    /// SignedData with its content.
    SignedData,
    /// EnvelopedData.
    EnvelopedData,
    /// AuthEnvelopedData.
    AuthEnvelopedData,
    /// CompressedData.
    CompressedData,
    /// SignedData with certificates alone.
    CertsOnly,
}

impl SmimeType {
    /// Value of the smime-type parameter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SignedData => "signed-data",
            Self::EnvelopedData => "enveloped-data",
            Self::AuthEnvelopedData => "authEnveloped-data",
            Self::CompressedData => "compressed-data",
            Self::CertsOnly => "certs-only",
        }
    }

    /// Reads the value of an smime-type parameter. Case does not matter.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::SignedData,
            Self::EnvelopedData,
            Self::AuthEnvelopedData,
            Self::CompressedData,
            Self::CertsOnly,
        ]
        .into_iter()
        .find(|known| known.name().eq_ignore_ascii_case(name.trim()))
    }

    /// Name that the attachment gets where S/MIME is not known.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::SignedData | Self::EnvelopedData | Self::AuthEnvelopedData => "smime.p7m",
            Self::CompressedData => "smime.p7z",
            Self::CertsOnly => "smime.p7c",
        }
    }
}

/// Content-Type of a multipart/signed message and the blank line. `micalg` is one name or several with commas between
/// them, `boundary` must not need escaping in a quoted string.
#[must_use]
pub fn clear_signed_header(micalg: &str, boundary: &str) -> Vec<u8> {
    format!(
        "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n\
         \tmicalg=\"{micalg}\"; boundary=\"{boundary}\"\r\n\
         \r\n"
    )
    .into_bytes()
}

/// Fields of an application/pkcs7-mime message in base64, and the blank line.
#[must_use]
pub fn opaque_header(smime_type: SmimeType) -> Vec<u8> {
    let file_name = smime_type.file_name();
    format!(
        "Content-Type: application/pkcs7-mime; smime-type={};\r\n\
         \tname=\"{file_name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"{file_name}\"\r\n\
         \r\n",
        smime_type.name()
    )
    .into_bytes()
}

/// Fields of the second part of a multipart/signed message, in base64, and the blank line.
#[must_use]
pub fn signature_part_header() -> Vec<u8> {
    b"Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n\
      Content-Transfer-Encoding: base64\r\n\
      Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\
      Content-Description: S/MIME Cryptographic Signature\r\n\
      \r\n"
        .to_vec()
}
