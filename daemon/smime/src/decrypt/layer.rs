//! EnvelopedData (RFC 5652, section 6.1) and AuthEnvelopedData (RFC 5083, section 2.1) element by element: recipients and
//! algorithm lead to a key request, content is decrypted (CBC) or held (GCM), what follows is checked at the end.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911::{ID_CT_AUTH_ENVELOPED_DATA, ID_DATA, ID_ENVELOPED_DATA};
use der::Decode;
use der::asn1::OctetStringRef;

use super::{ContentKey, DecryptError, Finished, KeyRequest, Opened, Output, Release};
use crate::ber::encode::SET;
use crate::ber::{CmsVisitor, Field};
use crate::cipher::{CbcDecryptor, ContentEncryption, ContentTooLong, GcmVerifier, KeyLengthError, Mode, PaddingError};
use crate::limits::Limits;
use crate::mime::Header;
use crate::recipient::RecipientInfos;

#[derive(Debug, Default)]
pub(super) struct EnvelopedReader {
    /// The header fields that stand in front of the decrypted entity.
    outer_fields: Vec<u8>,
    /// Whether this is AuthEnvelopedData.
    authenticated: Option<bool>,
    recipients: Option<RecipientInfos>,
    recipient_count: usize,
    encryption: Option<ContentEncryption>,
    request: Option<KeyRequest>,
    content: Content,
    content_present: bool,
    auth_attrs: Vec<u8>,
    mac: Option<Vec<u8>>,
}

#[derive(Default)]
enum Content {
    /// The key has not been asked for yet.
    #[default]
    NotYet,
    /// The key has been asked for; what came in the same piece of input is kept.
    AwaitsKey(Vec<u8>),
    Cbc(Box<CbcDecryptor>),
    Gcm(Box<GcmVerifier>),
}

impl EnvelopedReader {
    /// The message's header has been read.
    pub(super) fn begin(&mut self, header: &Header) {
        if !header.raw().is_empty() {
            self.outer_fields = header.outer_fields();
            self.outer_fields.extend_from_slice(b"MIME-Version: 1.0\r\n");
        }
    }

    pub(super) const fn awaits_key(&self) -> bool {
        matches!(self.content, Content::AwaitsKey(_))
    }

    /// The request, once.
    pub(super) const fn take_request(&mut self) -> Option<KeyRequest> {
        self.request.take()
    }

    pub(super) fn answer(&mut self, key: &ContentKey, out: &mut Output) -> Result<(), DecryptError> {
        let (Content::AwaitsKey(kept), Some(encryption)) = (&mut self.content, &self.encryption) else {
            return Err(DecryptError::KeyNotAnswered);
        };
        let kept = std::mem::take(kept);
        self.content = match &encryption.mode {
            Mode::Cbc { iv } => {
                out.plaintext.append(&mut self.outer_fields);
                Content::Cbc(Box::new(
                    CbcDecryptor::new(key, iv).map_err(|KeyLengthError| DecryptError::Failed)?,
                ))
            }
            Mode::Gcm { nonce, .. } => Content::Gcm(Box::new(
                GcmVerifier::new(key, nonce).map_err(|KeyLengthError| DecryptError::Failed)?,
            )),
        };
        self.decrypt(&kept, out)
    }

    pub(super) fn finish(self, out: &mut Output) -> Result<Finished, DecryptError> {
        let encryption = self.encryption.ok_or(DecryptError::Missing {
            element: "encryptedContentInfo",
        })?;
        if !self.content_present {
            return Err(DecryptError::Missing {
                element: "encryptedContent",
            });
        }
        let opened = Opened {
            content_encryption: encryption.algorithm,
            authenticated: encryption.algorithm.is_authenticated(),
            recipient_count: self.recipient_count,
        };
        match self.content {
            Content::NotYet | Content::AwaitsKey(_) => Err(DecryptError::KeyNotAnswered),
            Content::Cbc(decryptor) => {
                decryptor
                    .finish(&mut out.plaintext)
                    .map_err(|PaddingError| DecryptError::Failed)?;
                Ok(Finished::Done(opened))
            }
            Content::Gcm(verifier) => {
                let mac = self.mac.ok_or(DecryptError::Missing { element: "mac" })?;
                check_tag_len(&encryption.mode, mac.len())?;
                let decryptor = verifier.verify(&self.auth_attrs, &mac).ok_or(DecryptError::Failed)?;
                out.plaintext.extend_from_slice(&self.outer_fields);
                Ok(Finished::Release(Release {
                    decryptor: Box::new(decryptor),
                    opened,
                }))
            }
        }
    }

    fn decrypt(&mut self, ciphertext: &[u8], out: &mut Output) -> Result<(), DecryptError> {
        match &mut self.content {
            Content::NotYet => {
                return Err(DecryptError::Missing {
                    element: "contentEncryptionAlgorithm",
                });
            }
            Content::AwaitsKey(kept) => kept.extend_from_slice(ciphertext),
            Content::Cbc(decryptor) => decryptor.update(ciphertext, &mut out.plaintext),
            Content::Gcm(verifier) => {
                verifier
                    .update(ciphertext)
                    .map_err(|ContentTooLong| DecryptError::ContentTooLong)?;
                out.held.extend_from_slice(ciphertext);
            }
        }
        Ok(())
    }

    /// Recipients and algorithm are known: asks for the key.
    fn ask(&mut self, encryption: ContentEncryption) -> Result<(), DecryptError> {
        if self.authenticated != Some(encryption.algorithm.is_authenticated()) {
            return Err(DecryptError::Misplaced(encryption.algorithm));
        }
        let RecipientInfos { candidates, count } = self.recipients.take().ok_or(DecryptError::Missing {
            element: "recipientInfos",
        })?;
        self.recipient_count = count;
        self.request = Some(KeyRequest {
            candidates,
            content_encryption: encryption.algorithm,
            recipient_count: count,
        });
        self.encryption = Some(encryption);
        self.content = Content::AwaitsKey(Vec::new());
        Ok(())
    }
}

fn malformed(field: Field) -> impl FnOnce(der::Error) -> DecryptError {
    move |source| DecryptError::MalformedElement {
        element: field.name(),
        source,
    }
}

fn check_tag_len(mode: &Mode, found: usize) -> Result<(), DecryptError> {
    match mode {
        Mode::Gcm { tag_len, .. } if *tag_len != found => Err(DecryptError::TagLength {
            found,
            expected: *tag_len,
        }),
        _ => Ok(()),
    }
}

/// The reader together with what one call lends it.
pub(super) struct Visitor<'a> {
    pub(super) layer: &'a mut EnvelopedReader,
    pub(super) limits: &'a Limits,
    pub(super) out: &'a mut Output,
}

impl CmsVisitor for Visitor<'_> {
    type Error = DecryptError;

    fn content_type(&mut self, oid: ObjectIdentifier) -> Result<(), DecryptError> {
        self.layer.authenticated = Some(match oid {
            ID_ENVELOPED_DATA => false,
            ID_CT_AUTH_ENVELOPED_DATA => true,
            found => return Err(DecryptError::NotEncrypted { found }),
        });
        Ok(())
    }

    fn element(&mut self, field: Field, der: &[u8]) -> Result<(), DecryptError> {
        match field {
            Field::RecipientInfos => self.layer.recipients = Some(RecipientInfos::read(der, self.limits)?),
            Field::ContentType => {
                let found = ObjectIdentifier::from_der(der).map_err(malformed(field))?;
                if found != ID_DATA {
                    return Err(DecryptError::UnsupportedContent { found });
                }
            }
            Field::ContentEncryptionAlgorithm => self.layer.ask(ContentEncryption::from_der(der)?)?,
            Field::AuthAttrs => {
                // RFC 5083, section 2.2: authenticated is the DER with the tag of SET OF in place of [1].
                self.layer.auth_attrs = der.to_vec();
                if let Some(tag) = self.layer.auth_attrs.first_mut() {
                    *tag = SET;
                }
            }
            Field::Mac => {
                let mac = <&OctetStringRef>::from_der(der).map_err(malformed(field))?;
                self.layer.mac = Some(mac.as_bytes().to_vec());
            }
            // Certificates of the originator, and attributes that nothing vouches for.
            _ => {}
        }
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), DecryptError> {
        self.layer.decrypt(bytes, self.out)
    }

    fn content_end(&mut self, present: bool) -> Result<(), DecryptError> {
        self.layer.content_present = present;
        Ok(())
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotYet => "NotYet",
            Self::AwaitsKey(_) => "AwaitsKey(…)",
            Self::Cbc(_) => "Cbc(…)",
            Self::Gcm(_) => "Gcm(…)",
        })
    }
}
