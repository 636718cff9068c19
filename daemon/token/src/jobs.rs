//! Where workers get their jobs from: the queue in their own process, or the socket to another.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    child::JobSocket,
    job::Job,
    queue::{Next, Queue},
};

pub(crate) enum Jobs {
    Queue(Arc<Queue<Job>>),
    Socket(Arc<JobSocket>),
}

impl Jobs {
    /// Waits for the next job, and no longer than `patience`, if there is one; behind a socket, no longer than that was told.
    pub(crate) fn next(&self, patience: Option<Duration>) -> Next<Job> {
        match self {
            Self::Queue(queue) => queue.next(patience),
            Self::Socket(socket) => socket.next(),
        }
    }

    /// Gives back a job that was taken and not started, for another worker. Returns it once there are none.
    pub(crate) fn put_back(&self, job: Job) -> Option<Job> {
        match self {
            Self::Queue(queue) => queue.put_back(job),
            Self::Socket(socket) => {
                socket.put_back(job);
                None
            }
        }
    }

    /// Whether there will be no more.
    pub(crate) fn are_over(&self) -> bool {
        match self {
            Self::Queue(queue) => queue.is_closed(),
            Self::Socket(socket) => socket.is_over(),
        }
    }

    /// Takes out the jobs that nobody should start any more. Those behind a socket are swept on its other side.
    pub(crate) fn sweep(&self, now: Instant, token: &str) {
        if let Self::Queue(queue) = self {
            queue.sweep(now, token);
        }
    }
}

impl Queue<Job> {
    /// Takes out the jobs that nobody should start any more, and tells those who wait for them.
    pub(crate) fn sweep(&self, now: Instant, token: &str) {
        for job in self.remove_if(|job| job.is_past(now)) {
            job.answer_too_late(token);
        }
    }
}
