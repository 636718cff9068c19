//! gRPC over the connections: the services, health and reflection, behind the bounds of HTTP/2.

use std::future::Future;

use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;
use tonic_reflection::server as reflection;

use crate::config::Limits;
use crate::listen::Incoming;
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

/// Serves until `stop` is done, and then until the last request has been answered. What is asked is counted in `requests`.
///
/// # Errors
/// When the connections cannot be served any more.
pub async fn serve(
    routes: Routes,
    incoming: Incoming,
    limits: Limits,
    requests: Requests,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(limits.concurrent_streams)
        .http2_max_header_list_size(limits.metadata_bytes)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .layer(CountLayer(requests))
        .layer(RequestIdLayer)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop)
        .await
}

/// Adds health and reflection to the services of the contract.
///
/// # Errors
/// When the descriptors that were compiled in cannot be read.
pub fn with_health_and_reflection(routes: Routes) -> Result<(Routes, HealthReporter), reflection::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let described = || {
        reflection::Builder::configure()
            .register_encoded_file_descriptor_set(chancery_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = routes
        .add_service(health)
        .add_service(described().build_v1()?)
        .add_service(described().build_v1alpha()?);
    Ok((routes, reporter))
}
