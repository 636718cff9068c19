//! From an address to an HTTP/2 channel. Windows and frames are large, because whole messages pass through one stream.

mod repeat;

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;
use tower::service_fn;

pub(crate) use repeat::{NotBegun, Repeating, chain};

use crate::{Address, ConnectOptions, Error, TlsError};

/// What the daemon may send on one stream before this side has read it.
const STREAM_WINDOW: u32 = 4 << 20;
/// The same for all streams of the connection together.
const CONNECTION_WINDOW: u32 = 8 << 20;
/// The largest HTTP/2 frame that the daemon may send: few large frames cost less than many small ones.
const FRAME_LEN: u32 = 1 << 20;

/// Connects now, so that a daemon that is not there is found out before anything is read.
pub(crate) async fn connect(address: &Address, options: &ConnectOptions) -> Result<Repeating, Error> {
    match address {
        Address::Unix(path) => {
            let endpoint = tuned(Endpoint::from_static("http://chanceryd"), options);
            let path = path.clone();
            let connector = service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            endpoint.connect_with_connector(connector).await
        }
        Address::Https { host, port } => {
            let config = options.tls.as_ref().ok_or(TlsError::Missing)?.load()?;
            let server = ServerName::try_from(host.clone()).map_err(|source| TlsError::Host {
                host: host.clone(),
                source,
            })?;
            let endpoint = Endpoint::from_shared(address.to_string()).map_err(|source| unreachable(address, source))?;
            let (host, port) = (host.clone(), *port);
            let connector = service_fn(move |_| connect_tls(host.clone(), port, server.clone(), Arc::clone(&config)));
            tuned(endpoint, options).connect_with_connector(connector).await
        }
    }
    .map(Repeating)
    .map_err(|source| unreachable(address, source))
}

fn tuned(endpoint: Endpoint, options: &ConnectOptions) -> Endpoint {
    endpoint
        .connect_timeout(options.timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_LEN)
}

async fn connect_tls(
    host: String,
    port: u16,
    server: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> std::io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(config)
        .connect(server, stream)
        .await
        .map(TokioIo::new)
}

fn unreachable(address: &Address, source: tonic::transport::Error) -> Error {
    Error::Connect {
        address: address.clone(),
        source: Box::new(source),
    }
}
