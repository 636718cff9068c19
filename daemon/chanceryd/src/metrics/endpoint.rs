//! `GET /metrics` over HTTP/1.1, on a Unix socket or the loopback. Whoever can connect may read: the numbers are no secret, but
//! nobody else's business either. One request a connection, and bounds on how many, how long and how large.

use std::convert::Infallible;
use std::net;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};

use super::Metrics;
use crate::config::MetricsListen;
use crate::listen::{ListenError, SocketFile, bind_unix};

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 8;
/// How long a connection may last, from its acceptance to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);
/// What may be held of a request that has not come to its end; hyper takes no less.
const HEADER_BYTES: usize = 8 << 10;
const HEADER_FIELDS: usize = 64;
/// How long to wait after a failure to accept that will not go away at once.
const BACK_OFF: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A place where the numbers can be asked for.
#[derive(Debug)]
pub struct Endpoint {
    listener: Listener,
    address: String,
    _socket_file: Option<SocketFile>,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Endpoint {
    /// Listens.
    ///
    /// # Errors
    /// When it cannot.
    pub fn bind(listen: &MetricsListen) -> Result<Self, ListenError> {
        match listen {
            MetricsListen::Unix(socket) => {
                let (listener, file) = bind_unix(socket)?;
                Ok(Self {
                    listener: Listener::Unix(listener),
                    address: format!("unix:{}", socket.path.display()),
                    _socket_file: Some(file),
                })
            }
            MetricsListen::Loopback(address) => {
                let fail = |source| ListenError::Io {
                    place: address.to_string(),
                    action: "listen on it",
                    source,
                };
                let listener = net::TcpListener::bind(address).map_err(fail)?;
                listener.set_nonblocking(true).map_err(fail)?;
                let address = listener.local_addr().map_err(fail)?;
                Ok(Self {
                    listener: Listener::Tcp(TcpListener::from_std(listener).map_err(fail)?),
                    address: format!("http://{address}"),
                    _socket_file: None,
                })
            }
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Answers until it is dropped.
    pub async fn serve(self, metrics: Metrics) {
        let metrics = Arc::new(metrics);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let metrics = Arc::clone(&metrics);
            let accepted = match &self.listener {
                Listener::Unix(listener) => listener
                    .accept()
                    .await
                    .map(|(stream, _)| connections.spawn(connection(stream, metrics, place))),
                Listener::Tcp(listener) => listener
                    .accept()
                    .await
                    .map(|(stream, _)| connections.spawn(connection(stream, metrics, place))),
            };
            if let Err(error) = accepted {
                tracing::warn!(%error, "a connection for the metrics cannot be accepted; trying again");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
) {
    let answer = service_fn(|request| {
        let metrics = Arc::clone(&metrics);
        async { Ok::<_, Infallible>(answer(request, metrics).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(DEADLINE)
        .keep_alive(false)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADER_FIELDS)
        .serve_connection(TokioIo::new(stream), answer);
    match tokio::time::timeout(DEADLINE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for the metrics failed"),
        Err(_) => tracing::debug!("a request for the metrics took too long"),
    }
}

async fn answer(request: Request<Incoming>, metrics: Arc<Metrics>) -> Response<String> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "There is /metrics, and nothing else.\n");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered here.\n");
        let allowed = header::HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(header::ALLOW, allowed);
        return refused;
    }
    // Many tokens are much to write.
    match spawn_blocking(move || metrics.render()).await {
        Ok(Ok(rendered)) => {
            let mut response = Response::new(rendered);
            let kind = header::HeaderValue::from_static(OPEN_METRICS);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Ok(Err(_)) | Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "The metrics cannot be written.\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response
}
