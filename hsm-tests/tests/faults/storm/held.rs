//! What a daemon holds, which is no more after a storm than before.

use std::{fs, time::Instant};

use hsm_tests::daemon::Daemon;

use super::STRUCK;
use crate::{PATIENCE, client::Client};

/// Threads that the runtime has for what blocks come and go.
const SPARE_THREADS: usize = 4;

/// What the daemon holds.
#[derive(Debug)]
pub(super) struct Held {
    processes: usize,
    descriptors: usize,
    threads: usize,
    memory: u64,
}

impl Held {
    pub(super) fn now(daemon: &Daemon) -> Self {
        Self {
            processes: daemon.children().unwrap().len(),
            descriptors: daemon.descriptors().unwrap(),
            threads: fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().count(),
            memory: daemon.memory().unwrap(),
        }
    }

    /// Connections close, threads end and sessions are closed soon, and not at once.
    pub(super) async fn assert_nothing_is_left(&self, daemon: &Daemon, client: &Client) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Self::now(daemon);
            let mut sessions = Vec::new();
            for (module, tokens) in STRUCK {
                // The anchor's of each token, and those of its workers that the daemon knows of. Idle workers may have yet to
                // find out that theirs are gone.
                let mut known = 0;
                for (token, _) in tokens {
                    known += 1 + u64::from(client.token(token).await.sessions);
                }
                sessions.push((module, daemon.faults_of(module).unwrap().sessions().unwrap(), known));
            }
            let settled = now.processes == self.processes
                && now.descriptors <= self.descriptors
                && now.threads <= self.threads + SPARE_THREADS
                && sessions.iter().all(|(_, open, known)| open <= known);
            if settled {
                let grown = now.memory.saturating_sub(self.memory);
                eprintln!("resident memory grew by {grown} bytes");
                assert!(grown < 32 << 20, "resident memory grew by {grown} bytes");
                return;
            }
            assert!(
                Instant::now() < deadline,
                "before: {self:?}; now: {now:?}; sessions by module, open and known: {sessions:?}"
            );
            tokio::task::yield_now().await;
        }
    }
}
