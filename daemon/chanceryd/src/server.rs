//! HTTP/2 over the connections: its bounds, the layers around the services, and the end of a connection.
//!
//! The connections are served with hyper itself and not with tonic's server: that one answers deadlines outside of every layer,
//! without a reason, and does not let one connection be ended by itself.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming as Content;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tonic::service::Routes;
use tonic::transport::server::Connected as _;
use tower::{Layer as _, Service, ServiceExt as _};

use crate::config::Limits;
use crate::grpc::{BroughtLayer, StatusLayer};
use crate::listen::{Connection, Incoming, Secrets};
use crate::metrics::{CountLayer, Requests};
use crate::request_id::RequestIdLayer;

/// What one request may have on its way to the daemon unread. Large enough that a long message never waits for a window
/// over a local socket, small enough that a stalled one costs little.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same for all requests of one connection.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Content travels in pieces of up to 1 MiB; fewer frames are fewer calls.
const MAX_FRAME: u32 = 256 << 10;
/// Requests that a client may cancel before the daemon has looked at them (CVE-2023-44487).
const PENDING_RESETS: usize = 64;
/// How many times `limits.metadata_bytes` HTTP/2 lets pass, so that who is over it is told so in gRPC's own way. Beyond that it
/// answers with a bare 431.
const METADATA_ROOM: u32 = 4;

/// So long the end of an answer may take to reach a client that is told to end its connection.
const LAST_OCTETS: Duration = Duration::from_secs(2);

/// Serves until `stop` is done, and then until the last request has been answered. What is asked is counted in `requests`.
pub async fn serve(
    routes: Routes,
    mut incoming: Incoming,
    limits: Limits,
    requests: Requests,
    stop: impl Future<Output = ()>,
) {
    let service = BroughtLayer.layer(routes);
    let service = StatusLayer::new(limits.metadata_bytes).layer(service);
    let service = CountLayer(requests).layer(RequestIdLayer.layer(service));
    let http2 = http2(&limits);
    let (stopping, stopped) = watch::channel(());
    tokio::pin!(stop);
    loop {
        let connection = tokio::select! {
            () = &mut stop => break,
            connection = incoming.next() => connection,
        };
        match connection {
            Some(Ok(connection)) => {
                tokio::spawn(serve_connection(
                    http2.clone(),
                    connection,
                    service.clone(),
                    stopped.clone(),
                ));
            }
            Some(Err(error)) => tracing::debug!(%error, "a connection was given up before it was served"),
            None => break,
        }
    }
    // Nobody connects any more while the last requests are answered.
    drop((incoming, stopped));
    // Nobody hears it where there is no connection.
    let _ = stopping.send(());
    stopping.closed().await;
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(limits.concurrent_streams)
        .max_header_list_size(limits.metadata_bytes.saturating_mul(METADATA_ROOM))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    http2
}

/// Serves one connection to its end.
async fn serve_connection<S, B>(
    http2: http2::Builder<TokioExecutor>,
    connection: Connection,
    service: S,
    mut stopped: watch::Receiver<()>,
) where
    S: Service<Request<Content>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let info = connection.connect_info();
    let secrets = info.secrets.clone();
    let service = service.map_request(move |mut request: Request<Content>| {
        request.extensions_mut().insert(info.clone());
        request
    });
    let serving = http2.serve_connection(TokioIo::new(connection), TowerToHyperService::new(service));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        // The daemon is about to stop, or a secret has come this way: what runs may finish, and nothing new begins.
        () = either(stopped.changed(), secrets.out_of_use()) => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serving.as_mut() => ended,
                () = secrets.too_much() => {
                    tracing::warn!("a connection was closed: its client goes on bringing PINs though it was told to connect anew");
                    return;
                }
                () = deserted(&secrets) => {
                    tracing::debug!("a connection was closed: nothing runs on it, and its client does not end it");
                    return;
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a connection ended with an error"
        );
    }
}

/// Returns once nothing has run on a connection for a while, although its client was told to end it: it has stopped, or holds up
/// whoever waits for the connection's end.
async fn deserted(secrets: &Secrets) {
    secrets.rest().await;
    tokio::time::sleep(LAST_OCTETS).await;
}

/// Waits for the first of two.
async fn either<T>(one: impl Future<Output = T>, other: impl Future<Output = ()>) {
    tokio::select! {
        _ = one => {}
        () = other => {}
    }
}
