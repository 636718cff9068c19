//! Saying something to the daemon, from any thread.

use std::{
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
};

use super::give_up;
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
        if let Err(error) = protocol::write(&*lock(&self.0), frame) {
            give_up(&error);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::{
        env,
        os::unix::process::ExitStatusExt as _,
        process::{Command, Stdio},
    };

    use rustix::process::{Resource, Rlimit, Signal, setrlimit};

    use super::*;

    /// Set in the process that ends itself.
    const ALONE: &str = "CHANCERY_TEST_ALONE";

    const MORE_THAN_A_FRAME: usize = (64 << 20) + 1;

    /// By which signal a process ends that says so much to a daemon.
    fn ending_of_a_process_that_says(length: usize, is_there: bool) -> Option<i32> {
        let status = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "child::control::tests::a_process_that_cannot_speak_with_a_daemon_that_is_there_aborts",
            ])
            .env(ALONE, format!("{length} {is_there}"))
            .stdout(Stdio::null())
            .status();
        status.unwrap().signal()
    }

    #[test]
    fn a_process_that_cannot_speak_with_a_daemon_that_is_there_aborts() {
        let Ok(what) = env::var(ALONE) else {
            let abort = Some(Signal::ABORT.as_raw());
            assert_eq!(ending_of_a_process_that_says(MORE_THAN_A_FRAME, true), abort);
            // Nobody asks how that one ended.
            let kill = Some(Signal::KILL.as_raw());
            assert_eq!(ending_of_a_process_that_says(1, false), kill);
            return;
        };
        let nothing = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        setrlimit(Resource::Core, nothing).unwrap();
        let (length, is_there) = what.split_once(' ').unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let _daemon = (is_there == "true").then_some(theirs);
        let why = "x".repeat(length.parse().unwrap());
        Control::new(ours).say(&FromProcess::Spent { token: 0, why });
        panic!("it could speak");
    }
}
