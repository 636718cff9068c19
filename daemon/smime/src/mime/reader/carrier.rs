//! What an S/MIME message looks like from outside (RFC 8551, sections 3.2, 3.5 and 3.9), and what passes for one.

use crate::algorithm::DigestAlgorithm;
use crate::mime::content_type::disposition_file_name;
use crate::mime::reader::cms_body::CmsBody;
use crate::mime::{ContentType, Header, MimeError, PartName, SmimeType};

/// How a message carries its CMS object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// application/(x-)pkcs7-mime, or an attachment named `*.p7m`, or a bare CMS object.
    Cms {
        /// The smime-type parameter, if it is there and known. The CMS object itself says what it is.
        smime_type: Option<SmimeType>,
        /// Media type in lower case; `application/pkcs7-mime` for a bare CMS object.
        media_type: String,
    },
    /// multipart/signed.
    MultipartSigned {
        /// The digest algorithms that the micalg parameter names and that are known.
        micalg: Vec<DigestAlgorithm>,
        /// The protocol parameter, if it is there; it is one of S/MIME's.
        protocol: Option<String>,
    },
}

impl Carrier {
    /// A CMS object without a header section.
    pub(crate) fn bare() -> Self {
        Self::Cms {
            smime_type: None,
            media_type: "application/pkcs7-mime".to_owned(),
        }
    }

    /// What the header section of a message announces.
    pub(crate) fn of(header: &Header) -> Result<Self, MimeError> {
        header.refuse_duplicates(&PartName::default())?;
        let content_type = header.content_type();
        match content_type.media_type.as_str() {
            "multipart/signed" => Self::multipart_signed(&content_type),
            "application/pkcs7-mime" | "application/x-pkcs7-mime" => Ok(Self::cms(content_type)),
            media_type if media_type.starts_with("application/") && is_named(header, &content_type, ".p7m") => {
                Ok(Self::cms(content_type))
            }
            _ => Err(MimeError::NotSmime {
                media_type: content_type.media_type,
            }),
        }
    }

    fn cms(content_type: ContentType) -> Self {
        Self::Cms {
            smime_type: content_type.param("smime-type").and_then(SmimeType::from_name),
            media_type: content_type.media_type,
        }
    }

    fn multipart_signed(content_type: &ContentType) -> Result<Self, MimeError> {
        let protocol = content_type
            .param("protocol")
            .map(|protocol| protocol.trim().to_ascii_lowercase());
        if let Some(protocol) = protocol.as_ref().filter(|protocol| !is_signature(protocol)) {
            return Err(MimeError::Protocol {
                protocol: protocol.clone(),
            });
        }
        let micalg = content_type.param("micalg").unwrap_or_default();
        Ok(Self::MultipartSigned {
            micalg: micalg.split(',').filter_map(DigestAlgorithm::from_micalg).collect(),
            protocol,
        })
    }
}

/// The body of the second part of a multipart/signed message, given its header section.
pub(super) fn signature_body(header: &Header) -> Result<CmsBody, MimeError> {
    header.refuse_duplicates(&super::signature_part())?;
    let content_type = header.content_type();
    if !is_signature(&content_type.media_type) && !is_named(header, &content_type, ".p7s") {
        return Err(MimeError::SignaturePart {
            media_type: content_type.media_type,
        });
    }
    CmsBody::new(&header.transfer_encoding())
}

fn is_signature(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/pkcs7-signature" | "application/x-pkcs7-signature"
    )
}

fn is_named(header: &Header, content_type: &ContentType, extension: &str) -> bool {
    let file_name = header
        .field("Content-Disposition")
        .and_then(|value| disposition_file_name(&value));
    [content_type.param("name"), file_name.as_deref()]
        .into_iter()
        .flatten()
        .any(|name| name.trim_end().to_ascii_lowercase().ends_with(extension))
}
