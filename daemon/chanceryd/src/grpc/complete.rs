//! The edge of every answer. What gRPC's own machinery refuses, before a handler has seen it or instead of one, it refuses with a
//! bare code: here such a status gets its reason, and deadlines and the size of metadata are watched, so that those have one too.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;
use tower::{Layer, Service};

use super::answer::Taken;
use super::{call, errors};
use crate::listen::{ConnectInfo, Running};
use crate::ops::{Invalid, OpError};
use crate::request_id::RequestId;

/// What each field costs beside its name and value (RFC 9113, section 6.5.2).
const FIELD: usize = 32;

/// Completes statuses.
#[derive(Clone, Copy, Debug)]
pub struct StatusLayer {
    metadata_bytes: usize,
}

impl StatusLayer {
    /// Requests may have so many bytes of metadata.
    #[must_use]
    pub fn new(metadata_bytes: u32) -> Self {
        Self {
            metadata_bytes: usize::try_from(metadata_bytes).unwrap_or(usize::MAX),
        }
    }
}

impl<S> Layer<S> for StatusLayer {
    type Service = StatusService<S>;

    fn layer(&self, inner: S) -> StatusService<S> {
        StatusService { inner, layer: *self }
    }
}

/// See [`StatusLayer`].
#[derive(Clone, Debug)]
pub struct StatusService<S> {
    inner: S,
    layer: StatusLayer,
}

impl<S, B, R> Service<Request<B>> for StatusService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Default + Send + 'static,
{
    type Response = Response<Completed<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let id = RequestId::in_extensions(request.extensions());
        let limit = self.layer.metadata_bytes;
        if size(request.headers()) > limit {
            let error = OpError::Invalid(Invalid::MetadataTooLarge { limit });
            return Box::pin(async move { Ok(refusal(&error, id)) });
        }
        let deadline = call::deadline(request.headers());
        let info = request.extensions().get::<ConnectInfo>();
        let running = info.map(|info| info.secrets.running());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = match deadline {
                None => answer.await,
                Some(deadline) => match tokio::time::timeout_at(deadline.into(), answer).await {
                    Ok(answer) => answer,
                    Err(_) => return Ok(refusal(&OpError::DeadlineExceeded, id)),
                },
            };
            let mut response = answer?;
            // An error without content stands where other answers have their headers.
            complete(response.headers_mut(), false, &id);
            let taken = response.extensions_mut().remove();
            Ok(response.map(|body| Completed {
                body,
                id,
                _running: running,
                taken,
            }))
        })
    }
}

fn refusal<R: Default>(error: &OpError, id: RequestId) -> Response<Completed<R>> {
    let response: Response<R> = errors::status(error, id.as_str()).into_http();
    response.map(|body| Completed {
        body,
        id,
        _running: None,
        taken: None,
    })
}

fn size(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    fields
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD)
        .sum()
}

/// Gives an error its reason, if it has none. It has `begun` if an answer went before it.
fn complete(headers: &mut HeaderMap, begun: bool, id: &RequestId) {
    let is_bare = headers.get(Status::GRPC_STATUS).is_some_and(|code| code != "0")
        && !headers.contains_key(Status::GRPC_STATUS_DETAILS);
    if !is_bare {
        return;
    }
    if let Some(status) = Status::from_header_map(headers) {
        let error = errors::of_transport(&status, begun);
        headers.remove(Status::GRPC_MESSAGE);
        // What cannot be written as a header leaves the code as it is.
        let _ = errors::status(&error, id.as_str()).add_header(headers);
    }
}

/// The content of an answer, and with its trailers the status.
#[derive(Debug)]
pub struct Completed<R> {
    body: R,
    id: RequestId,
    /// Until the answer has ended.
    _running: Option<Running>,
    /// Until the last of the data has been sent.
    taken: Option<Taken>,
}

/// Data that HTTP/2 drops when it has sent it, as far as the other side lets it.
struct Unsent {
    data: Bytes,
    _taken: Taken,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl<R: Body<Data = Bytes> + Unpin> Body for Completed<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        let mut frame = frame?;
        if let Some(trailers) = frame.trailers_mut() {
            complete(trailers, true, &self.id);
        }
        Poll::Ready(Some(Ok(match &self.taken {
            None => frame,
            Some(taken) => frame.map_data(|data| {
                let _taken = taken.clone();
                Bytes::from_owner(Unsent { data, _taken })
            }),
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
