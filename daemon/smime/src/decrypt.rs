//! Decrypting: an application/pkcs7-mime message or a bare CMS object in, the message inside out. Sans-IO: it asks for the
//! content-encryption key when the recipients have been read, and never sees a private key.
//!
//! ```text
//!   push … ──► Progress::NeedsKey(request) ── the private key does request.candidates[i].operation() ──► answer(key)
//!          ──► push … ──► finish ──► Finished::Done                       CBC: plaintext came as it was decrypted
//!                               └──► Finished::Release                    GCM: now that the tag is right, push what was held
//! ```
//!
//! Everything that depends on a secret and goes wrong is one error, [`DecryptError::Failed`]. What else can go wrong depends
//! on public octets alone.

mod layer;
mod sink;

use const_oid::ObjectIdentifier;

use self::layer::EnvelopedReader;
use self::sink::Sink;
use crate::algorithm::ContentEncryptionAlgorithm;
use crate::ber::{BerError, CmsReader};
pub use crate::cipher::{ContentKey, ParametersError};
use crate::cipher::{ContentTooLong, CtrDecryptor};
use crate::limits::Limits;
use crate::mime::{EntityReader, MimeError};
pub use crate::recipient::{Candidate, KeyRequest, MalformedRecipient, RsaScheme, TokenOperation};

/// What comes out of [`Decrypting`]; the caller takes both after each call.
#[derive(Debug, Default)]
pub struct Output {
    /// To be released to the one who asked.
    pub plaintext: Vec<u8>,
    /// Ciphertext to be kept, in order, until [`Finished::Release`]; then it goes into [`Release::push`]. It is as public
    /// as the message was.
    pub held: Vec<u8>,
}

/// A message that is being decrypted.
#[derive(Debug)]
pub struct Decrypting {
    entity: EntityReader,
    cms: CmsReader,
    layer: EnvelopedReader,
    limits: Limits,
}

/// What a message needs to go on.
#[derive(Debug)]
pub enum Progress {
    /// More of it.
    NeedsInput,
    /// Its content-encryption key, by [`Decrypting::answer`], before anything else.
    NeedsKey(KeyRequest),
}

/// A message has been read to its end.
#[derive(Debug)]
pub enum Finished {
    /// Everything has been decrypted (CBC). Nothing vouches for it: see [`Opened::authenticated`].
    Done(Opened),
    /// The tag is right (GCM): everything that was held can be decrypted now.
    Release(Release),
}

/// Decrypts what was held.
pub struct Release {
    decryptor: Box<CtrDecryptor>,
    opened: Opened,
}

/// What is known about a message that has been decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// How the content was encrypted.
    pub content_encryption: ContentEncryptionAlgorithm,
    /// Whether a change to the ciphertext would have been found out (GCM).
    pub authenticated: bool,
    /// The number of recipients, of whatever kind.
    pub recipient_count: usize,
}

/// Why a message cannot be decrypted. Trying again does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The key does not fit or the content was changed: the tag, the padding, or the unwrapped key is wrong. Which of them
    /// is not told (RFC 3218).
    #[error("the message cannot be decrypted with this key")]
    Failed,
    /// The message is malformed as MIME, or no S/MIME message.
    #[error(transparent)]
    MalformedMime(#[from] MimeError),
    /// The CMS object is malformed or truncated.
    #[error(transparent)]
    MalformedCms(#[from] BerError),
    /// The recipients cannot be read.
    #[error("the recipients of the message cannot be read: {0}")]
    MalformedRecipients(#[from] MalformedRecipient),
    /// The algorithm or the parameters of content encryption cannot be used.
    #[error("the content of the message cannot be decrypted: {0}")]
    ContentEncryption(#[from] ParametersError),
    /// GCM belongs into AuthEnvelopedData, CBC into EnvelopedData; anything else is a downgrade or a mistake.
    #[error("{0} does not belong into this kind of CMS object")]
    Misplaced(ContentEncryptionAlgorithm),
    /// A small element is not what it should be.
    #[error("the {element} of the encrypted message cannot be read")]
    MalformedElement {
        /// The element by its name in the standard.
        element: &'static str,
        /// What the DER reader found.
        source: der::Error,
    },
    /// More content than AES-GCM can have under one key and nonce (64 GiB).
    #[error("the content is longer than AES-GCM allows (64 GiB)")]
    ContentTooLong,
    /// An element that the kind of CMS object needs is missing.
    #[error("the encrypted message has no {element}")]
    Missing {
        /// The element by its name in the standard.
        element: &'static str,
    },
    /// The tag of AES-GCM has another length than the parameters say.
    #[error("the authentication tag is {found} octets long instead of {expected}")]
    TagLength {
        /// Its length in the message.
        found: usize,
        /// Its length by the parameters.
        expected: usize,
    },
    /// The CMS object is not an encrypted one.
    #[error("the message is not encrypted: its CMS content type is {found}")]
    NotEncrypted {
        /// The content type.
        found: ObjectIdentifier,
    },
    /// A multipart/signed message is not encrypted.
    #[error("the message is signed and not encrypted (multipart/signed)")]
    MultipartSigned,
    /// What is inside is not a MIME entity (id-data).
    #[error("the content inside the encrypted message is of type {found}, not data")]
    UnsupportedContent {
        /// The content type.
        found: ObjectIdentifier,
    },
    /// The caller went on before it answered a [`KeyRequest`], or answered one that was not made.
    #[error("the content-encryption key was not given when it was asked for")]
    KeyNotAnswered,
}

impl Decrypting {
    /// At the beginning of a message.
    #[must_use]
    pub fn begin(limits: Limits) -> Self {
        Self {
            entity: EntityReader::new(&limits),
            cms: CmsReader::new(&limits),
            layer: EnvelopedReader::default(),
            limits,
        }
    }

    /// Takes more of the message. After [`Progress::NeedsKey`] the next call must be [`answer`](Self::answer); what is left
    /// of the input is kept inside.
    ///
    /// # Errors
    /// Any [`DecryptError`] but [`DecryptError::Failed`].
    pub fn push(&mut self, input: &[u8], out: &mut Output) -> Result<Progress, DecryptError> {
        if self.layer.awaits_key() {
            return Err(DecryptError::KeyNotAnswered);
        }
        let Self {
            entity,
            cms,
            layer,
            limits,
        } = self;
        entity.push(
            input,
            &mut Sink {
                cms,
                layer,
                limits,
                out,
            },
        )?;
        Ok(self
            .layer
            .take_request()
            .map_or(Progress::NeedsInput, Progress::NeedsKey))
    }

    /// Gives the key made by [`KeyRequest::content_key`], and decrypts what was kept.
    ///
    /// # Errors
    /// [`DecryptError::KeyNotAnswered`] if no key was asked for.
    pub fn answer(&mut self, key: ContentKey, out: &mut Output) -> Result<(), DecryptError> {
        self.layer.answer(&key, out)
    }

    /// The message is complete.
    ///
    /// # Errors
    /// [`DecryptError::Failed`] if the key or the content is wrong, and the others if the message is malformed or incomplete.
    /// What came out before must then be thrown away.
    pub fn finish(self, out: &mut Output) -> Result<Finished, DecryptError> {
        let Self {
            mut entity,
            mut cms,
            mut layer,
            limits,
        } = self;
        let mut sink = Sink {
            cms: &mut cms,
            layer: &mut layer,
            limits: &limits,
            out,
        };
        entity.end(&mut sink)?;
        sink.end()?;
        layer.finish(out)
    }
}

impl Release {
    /// Decrypts the next piece of what was held, in order, and appends it to `plaintext`.
    ///
    /// # Errors
    /// [`DecryptError::Failed`] if more is pushed than was held and the key stream ends.
    pub fn push(&mut self, held: &[u8], plaintext: &mut Vec<u8>) -> Result<(), DecryptError> {
        self.decryptor
            .update(held, plaintext)
            .map_err(|ContentTooLong| DecryptError::Failed)
    }

    /// Everything that was held has been pushed.
    #[must_use]
    pub fn finish(self) -> Opened {
        self.opened
    }
}

impl std::fmt::Debug for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Release")
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}
