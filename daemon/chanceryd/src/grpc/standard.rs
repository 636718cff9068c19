//! The services that are gRPC's own: health and reflection. Their streams may last for ever, and end when the daemon stops.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use tonic_reflection::server as reflection;
use tower::Service;

use super::errors;
use crate::ops::{Context, OpError};
use crate::request_id::RequestId;

/// Adds health and reflection to the services of the contract.
///
/// # Errors
/// When the descriptors that were compiled in cannot be read.
pub fn with_health_and_reflection(
    routes: Routes,
    context: &Arc<Context>,
) -> Result<(Routes, HealthReporter), reflection::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let described = || {
        reflection::Builder::configure()
            .register_encoded_file_descriptor_set(chancery_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = routes
        .add_service(UntilStop::new(health, context))
        .add_service(UntilStop::new(described().build_v1()?, context))
        .add_service(UntilStop::new(described().build_v1alpha()?, context));
    Ok((routes, reporter))
}

/// A service whose answers end when the daemon stops: nobody waits for those who only watch.
#[derive(Clone)]
struct UntilStop<S> {
    inner: S,
    context: Arc<Context>,
}

impl<S> UntilStop<S> {
    fn new(inner: S, context: &Arc<Context>) -> Self {
        let context = Arc::clone(context);
        Self { inner, context }
    }
}

impl<S: NamedService> NamedService for UntilStop<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for UntilStop<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let id = RequestId::in_extensions(request.extensions());
        let context = Arc::clone(&self.context);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let stopped = Box::pin(async move { context.stopped().await });
            Ok(answer.await?.map(|inner| {
                Body::new(Answer {
                    inner,
                    stopped: Some(stopped),
                    id,
                })
            }))
        })
    }
}

/// An answer that is cut short by a stop.
struct Answer {
    inner: Body,
    /// None once it was.
    stopped: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    id: RequestId,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(stopped) = &mut self.stopped else {
            return Poll::Ready(None);
        };
        let is_stopped = stopped.as_mut().poll(task).is_ready();
        // What is there is answered first.
        let next = Pin::new(&mut self.inner).poll_frame(task);
        if !is_stopped || next.is_ready() {
            return next;
        }
        self.stopped = None;
        let mut trailers = HeaderMap::new();
        let status = errors::status(&OpError::Stopping, self.id.as_str());
        Poll::Ready(Some(
            status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)),
        ))
    }
}
