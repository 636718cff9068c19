//! What the handles of one token have in common: its queue, its board, and the way to whoever serves it.

use std::{
    sync::{
        Arc,
        atomic::AtomicU64,
        mpsc::{SyncSender, TrySendError},
    },
    time::Duration,
};

use crate::{
    anchor::Command,
    board::Board,
    gate::Gate,
    job::Job,
    pins::Pins,
    process::{Courier, Event},
    queue::Queue,
    wait::Waiting,
};

pub(crate) struct Front {
    pub(crate) board: Arc<Board>,
    pub(crate) gate: Gate,
    /// Requests that another token was asked for after this one could not do them.
    pub(crate) passed_on: AtomicU64,
    /// Worker sessions that the configuration gives it.
    pub(crate) sessions: usize,
    pub(crate) call_deadline: Duration,
    pub(crate) queue: Arc<Queue<Job>>,
    pub(crate) waiting: Waiting,
    pub(crate) pins: Arc<dyn Pins>,
    pub(crate) server: Server,
}

/// Whoever serves the token.
pub(crate) enum Server {
    /// Threads of this process, which look at the queue by themselves.
    Anchor(SyncSender<Command>),
    /// Another process.
    Process {
        courier: Arc<Courier>,
        supervisor: SyncSender<Event>,
        /// The token's number among those of its module.
        token: u16,
    },
}

/// A command was not taken.
pub(crate) enum Unsent {
    Full,
    Gone,
}

impl Front {
    /// Called after a job was put into the queue.
    pub(crate) fn notice_job(&self) {
        if let Server::Process { courier, .. } = &self.server {
            courier.pump();
        }
    }

    pub(crate) fn command(&self, command: Command) -> Result<(), Unsent> {
        match &self.server {
            Server::Anchor(anchor) => anchor.try_send(command).map_err(unsent),
            Server::Process { supervisor, token, .. } => {
                let token = *token;
                supervisor.try_send(Event::Command { token, command }).map_err(unsent)
            }
        }
    }
}

fn unsent<T>(error: TrySendError<T>) -> Unsent {
    match error {
        TrySendError::Full(_) => Unsent::Full,
        TrySendError::Disconnected(_) => Unsent::Gone,
    }
}
