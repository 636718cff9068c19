//! `MailService.Decrypt`: an encrypted message, opened with one operation on one private key.
//!
//! Content that is authenticated is held, as ciphertext, until its tag has been checked. Content that is not comes out at
//! once; if its end turns out wrong, the call ends with the one decryption error.

mod recipient;

use std::pin::pin;

use bytes::Bytes;
use chancery_smime::algorithm::{ContentEncryptionAlgorithm, KeyManagementAlgorithm};
use chancery_smime::decrypt::{Decrypting, Finished, KeyRequest, Opened, Output, Progress, Release};
use chancery_token::{Pin, Priority};
use tokio_stream::Stream;

use super::pipeline::{self, Sink, Source};
use super::{Call, Context, OpError, smime_error};
use crate::spool::{Spool, SpoolReader};

/// Ciphertext that is released at once, in bytes.
const RELEASE: usize = 256 * 1024;

/// How to decrypt.
#[derive(Debug)]
pub struct Options {
    /// The keys of this addr-spec alone; if absent, every key that the caller may decrypt with.
    pub identity: Option<String>,
    /// Which queue to wait in; if absent, the configured one.
    pub priority: Option<Priority>,
    /// The PIN, if one came with the call.
    pub pin: Option<Pin>,
}

/// What was opened, and with what.
#[derive(Debug)]
pub struct Report {
    /// How the content was protected.
    pub content_encryption: ContentEncryptionAlgorithm,
    /// Whether the content was authenticated.
    pub authenticated: bool,
    /// The key's name without `keys/`.
    pub key: String,
    /// The token's name.
    pub token: String,
    /// How the key reached the recipient.
    pub key_management: KeyManagementAlgorithm,
    /// Recipients of the message, known or not.
    pub recipient_count: usize,
}

/// Opens what comes from `content`; the decrypted message goes to `sink`.
///
/// # Errors
///
/// [`OpError::NoDecryptionKey`] if no recipient is a key that the caller may decrypt with, [`OpError::DecryptionFailed`] for
/// everything that a private key had a part in, [`OpError::Malformed`] and its like for what is wrong with the public bytes,
/// and what the token, the audit trail and the spool answer.
pub async fn decrypt<S>(
    context: &Context,
    call: &Call,
    options: Options,
    content: S,
    sink: Sink,
) -> Result<Report, OpError>
where
    S: Stream<Item = Result<Bytes, OpError>> + Unpin,
{
    let settings = &context.settings;
    let keys = recipient::Keys::for_call(context, call, &options).await?;
    let mut source = Source::new(content, settings.message_bytes);
    let mut opening = Opening {
        machine: Decrypting::begin(settings.limits.clone()),
        output: Output::default(),
        spool: Spool::new(settings.spool.clone()),
    };
    let mut used = None;
    let mut batch = source.next().await?;
    while let Some(pieces) = batch {
        let work = async {
            let mut rest = pieces;
            loop {
                let (back, stop) = opening.push(rest).await?;
                opening = back;
                if opening.output.plaintext.len() >= pipeline::GATHERED {
                    sink.send(opening.take()).await?;
                }
                let Some((request, behind)) = stop else { break };
                let (key, by) = keys.content_key(request).await?;
                opening
                    .machine
                    .answer(key, &mut opening.output)
                    .map_err(smime_error::decrypt)?;
                used = Some(by);
                rest = behind;
            }
            Ok::<_, OpError>(opening)
        };
        let mut next = pin!(source.next());
        let (done, read) = pipeline::while_reading(sink.turn().at_work(work), next.as_mut()).await;
        opening = done?;
        batch = match read {
            Some(next) => next?,
            None => {
                sink.send(opening.take()).await?;
                next.await?
            }
        };
    }
    let opened = opening.finish(&sink).await?;
    let used = used.ok_or_else(|| OpError::Internal("a message was opened without a key".to_owned()))?;
    Ok(Report {
        content_encryption: opened.content_encryption,
        authenticated: opened.authenticated,
        key: used.key,
        token: used.token,
        key_management: used.key_management,
        recipient_count: opened.recipient_count,
    })
}

/// A message on its way through.
struct Opening {
    machine: Decrypting,
    output: Output,
    spool: Spool,
}

/// The key that is needed now, and the pieces that were not yet looked at.
type Stop = Option<(KeyRequest, Vec<Bytes>)>;

impl Opening {
    /// Pushes `pieces` until they are through or a key is needed.
    async fn push(mut self, pieces: Vec<Bytes>) -> Result<(Self, Stop), OpError> {
        let len = pieces.iter().map(Bytes::len).sum();
        pipeline::crunch(len, move || {
            let mut pieces = pieces.into_iter();
            while let Some(piece) = pieces.next() {
                let progress = self
                    .machine
                    .push(&piece, &mut self.output)
                    .map_err(smime_error::decrypt)?;
                self.hold()?;
                if let Progress::NeedsKey(request) = progress {
                    return Ok((self, Some((request, pieces.collect()))));
                }
            }
            Ok((self, None))
        })
        .await?
    }

    /// Puts ciphertext that waits for its tag away.
    fn hold(&mut self) -> Result<(), OpError> {
        self.spool.push(&self.output.held)?;
        self.output.held.clear();
        Ok(())
    }

    /// What may be released.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output.plaintext)
    }

    /// Checks the end; what was held is released if its tag is right.
    async fn finish(self, sink: &Sink) -> Result<Opened, OpError> {
        let Self {
            machine,
            mut output,
            mut spool,
        } = self;
        let (finished, plaintext, spool) = pipeline::crunch(usize::MAX, move || {
            let finished = machine.finish(&mut output).map_err(smime_error::decrypt)?;
            spool.push(&output.held)?;
            Ok::<_, OpError>((finished, output.plaintext, spool))
        })
        .await??;
        match finished {
            Finished::Done(opened) => {
                sink.send(plaintext).await?;
                Ok(opened)
            }
            Finished::Release(release) => {
                sink.send(plaintext).await?;
                let held = Held {
                    release,
                    reader: spool.into_reader()?,
                    buffer: Vec::new(),
                };
                held.release(sink).await
            }
        }
    }
}

/// Ciphertext whose tag has been checked.
struct Held {
    release: Release,
    reader: SpoolReader,
    buffer: Vec<u8>,
}

impl Held {
    async fn release(mut self, sink: &Sink) -> Result<Opened, OpError> {
        let mut ready = Vec::new();
        loop {
            let next = pipeline::crunch(RELEASE, move || self.next());
            let (sent, next) = tokio::join!(sink.send(ready), next);
            sent?;
            let (held, plaintext) = next??;
            if held.buffer.is_empty() {
                return Ok(held.release.finish());
            }
            (self, ready) = (held, plaintext);
        }
    }

    /// The next piece of plaintext; the buffer is empty at the end.
    fn next(mut self) -> Result<(Self, Vec<u8>), OpError> {
        self.reader.read(RELEASE, &mut self.buffer)?;
        let mut plaintext = Vec::with_capacity(self.buffer.len());
        self.release
            .push(&self.buffer, &mut plaintext)
            .map_err(smime_error::decrypt)?;
        Ok((self, plaintext))
    }
}
