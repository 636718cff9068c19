//! The request side of a streaming call, made so that a message that breaks off can never be taken for a whole one.
//!
//! gRPC says "the message is complete" by half-closing, and that is also what hyper does when the stream of requests ends
//! because its sender was dropped, even if the call itself was given up. So the stream here has an end of its own,
//! [`Item::End`]: if the sender goes without it, the encoder fails, and hyper resets the stream.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

use super::CHUNK_LEN;

/// What the caller's task hands to the connection's.
pub(super) enum Item<Q> {
    /// One request.
    Request(Q),
    /// The message is complete.
    End,
}

/// A request, or the news that there will never be an end.
pub(super) struct RequestOrBreak<Q>(Option<Q>);

/// The requests of one call.
pub(super) struct Requests<Q>(pub(super) mpsc::Receiver<Item<Q>>);

impl<Q> Stream for Requests<Q> {
    type Item = RequestOrBreak<Q>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<RequestOrBreak<Q>>> {
        self.0.poll_recv(context).map(|item| match item {
            Some(Item::Request(request)) => Some(RequestOrBreak(Some(request))),
            Some(Item::End) => None,
            None => Some(RequestOrBreak(None)),
        })
    }
}

/// Protobuf both ways, with requests that may break off.
pub(super) struct MailCodec<Q, P>(PhantomData<fn() -> (Q, P)>);

impl<Q, P> MailCodec<Q, P> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<Q: Message + Default + 'static, P: Message + Default + 'static> Codec for MailCodec<Q, P> {
    type Encode = RequestOrBreak<Q>;
    type Decode = P;
    type Encoder = MailEncoder<Q>;
    type Decoder = ProstDecoder<P>;

    fn encoder(&mut self) -> MailEncoder<Q> {
        MailEncoder(PhantomData)
    }

    fn decoder(&mut self) -> ProstDecoder<P> {
        ProstDecoder::new(buffers())
    }
}

/// See [`MailCodec`].
pub(super) struct MailEncoder<Q>(PhantomData<fn() -> Q>);

impl<Q: Message> Encoder for MailEncoder<Q> {
    type Item = RequestOrBreak<Q>;
    type Error = Status;

    fn encode(&mut self, item: RequestOrBreak<Q>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let Some(request) = item.0 else {
            return Err(Status::cancelled("the message broke off"));
        };
        request
            .encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// One request fills a buffer, and goes out at once.
fn buffers() -> BufferSettings {
    const ROOM_FOR_A_CHUNK: usize = CHUNK_LEN + 64;
    BufferSettings::new(ROOM_FOR_A_CHUNK, CHUNK_LEN / 4)
}
