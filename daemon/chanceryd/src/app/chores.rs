//! What goes on beside the requests as long as the daemon runs.

use chancery_token::{Ending, Notice, TokenHandle};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{StreamExt as _, StreamMap};

use crate::audit::Trail;
use crate::listen::Pulse;
use crate::notify;

/// Tells the service manager how many tokens can be used, whenever that may have changed.
pub(super) async fn keep_status(tokens: Vec<TokenHandle>) {
    let changes = tokens.iter().map(|token| WatchStream::from_changes(token.changes()));
    let mut changes: StreamMap<usize, WatchStream<u64>> = changes.enumerate().collect();
    while changes.next().await.is_some() {
        notify::status(&summary(&tokens));
    }
}

/// Records every module whose process ended.
pub(super) async fn record_notices(audit: Trail, mut notices: mpsc::Receiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        let audit = audit.clone();
        let recorded = spawn_blocking(move || {
            let what = match notice.ending {
                Ending::Replaced => "module-replaced",
                Ending::Parked => "module-parked",
            };
            audit.remark(what, &format!("{}: {}", notice.module, notice.how));
        });
        if let Err(error) = recorded.await {
            tracing::error!(%error, "the end of a module's process could not be recorded");
        }
    }
}

/// Flushes the trail, and tries to open it again when it is closed.
pub(super) async fn keep_trail(audit: Trail) {
    let mut ticks = tokio::time::interval(audit.tick_interval());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let audit = audit.clone();
        if let Err(error) = spawn_blocking(move || audit.tick()).await {
            tracing::error!(%error, "the audit trail could not be kept");
        }
    }
}

/// Tells the watchdog that the daemon is alive: the runtime turns, connections are accepted, and a record could be
/// written without waiting for long.
pub(super) async fn keep_alive(audit: Trail, pulse: Pulse) {
    notify::watchdog(|| async {
        if !pulse.feel().await {
            return Err("an accept loop has ended");
        }
        let audit = audit.clone();
        spawn_blocking(move || audit.wait_for_a_turn())
            .await
            .map_err(|_| "the audit trail does not answer")
    })
    .await;
}

pub(super) fn summary(tokens: &[TokenHandle]) -> String {
    let ready = tokens.iter().filter(|token| token.standing().serves()).count();
    format!("{ready} of {} tokens ready", tokens.len())
}
