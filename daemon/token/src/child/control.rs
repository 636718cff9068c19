//! Saying something to the daemon, from any thread.

use std::{
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
};

use super::end_process;
use crate::{
    board::Audience,
    catalogue::Catalogue,
    metrics::MetricsSnapshot,
    protocol::{self, FromProcess},
    status::TokenStatus,
    sync::lock,
};

pub(super) struct Control(Mutex<UnixStream>);

impl Control {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Mutex::new(stream))
    }

    /// Without a daemon to speak to there is nothing left to do.
    pub(super) fn say(&self, frame: &FromProcess) {
        if protocol::write(&*lock(&self.0), frame).is_err() {
            end_process();
        }
    }
}

/// Tells the daemon of every change of one token.
pub(super) struct Teller {
    control: Arc<Control>,
    token: u16,
}

impl Teller {
    pub(super) fn new(control: Arc<Control>, token: u16) -> Self {
        Self { control, token }
    }
}

impl Audience for Teller {
    fn status(&self, status: &TokenStatus) {
        self.control.say(&FromProcess::Status {
            token: self.token,
            status: Box::new(status.clone()),
        });
    }

    fn catalogue(&self, catalogue: &Catalogue) {
        self.control.say(&FromProcess::Catalogue {
            token: self.token,
            catalogue: catalogue.clone(),
        });
    }

    fn metrics(&self, metrics: MetricsSnapshot) {
        self.control.say(&FromProcess::Metrics {
            token: self.token,
            metrics: Box::new(metrics),
        });
    }

    fn ask_for_another_process(&self, why: &str) {
        self.control.say(&FromProcess::Spent {
            token: self.token,
            why: why.to_owned(),
        });
    }

    fn initializing(&self, begun: bool) {
        self.control.say(&FromProcess::Initializing(begun));
    }

    fn alive(&self, sessions: usize) {
        self.control.say(&FromProcess::Alive {
            token: self.token,
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        });
    }
}
