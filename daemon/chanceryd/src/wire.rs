//! The threads that speak HTTP/2 and TLS and read short messages: how many there are, and what each does before it sleeps.

use std::io;
use std::sync::{Arc, OnceLock};

use chancery_token::Backlog;
use tokio::runtime::{Builder, Runtime};

use crate::audit::Trail;

/// What a thread does that has run out of things to do.
#[derive(Debug, Default)]
pub struct BeforeSleep {
    backlog: Backlog,
    audit: OnceLock<Trail>,
}

impl BeforeSleep {
    /// Where the tokens say for how long they have something to do: so long a thread may rest.
    #[must_use]
    pub const fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// From now on `audit` is brought up to date first. The first one stays.
    pub fn settle(&self, audit: &Trail) {
        self.audit.get_or_init(|| audit.clone());
    }

    /// The trail, once there is one.
    #[must_use]
    pub fn audit(&self) -> Option<&Trail> {
        self.audit.get()
    }

    fn run(&self) {
        if let Some(audit) = self.audit.get() {
            audit.settle();
        }
        self.backlog.rest();
    }
}

/// A thread for every two processors. The tokens' workers and the reading of long messages have threads of their own, and
/// the fewer share the requests, the more each finds at hand when it is woken.
///
/// # Errors
/// When the system has no thread left.
pub fn runtime(before_sleep: &Arc<BeforeSleep>) -> io::Result<Runtime> {
    let before_sleep = Arc::clone(before_sleep);
    let threads = std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1));
    Builder::new_multi_thread()
        .worker_threads(threads)
        .on_thread_park(move || before_sleep.run())
        .enable_all()
        .build()
}
