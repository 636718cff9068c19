//! `MailService.Verify`: the checks of a signed message. No private key is used, and no grant is needed.

use bytes::Bytes;
use chancery_smime::report::SignedReport;
use chancery_smime::verify::{self as smime, Content, Verifying};
use tokio_stream::Stream;

use super::pipeline::{self, Sink, Source};
use super::{Context, OpError, smime_error};

/// Checks what comes from `content`. The signed content goes to `sink` if `return_content` says so, before the verdict.
///
/// # Errors
///
/// [`OpError::WrongKind`] for what is not signed, [`OpError::Malformed`] and [`OpError::Limit`] for what cannot be read. A
/// signature that does not verify is no error but a verdict.
pub async fn verify<S>(context: &Context, return_content: bool, content: S, sink: Sink) -> Result<SignedReport, OpError>
where
    S: Stream<Item = Result<Bytes, OpError>> + Unpin,
{
    let settings = &context.settings;
    let machine = Verifying::begin(smime::Options {
        content: if return_content {
            Content::Emit
        } else {
            Content::Discard
        },
        limits: settings.limits.clone(),
    });
    let mut source = Source::new(content, settings.message_bytes);
    let (machine, mut out) = pipeline::run(&mut source, &sink, machine, |machine, input, out| {
        machine.push(input, out).map_err(smime_error::verify)
    })
    .await?;
    // The signatures are checked at the end, with public keys: that is work for a blocking thread.
    let finish = move || {
        machine
            .finish(&mut out)
            .map(|report| (report, out))
            .map_err(smime_error::verify)
    };
    let (report, out) = pipeline::crunch(usize::MAX, finish).await??;
    sink.send(out).await?;
    Ok(report)
}
