//! Whatever is wrong with a call before a handler sees it, or instead of that: its error has a reason, as all others have.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "process/daemon.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod daemon;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http_body::{Body, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

use daemon::{Daemon, Scene};

const GET_KEY: &str = "/chancery.v1.KeyService/GetKey";
const VERIFY: &str = "/chancery.v1.MailService/Verify";
const ATTEND: &str = "/chancery.v1.AgentService/Attend";

/// Calls `path` with one message whose first field is `field`.
async fn call(scene: &Scene, path: &'static str, field: Vec<u8>, header: Option<(usize, &'static str)>) -> Status {
    let mut client = Grpc::new(scene.connect().await.unwrap());
    client.ready().await.unwrap();
    let mut request = Request::new(Bytes::from(field));
    if let Some((times, value)) = header {
        for _ in 0..times {
            request.metadata_mut().append("x-much", value.parse().unwrap());
        }
    }
    let codec = ProstCodec::<Bytes, Bytes>::default();
    let path = PathAndQuery::from_static(path);
    client.unary(request, path, codec).await.unwrap_err()
}

/// The same of a stream.
async fn call_with_a_stream(scene: &Scene, path: &'static str, field: Vec<u8>) -> Status {
    let mut client = Grpc::new(scene.connect().await.unwrap());
    client.ready().await.unwrap();
    let request = Request::new(tokio_stream::once(Bytes::from(field)));
    let codec = ProstCodec::<Bytes, Bytes>::default();
    let answer = client.streaming(request, PathAndQuery::from_static(path), codec).await;
    match answer {
        Ok(answer) => answer.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    }
}

#[track_caller]
fn assert_is(status: &Status, code: Code, reason: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(
        (info.domain.as_str(), info.reason.as_str()),
        ("chancery", reason),
        "{status:?}"
    );
    assert!(!info.metadata["request_id"].is_empty());
    assert!(!status.message().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_the_callers_mistake() {
    let scene = Scene::new("");
    let _daemon = Daemon::start(&scene);
    // A name that is not UTF-8, and options that are cut off.
    let status = call(&scene, GET_KEY, vec![0xff], None).await;
    assert_is(&status, Code::InvalidArgument, "MALFORMED_REQUEST");
    for path in [VERIFY, ATTEND] {
        // An agent answers numbers: for it, this is of the wrong type.
        let status = call_with_a_stream(&scene, path, vec![0xff]).await;
        assert_is(&status, Code::InvalidArgument, "MALFORMED_REQUEST");
    }
    assert!(!scene.log().contains("internal error"), "{}", scene.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_refused_by_name() {
    let scene = Scene::new("");
    let _daemon = Daemon::start(&scene);
    let status = call(&scene, GET_KEY, vec![b'x'; 5 << 20], None).await;
    assert_is(&status, Code::InvalidArgument, "REQUEST_TOO_LARGE");
    let status = call_with_a_stream(&scene, VERIFY, vec![b'x'; 5 << 20]).await;
    assert_is(&status, Code::InvalidArgument, "REQUEST_TOO_LARGE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_or_service_that_there_is_not_is_said_to_be_none() {
    let scene = Scene::new("");
    let _daemon = Daemon::start(&scene);
    for path in ["/chancery.v1.KeyService/Nothing", "/chancery.v9.Nothing/Sign", "/x"] {
        let status = call(&scene, path, Vec::new(), None).await;
        assert_is(&status, Code::Unimplemented, "UNIMPLEMENTED");
    }
    let mut health = HealthClient::new(scene.connect().await.unwrap());
    let service = "nothing".to_owned();
    let status = health.check(HealthCheckRequest { service }).await.unwrap_err();
    assert_is(&status, Code::NotFound, "SERVICE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_metadata_than_are_allowed_are_refused_by_name() {
    let scene = Scene::new("[limits]\nmetadata_bytes = 2048\n");
    let _daemon = Daemon::start(&scene);
    let status = call(&scene, GET_KEY, Vec::new(), Some((50, "a field of some length"))).await;
    assert_is(&status, Code::InvalidArgument, "METADATA_TOO_LARGE");
}

/// The content of a request that does not come.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// Without a client that watches the deadline as well and is the first to answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_before_the_request_is_there_has_a_reason() {
    let scene = Scene::new("");
    let _daemon = Daemon::start(&scene);
    let stream = UnixStream::connect(scene.socket()).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://chanceryd{GET_KEY}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "1m")
        .body(Never)
        .unwrap();
    let answer = client.send_request(request).await.unwrap();
    let status = Status::from_header_map(answer.headers()).unwrap();
    assert_is(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
}
