//! What ties a request's log lines, audit records and answer together. A caller may bring its own in `x-request-id`.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::caller::hex;
use crate::listen::ConnectInfo;

/// The header of requests and answers, errors included.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are not taken over.
const MAX_LEN: usize = 64;

thread_local! {
    static DRAWN: RefCell<Drawn> = RefCell::default();
}

/// Random octets for the ids of a thread's next requests: the kernel is asked once for many.
#[derive(Default)]
struct Drawn {
    octets: [[u8; 16]; 16],
    left: usize,
}

impl Drawn {
    fn next(&mut self) -> [u8; 16] {
        if self.left == 0 {
            // Without randomness nothing else of the daemon works either; the id need not be the first to say so.
            let _ = getrandom::fill(self.octets.as_flattened_mut());
            self.left = self.octets.len();
        }
        self.left -= 1;
        self.octets.get(self.left).copied().unwrap_or_default()
    }
}

/// A request's id: 1 to 64 letters, digits and `-_.`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id of a request that came through [`RequestIdLayer`]; a new one otherwise.
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        Self::in_extensions(request.extensions())
    }

    /// The same of a request's extensions.
    #[must_use]
    pub fn in_extensions(extensions: &http::Extensions) -> Self {
        extensions.get().cloned().unwrap_or_else(Self::random)
    }

    /// An id that nobody else has.
    #[must_use]
    pub fn random() -> Self {
        Self(hex(&DRAWN.with_borrow_mut(Drawn::next)).into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(HEADER)?.to_str().ok()?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let well_formed = (1..=MAX_LEN).contains(&value.len()) && value.bytes().all(allowed);
        well_formed.then(|| Self(value.into()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Gives every request its id, puts it into the span of its log lines and into its answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestIdLayer;

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestIdService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestIdService(inner)
    }
}

/// See [`RequestIdLayer`].
#[derive(Debug, Clone)]
pub struct RequestIdService<S>(S);

impl<S, B, R> Service<Request<B>> for RequestIdService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = RequestId::from_headers(request.headers()).unwrap_or_else(RequestId::random);
        request.extensions_mut().insert(id.clone());
        let span = tracing::info_span!("request", id = %id, rpc = request.uri().path());
        if let Some(info) = request.extensions().get::<ConnectInfo>() {
            tracing::debug!(parent: &span, caller = %info.caller, "begins");
        }
        let started = Instant::now();
        let answer = self.0.call(request);
        let work = async move {
            let mut response = answer.await?;
            if let Ok(value) = HeaderValue::from_str(id.as_str()) {
                response.headers_mut().insert(HEADER, value);
            }
            tracing::debug!(elapsed = ?started.elapsed(), "answers");
            Ok(response)
        };
        Box::pin(work.instrument(span))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn taken_over(value: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_str(value).unwrap())]);
        RequestId::from_headers(&headers).map(|id| id.to_string())
    }

    #[test]
    fn a_well_formed_id_is_taken_over_and_nothing_else() {
        assert_eq!(
            taken_over("0af7651916cd43dd-8448.eb_1").as_deref(),
            Some("0af7651916cd43dd-8448.eb_1")
        );
        for refused in ["", "a b", "a\"b", "a,b", "ä", &"x".repeat(65)] {
            assert_eq!(taken_over(refused), None, "{refused:?}");
        }
    }

    #[tokio::test]
    async fn the_handler_and_the_answer_have_the_same_id() {
        let handler = tower::service_fn(|request: Request<()>| async move {
            let id = request.extensions().get::<RequestId>().unwrap().clone();
            Ok::<_, std::convert::Infallible>(Response::new(id))
        });
        let mut service = RequestIdLayer.layer(handler);
        let own = Request::builder().header(HEADER, "mine").body(()).unwrap();
        for (request, expected) in [(own, Some("mine")), (Request::new(()), None)] {
            let response = service.call(request).await.unwrap();
            assert_eq!(
                response.headers().get(HEADER).unwrap().to_str().unwrap(),
                response.body().as_str()
            );
            assert!(expected.is_none_or(|expected| response.body().as_str() == expected));
            assert!(!response.body().as_str().is_empty());
        }
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(RequestId::random(), RequestId::random());
    }
}
