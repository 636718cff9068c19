//! The octets in which a PIN was brought: kept with the request until it is known whether there is a PIN in them, and then
//! handed to the connection, which wipes them at its end.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};

use crate::listen::{ConnectInfo, Secrets};
use crate::sync::lock;

/// The methods whose messages may carry a PIN, but for `AgentService.Attend`, whose connection lasts as long as its agent.
const WITH_PIN: [&str; 7] = [
    "/chancery.v1.KeyService/Agree",
    "/chancery.v1.KeyService/Decrypt",
    "/chancery.v1.KeyService/Sign",
    "/chancery.v1.MailService/Decrypt",
    "/chancery.v1.MailService/Sign",
    "/chancery.v1.TokenService/ChangePin",
    "/chancery.v1.TokenService/UnlockToken",
];

/// Of a stream, the options are in its first octets. Pieces are kept until so many have come, the last of them whole.
const FIRST: usize = 4 << 10;

/// A PIN is not looked for beyond that length.
const LONGEST: usize = 256;

/// What has come of a request; in its extensions.
#[derive(Clone, Default)]
struct Brought(Arc<Mutex<Vec<Bytes>>>);

/// Where what a request has brought is wiped.
pub(super) struct Confidence(Option<(Brought, Secrets)>);

impl Confidence {
    /// That of a request.
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Self {
        let extensions = request.extensions();
        let brought = extensions.get::<Brought>().cloned();
        let secrets = extensions.get::<ConnectInfo>().map(|info| info.secrets.clone());
        Self(brought.zip(secrets))
    }

    /// If there are PINs in a message, their octets are wiped when the connection has ended, which it will before long.
    pub(super) fn wipe_if(&self, pins: &[&[u8]]) {
        if pins.iter().any(|pin| !pin.is_empty())
            && let Some((Brought(octets), secrets)) = &self.0
        {
            let mut octets = std::mem::take(&mut *lock(octets));
            // Not the rest of a long message: every piece has a whole buffer.
            octets.retain(|piece| pins.iter().any(|pin| may_have(piece, pin)));
            secrets.keep(octets);
        }
    }

    /// The same for a message whose own memory is held by more than the PIN: by other fields, or by a stream to its end.
    pub(super) fn wipe_shared_if(&self, pin: &Bytes) {
        self.wipe_if(&[pin]);
        if !pin.is_empty()
            && let Some((_, secrets)) = &self.0
        {
            secrets.keep([pin.clone()]);
        }
    }
}

/// Whether some of a PIN is in a piece, be it that the PIN begins or ends in another one.
fn may_have(piece: &[u8], pin: &[u8]) -> bool {
    if pin.is_empty() || piece.is_empty() {
        return false;
    }
    // What is so long is no PIN, and not worth the search.
    pin.len() > LONGEST
        || piece.len() < pin.len()
        || piece.windows(pin.len()).any(|window| window == pin)
        || (1..pin.len()).any(|at| {
            let (front, back) = pin.split_at(at);
            piece.ends_with(front) || piece.starts_with(back)
        })
}

/// Keeps what comes of requests that may carry a PIN.
#[derive(Clone, Copy, Debug)]
pub struct BroughtLayer;

impl<S> Layer<S> for BroughtLayer {
    type Service = BroughtService<S>;

    fn layer(&self, inner: S) -> BroughtService<S> {
        BroughtService(inner)
    }
}

/// See [`BroughtLayer`].
#[derive(Clone, Debug)]
pub struct BroughtService<S>(S);

impl<S, B> Service<Request<B>> for BroughtService<S>
where
    S: Service<Request<Kept<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let path = request.uri().path();
        let brought = WITH_PIN.contains(&path).then(Brought::default);
        let room = if path.contains("MailService") {
            FIRST
        } else {
            usize::MAX
        };
        if let Some(brought) = &brought {
            request.extensions_mut().insert(brought.clone());
        }
        self.0.call(request.map(|body| Kept { body, brought, room }))
    }
}

/// A request's content, kept while it passes.
pub struct Kept<B> {
    body: B,
    brought: Option<Brought>,
    room: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Kept<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(Brought(octets)), Some(Ok(frame))) = (&self.brought, &frame)
            && let Some(piece) = frame.data_ref()
        {
            lock(octets).push(piece.clone());
            self.room = self.room.saturating_sub(piece.len());
            if self.room == 0 {
                self.brought = None;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::may_have;

    #[test]
    fn a_piece_with_some_of_a_pin_is_told_from_one_without() {
        for piece in ["pin 1234 more", "1234", "its beginning 12", "34 its end", "23", "4"] {
            assert!(may_have(piece.as_bytes(), b"1234"), "{piece}");
        }
        for piece in ["nothing of it", "12 or 34 amid", " 2341 "] {
            assert!(!may_have(piece.as_bytes(), b"1234"), "{piece}");
        }
        assert!(!may_have(b"any", b""));
        assert!(!may_have(b"", b"1234"));
        assert!(may_have(b"any", &[b'1'; 1000]), "too long to be looked for");
    }
}
