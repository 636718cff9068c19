//! One streaming call: sending and receiving at the same time, with at most a few chunks in between.
//!
//! ```text
//! Source ──► pump ──► channel of 4 ──► tonic ══► chanceryd ══► tonic ──► drain ──► Sink
//! ```
//!
//! Both halves run in the caller's task, so that dropping the future cancels the call, and neither outlives it.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;

use super::wire::{Item, MailCodec, Requests};
use super::{CHUNK_LEN, Sink, Source};
use crate::transport::Repeating;
use crate::{Breach, Error};

/// Chunks that have been read and not yet sent.
const QUEUE_LEN: usize = 4;

/// A request of one of the streaming calls.
pub(super) trait Request: Message + Default + Send + 'static {
    /// The method that takes it.
    const PATH: &'static str;
    /// What the method answers.
    type Response: Piece;
    /// A request that carries content alone.
    fn content(content: Bytes) -> Self;
}

/// A response of one of the streaming calls.
pub(super) trait Piece: Message + Default + Send + 'static {
    type Report;
    fn into_parts(self) -> (Bytes, Option<Self::Report>);
}

/// Calls the method: sends `first` and then the source, and writes what comes back into the sink, until the report.
pub(super) async fn transfer<Q: Request>(
    channel: Repeating,
    first: Q,
    mut source: impl Source,
    mut sink: impl Sink,
) -> Result<<Q::Response as Piece>::Report, Error> {
    let (sender, receiver) = mpsc::channel(QUEUE_LEN);
    let complete = AtomicBool::new(false);
    let pump = async {
        let (mut scratch, mut rest) = (BytesMut::new(), Bytes::new());
        let mut request = first;
        // Sending fails when the call is over. What came of it is known to the other half.
        while sender.send(Item::Request(request)).await.is_ok() {
            if rest.is_empty() {
                rest = source.next(&mut scratch).await.map_err(Error::Read)?;
            }
            if rest.is_empty() {
                complete.store(true, Ordering::Relaxed);
                let _over = sender.send(Item::End).await;
                break;
            }
            request = Q::content(rest.split_to(rest.len().min(CHUNK_LEN)));
        }
        Ok(())
    };

    let drain = async {
        let mut client = Grpc::new(channel);
        client.ready().await.map_err(Status::from_error)?;
        let request = tonic::Request::new(Requests(receiver));
        let codec = MailCodec::<Q, Q::Response>::new();
        let mut responses = client
            .streaming(request, PathAndQuery::from_static(Q::PATH), codec)
            .await?
            .into_inner();
        while let Some(piece) = responses.message().await? {
            let (content, report) = piece.into_parts();
            if !content.is_empty() {
                sink.put(content).await.map_err(Error::Write)?;
            }
            let Some(report) = report else { continue };
            if !complete.load(Ordering::Relaxed) {
                return Err(Error::Contract(Breach::EarlyReport));
            }
            // The status comes after the report, and may still be an error.
            if responses.message().await?.is_some() {
                return Err(Error::Contract(Breach::AfterReport));
            }
            sink.finish().await.map_err(Error::Write)?;
            return Ok(report);
        }
        Err(Error::Contract(Breach::NoReport))
    };

    let ((), report) = tokio::try_join!(pump, drain)?;
    Ok(report)
}
