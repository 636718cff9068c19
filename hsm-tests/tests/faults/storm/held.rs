//! What a daemon holds, which is no more after a storm than before.

use std::{collections::BTreeMap, fs, time::Instant};

use hsm_tests::daemon::Daemon;

use super::STRUCK;
use crate::{PATIENCE, client::Client};

/// The runtime's threads. Those that it has for what blocks come and go: as many as blocked at once of late, and on a busy machine
/// that may be some.
const RUNTIME: &str = "tokio-rt-worker";
const SPARE_THREADS: usize = 16;

/// What the daemon holds.
#[derive(Debug)]
pub(super) struct Held {
    processes: usize,
    descriptors: usize,
    /// By name.
    threads: BTreeMap<String, usize>,
    memory: u64,
}

impl Held {
    pub(super) fn now(daemon: &Daemon) -> Self {
        Self {
            processes: daemon.children().unwrap().len(),
            descriptors: daemon.descriptors().unwrap(),
            threads: threads(daemon.pid()),
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
                && now.threads.iter().all(|(name, count)| {
                    let spare = if name == RUNTIME { SPARE_THREADS } else { 0 };
                    *count <= self.threads.get(name).unwrap_or(&0) + spare
                })
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

fn threads(process: u32) -> BTreeMap<String, usize> {
    let mut threads = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        // One that has just ended has no name any more.
        if let Ok(name) = fs::read_to_string(thread.unwrap().path().join("comm")) {
            *threads.entry(name.trim_end().to_owned()).or_default() += 1;
        }
    }
    threads
}
