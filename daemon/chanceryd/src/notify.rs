//! What the service manager is told: ready, reloading, stopping, alive. Without one, nothing.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

/// Requests are being served.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read anew; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of the reload: no monotonic clock"),
    }
}

/// No more requests are taken; the process ends within that.
pub fn stopping(deadline: Duration) {
    let deadline = u32::try_from(deadline.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(deadline)]);
}

/// What people see in `systemctl status`. A service manager that does not read at the moment misses it: tokens may come and
/// go at any rate, and the runtime waits for nobody who is told of it.
pub fn status(status: &str) {
    match send_without_waiting(&NotifyState::Status(status)) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            tracing::debug!("the service manager does not read; it is not told of the status")
        }
        result => warn(result),
    }
}

/// Tells the watchdog every half of its interval that the daemon is alive, as long as it is: `alive` must answer within
/// that time. Returns at once if there is no watchdog.
pub async fn watchdog<F>(alive: impl Fn() -> F)
where
    F: Future<Output = Result<(), &'static str>>,
{
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    let half = interval / 2;
    let mut ticks = tokio::time::interval(half);
    loop {
        ticks.tick().await;
        match tokio::time::timeout(half, alive()).await {
            Ok(Ok(())) => send(&[NotifyState::Watchdog]),
            Ok(Err(what)) => tracing::error!(what, "not alive; the watchdog is not told otherwise"),
            Err(_) => tracing::error!("no sign of life in time; the watchdog is not told otherwise"),
        }
    }
}

fn send(states: &[NotifyState<'_>]) {
    warn(sd_notify::notify(states));
}

fn send_without_waiting(state: &NotifyState<'_>) -> io::Result<()> {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&place)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(format!("{state}\n").as_bytes(), &address).map(drop)
}

fn warn(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the service manager cannot be told of the daemon's state");
    }
}
