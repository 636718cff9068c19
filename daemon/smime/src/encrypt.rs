//! Encrypting: a message or bare MIME entity in, an application/pkcs7-mime message out (RFC 8551, section 3.3), with
//! EnvelopedData (CBC) or AuthEnvelopedData (GCM) of indefinite length, in constant memory. Outer header fields stay
//! outside, Content-* moves inside.
//!
//! Who may encrypt, and whether a certificate can be trusted or has expired, is not decided here; what keyUsage allows is.

mod layer;

use rand_core::CryptoRng;

use self::layer::EncryptedLayer;
use crate::algorithm::{ContentEncryptionAlgorithm, KeyManagementAlgorithm};
use crate::certificate::Certificate;
use crate::limits::Limits;
use crate::mime::{EightBit, EntityMaker, MimeError, opaque_header};
pub use crate::recipient::RecipientError;

/// One who will be able to decrypt.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// The certificate with the key to encrypt to.
    pub certificate: Certificate,
    /// How the content-encryption key gets there; if not given, RSA-OAEP for RSA keys and ECDH for the others.
    pub key_management: Option<KeyManagementAlgorithm>,
}

/// What to encrypt to, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The recipients; a certificate that stands here twice counts once.
    pub recipients: Vec<Recipient>,
    /// How the content is encrypted.
    pub content_encryption: ContentEncryptionAlgorithm,
    /// Bounds on header section, nesting and number of recipients.
    pub limits: Limits,
}

/// A message that is being encrypted.
pub struct Encrypting {
    maker: EntityMaker,
    layer: EncryptedLayer,
    /// The part of the entity made from one piece of input.
    entity: Vec<u8>,
    header_written: bool,
    content_length: u64,
    key_managements: Vec<KeyManagementAlgorithm>,
}

/// A message has been encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    /// Length of the content, the MIME entity inside, in octets.
    pub content_length: u64,
    /// How the key was managed for each recipient, in the order of the options.
    pub key_managements: Vec<KeyManagementAlgorithm>,
}

/// Why a message cannot be encrypted. Trying again with the same input does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// Nobody could read the message.
    #[error("a message cannot be encrypted without recipients")]
    NoRecipients,
    /// More recipients than the limit.
    #[error("{count} recipients are more than the {limit} allowed")]
    TooManyRecipients {
        /// How many were given.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A certificate that nothing can be encrypted to, or not in the way asked for.
    #[error("cannot encrypt to the certificate {certificate}: {source}")]
    Recipient {
        /// The certificate's subject and serial number.
        certificate: String,
        /// What is wrong with it.
        source: RecipientError,
    },
    /// More content than AES-GCM can take under one key and nonce (64 GiB).
    #[error("the content is longer than AES-GCM allows (64 GiB); choose AES-CBC or send it in parts")]
    ContentTooLong,
    /// The message is malformed as MIME.
    #[error(transparent)]
    Mime(#[from] MimeError),
    /// A structure could not be encoded. It is made from values of fixed shape, so this is a mistake in the program.
    #[error("the message around the encrypted content could not be encoded")]
    Encoding(#[from] der::Error),
}

impl Encrypting {
    /// Makes the content-encryption key and hands it to every recipient.
    ///
    /// # Errors
    /// [`EncryptError::NoRecipients`], [`EncryptError::TooManyRecipients`], and [`EncryptError::Recipient`], which names
    /// the first certificate that cannot be used.
    pub fn begin(options: Options, rng: &mut impl CryptoRng) -> Result<Self, EncryptError> {
        let Options {
            recipients,
            content_encryption,
            limits,
        } = options;
        if recipients.is_empty() {
            return Err(EncryptError::NoRecipients);
        }
        if recipients.len() > limits.recipients {
            return Err(EncryptError::TooManyRecipients {
                count: recipients.len(),
                limit: limits.recipients,
            });
        }
        let (layer, key_managements) = EncryptedLayer::begin(&recipients, content_encryption, rng)?;
        Ok(Self {
            maker: EntityMaker::new(EightBit::Keep, &limits),
            layer,
            entity: Vec::new(),
            header_written: false,
            content_length: 0,
            key_managements,
        })
    }

    /// Takes more of the message, and appends to `out` what is ready of the encrypted one.
    ///
    /// # Errors
    /// [`EncryptError::Mime`] if the message is malformed, [`EncryptError::ContentTooLong`].
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), EncryptError> {
        self.maker.push(input, &mut self.entity)?;
        self.encrypt_entity(out)
    }

    /// The message is complete: appends the rest.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Encrypted, EncryptError> {
        self.maker.end(&mut self.entity)?;
        self.encrypt_entity(out)?;
        self.layer.finish(out);
        Ok(Encrypted {
            content_length: self.content_length,
            key_managements: self.key_managements,
        })
    }

    fn encrypt_entity(&mut self, out: &mut Vec<u8>) -> Result<(), EncryptError> {
        if !self.header_written {
            let Some(outer_header) = self.maker.outer_header() else {
                return Ok(());
            };
            out.extend_from_slice(outer_header);
            out.extend_from_slice(b"MIME-Version: 1.0\r\n");
            out.extend_from_slice(&opaque_header(self.layer.smime_type()));
            self.header_written = true;
        }
        self.content_length = self.content_length.saturating_add(self.entity.len() as u64);
        self.layer.update(&self.entity, out)?;
        self.entity.clear();
        Ok(())
    }
}

impl std::fmt::Debug for Encrypting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encrypting")
            .field("key_managements", &self.key_managements)
            .finish_non_exhaustive()
    }
}
