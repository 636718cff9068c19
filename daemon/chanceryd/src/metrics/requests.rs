//! Every RPC, counted and traced: how it ended, how long it took, how many run. A request ends with the last byte of its
//! answer, so a call that streams lasts as long as its stream.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use chancery_token::Histogram;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;
use tower::{Layer, Service};
use tracing::Span;

use crate::traces;

/// The codes of gRPC, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The counters of all RPCs. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Requests {
    /// By path, such as `/chancery.v1.KeyService/Sign`. Whatever else a caller may ask for is counted together.
    known: Arc<BTreeMap<String, Arc<Rpc>>>,
    unknown: Arc<Rpc>,
}

/// The counters of one RPC.
#[derive(Debug)]
pub(super) struct Rpc {
    /// `chancery.v1.KeyService/Sign`, or `unknown`.
    pub(super) name: String,
    pub(super) durations: Histogram,
    codes: [AtomicU64; CODES.len()],
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Requests {
    /// Nothing has been counted yet.
    #[must_use]
    pub fn new() -> Self {
        let mut known = BTreeMap::new();
        for descriptors in [
            chancery_proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            // What cannot be read is refused when reflection is started, from the same octets.
            let descriptors = FileDescriptorSet::decode(descriptors).unwrap_or_default();
            for file in &descriptors.file {
                for service in &file.service {
                    for method in &service.method {
                        let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                        known.insert(format!("/{name}"), Arc::new(Rpc::new(name)));
                    }
                }
            }
        }
        Self {
            known: Arc::new(known),
            unknown: Arc::new(Rpc::new("unknown".to_owned())),
        }
    }

    /// All RPCs, ordered by name, whatever is unknown last.
    pub(super) fn all(&self) -> impl Iterator<Item = &Rpc> {
        self.known.values().chain([&self.unknown]).map(Arc::as_ref)
    }

    fn begin<B>(&self, request: &Request<B>) -> Running {
        let rpc = Arc::clone(self.known.get(request.uri().path()).unwrap_or(&self.unknown));
        rpc.begun.fetch_add(1, Ordering::Relaxed);
        // How long a decryption took is told to nobody exactly.
        let traced = !rpc.is_decryption();
        Running {
            span: if traced {
                traces::request(&rpc.name, request.headers())
            } else {
                Span::none()
            },
            rpc: Some(rpc),
            begun: Instant::now(),
        }
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self::new()
    }
}

impl Rpc {
    fn new(name: String) -> Self {
        Self {
            name,
            durations: Histogram::default(),
            codes: Default::default(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        }
    }

    /// How many ended with each code: `OK` and those that there have been.
    pub(super) fn codes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.codes.iter().map(|count| count.load(Ordering::Relaxed));
        let codes = CODES.into_iter().zip(counts);
        codes.filter(|&(code, count)| count > 0 || code == "OK")
    }

    /// How many run now.
    pub(super) fn running(&self) -> u64 {
        // In this order: what ends in between has begun as well.
        let ended = self.ended.load(Ordering::Acquire);
        self.begun.load(Ordering::Relaxed).saturating_sub(ended)
    }

    fn is_decryption(&self) -> bool {
        ["/Decrypt", "/Agree"].iter().any(|method| self.name.ends_with(method))
    }
}

/// A request that runs. Dropped without an end, its caller has gone.
#[derive(Debug)]
struct Running {
    span: Span,
    rpc: Option<Arc<Rpc>>,
    begun: Instant,
}

impl Running {
    /// Ends it if these are the headers or trailers that say how it ended.
    fn end_by(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get("grpc-status") {
            self.end(Code::from_bytes(code.as_bytes()));
        }
    }

    fn end(&mut self, code: Code) {
        let Some(rpc) = self.rpc.take() else { return };
        let took = self.begun.elapsed();
        if rpc.is_decryption() {
            rpc.durations.record_coarsely(took);
        } else {
            rpc.durations.record(took);
        }
        // Whether a ciphertext could be decrypted is for its caller to know, and for nobody who watches.
        let code = match code {
            Code::InvalidArgument if rpc.is_decryption() => Code::Ok,
            code => code,
        };
        traces::ended(&self.span, code);
        if let Some(count) = rpc.codes.get(code as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        rpc.ended.fetch_add(1, Ordering::Release);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// Counts what passes through.
#[derive(Clone, Debug)]
pub struct CountLayer(pub Requests);

impl<S> Layer<S> for CountLayer {
    type Service = CountService<S>;

    fn layer(&self, inner: S) -> CountService<S> {
        CountService {
            inner,
            requests: self.0.clone(),
        }
    }
}

/// See [`CountLayer`].
#[derive(Clone, Debug)]
pub struct CountService<S> {
    inner: S,
    requests: Requests,
}

impl<S, B, R> Service<Request<B>> for CountService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Unpin,
{
    type Response = Response<Counted<R>>;
    type Error = S::Error;
    type Future = Counting<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let running = self.requests.begin(&request);
        Counting {
            answer: self.inner.call(request),
            running: Some(running),
        }
    }
}

/// A request whose answer has not begun.
#[derive(Debug)]
pub struct Counting<F> {
    answer: F,
    running: Option<Running>,
}

impl<F, R, E> Future for Counting<F>
where
    F: Future<Output = Result<Response<R>, E>> + Unpin,
{
    type Output = Result<Response<Counted<R>>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let span = self.running.as_ref().map(|running| running.span.clone());
        let answer = Pin::new(&mut self.answer);
        let response = ready!(span.unwrap_or_else(Span::none).in_scope(|| answer.poll(context)))?;
        let mut running = self.running.take();
        if let Some(running) = &mut running {
            // An error without content says so at once.
            running.end_by(response.headers());
        }
        Poll::Ready(Ok(response.map(|body| Counted { body, running })))
    }
}

/// The content of an answer, and with its trailers the end of the request.
#[derive(Debug)]
pub struct Counted<R> {
    body: R,
    running: Option<Running>,
}

impl<R: Body + Unpin> Body for Counted<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let span = self.running.as_ref().map(|running| running.span.clone());
        let body = Pin::new(&mut self.body);
        let frame = ready!(span.unwrap_or_else(Span::none).in_scope(|| body.poll_frame(context)));
        let trailers = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.trailers_ref());
        if let (Some(running), Some(trailers)) = (&mut self.running, trailers) {
            running.end_by(trailers);
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
