//! The accept loops, and what happens to a connection before HTTP/2 begins.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_stream::Stream;

use super::connection::Connection;
use super::transport::Transport;
use super::{Listeners, LiveTls, SocketFile};
use crate::caller::Caller;
use crate::config::Limits;
use crate::ration::LogRation;
use crate::share::Shares;

/// Connections that are accepted and that the server has not taken yet.
const READY: usize = 64;
/// How long to wait after a failure to accept that will not go away at once, such as too many open files.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Connections, each with its caller. Dropped, it stops to accept and removes the socket; open connections stay open.
#[derive(Debug)]
pub struct Incoming {
    connections: mpsc::Receiver<Connection>,
    // Aborted when dropped, and the listeners with them.
    _loops: JoinSet<()>,
    _socket_file: Option<SocketFile>,
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

/// Feels whether the accept loops still turn.
#[derive(Debug, Clone)]
pub struct Pulse(Vec<mpsc::Sender<oneshot::Sender<()>>>);

impl Pulse {
    /// Returns once every loop has answered; `false` if one has ended.
    pub async fn feel(&self) -> bool {
        for accept_loop in &self.0 {
            let (answer, answered) = oneshot::channel();
            if accept_loop.send(answer).await.is_err() || answered.await.is_err() {
                return false;
            }
        }
        true
    }
}

/// What a connection passes through when its caller is known.
#[derive(Clone)]
struct Door {
    /// How long a client has, from the moment it was accepted, to begin to speak HTTP/2.
    preface: Duration,
    shares: Shares,
    ready: mpsc::Sender<Connection>,
    said: Arc<Said>,
}

/// What the log says of those who do not get in, within bounds.
#[derive(Default)]
struct Said {
    too_many: LogRation,
    unknown: LogRation,
}

enum Listener {
    Unix(UnixListener),
    Tls(TcpListener, LiveTls, Duration),
}

enum Accepted {
    Unix(UnixStream),
    Tls(TcpStream, LiveTls, Duration),
}

pub(super) fn start(listeners: Listeners, limits: &Limits) -> (Incoming, Pulse) {
    let Listeners {
        unix,
        tcp,
        tls,
        socket_file,
    } = listeners;
    let places = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let (ready, connections) = mpsc::channel(READY);
    let door = Door {
        preface: limits.preface,
        shares: Shares::new(limits.connections_per_caller),
        ready,
        said: Arc::default(),
    };
    let mut loops = JoinSet::new();
    if let Some(file) = &socket_file {
        let gone = file.gone();
        loops.spawn(async {
            let socket = gone.await;
            tracing::error!(
                socket = %socket.display(),
                "the socket is gone, or another has taken its place: nobody can connect any more; start the daemon anew"
            );
        });
    }
    let mut pulse = Vec::new();
    let unix = unix.into_iter().map(Listener::Unix);
    let tls = tcp
        .into_iter()
        .filter_map(|listener| Some(Listener::Tls(listener, tls.clone()?, limits.tls_handshake)));
    for listener in unix.chain(tls) {
        let (ping, pings) = mpsc::channel(1);
        loops.spawn(accept_loop(listener, Arc::clone(&places), door.clone(), pings));
        pulse.push(ping);
    }
    (
        Incoming {
            connections,
            _loops: loops,
            _socket_file: socket_file,
        },
        Pulse(pulse),
    )
}

async fn accept_loop(
    listener: Listener,
    places: Arc<Semaphore>,
    door: Door,
    mut pings: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let next = async || {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        let accepted = match &listener {
            Listener::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
            Listener::Tls(listener, tls, deadline) => Accepted::Tls(listener.accept().await?.0, tls.clone(), *deadline),
        };
        io::Result::Ok((accepted, place))
    };
    loop {
        let next = tokio::select! {
            next = next() => next,
            Some(answer) = pings.recv() => {
                // Whoever asked may have stopped waiting.
                let _ = answer.send(());
                continue;
            }
        };
        match next {
            Ok((accepted, place)) => {
                tokio::spawn(introduce(accepted, place, door.clone()));
            }
            Err(error) if is_the_callers(&error) => {
                tracing::debug!(%error, "a connection was given up before it was accepted")
            }
            Err(error) => {
                tracing::error!(%error, "connections cannot be accepted; trying again");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Whether `accept` failed because of the connection, not because of the daemon.
fn is_the_callers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Finds out who it is, and hands the connection on.
async fn introduce(accepted: Accepted, place: OwnedSemaphorePermit, door: Door) {
    let accepted_at = Instant::now();
    let begun_by = accepted_at + door.preface;
    let introduced = match accepted {
        Accepted::Unix(stream) => by_credentials(stream).await,
        Accepted::Tls(stream, tls, handshake) => {
            by_certificate(stream, &tls, begun_by.min(accepted_at + handshake)).await
        }
    };
    match introduced {
        Ok((stream, caller)) => {
            let Some(share) = door.shares.take(&caller) else {
                if door.said.too_many.allows(Some(&caller), "a connection too many") {
                    tracing::warn!(%caller, "has limits.connections_per_caller connections; one more was closed");
                }
                return;
            };
            tracing::debug!(%caller, "connected");
            // Nobody takes it when the daemon is about to stop.
            let _ = door
                .ready
                .send(Connection::new(stream, caller, begun_by, place, share))
                .await;
        }
        Err(error) => {
            if door.said.unknown.allows(None, "a connection whose caller is not known") {
                tracing::info!(%error, "a connection was refused before its caller was known");
            }
        }
    }
}

async fn by_credentials(stream: UnixStream) -> io::Result<(Transport, Caller)> {
    let peer = stream.peer_cred()?;
    // The user database may be on the network.
    let look_up = move || Caller::from_peer_credentials(peer.uid(), peer.gid(), peer.pid());
    let caller = tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)?;
    Ok((Transport::Unix(stream), caller))
}

async fn by_certificate(stream: TcpStream, tls: &LiveTls, deadline: Instant) -> io::Result<(Transport, Caller)> {
    stream.set_nodelay(true)?;
    let stream = timeout_at(deadline, tls.acceptor().accept(stream)).await??;
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(|certificates| certificates.first());
    let certificate = certificate.ok_or_else(|| io::Error::other("the client has no certificate"))?;
    let caller = Caller::from_certificate(certificate).map_err(io::Error::other)?;
    Ok((Transport::Tls(Box::new(stream)), caller))
}
