//! A worker: a thread with one session, which takes jobs from the queue and runs them, and recovers once from what a
//! token does to its users. It never logs in and never searches; it asks the anchor.

mod keep_alive;
mod operate;

use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use cryptoki::session::Session;
use cryptoki_sys::CKR_SESSION_COUNT;

use crate::{
    anchor::{Command, Repair},
    ckr::{Failure, Remedy},
    error::TokenError,
    job::{Answer, Job},
    metrics::count_on_this_thread,
    queue::Next,
    shared::{Live, LiveKey, Shared},
    sync,
};
use operate::{Fault, Operation};

/// Times a job is started again after a repair.
const MAX_REPAIRS: u32 = 2;

/// How long a worker without a session leaves the queue to the others; less, if it was about to be woken.
const STAND_BACK: Duration = Duration::from_secs(1);

pub(crate) struct Worker {
    shared: Arc<Shared>,
    live: Option<Arc<Live>>,
    session: Option<OpenSession>,
    /// How long the session may be idle.
    keep_alive: Option<Duration>,
    warned: bool,
}

struct OpenSession {
    session: Session,
    attachment: u64,
}

/// What is left to do once the answer is on its way, so that the caller need not wait for it.
#[derive(Default)]
struct Aftermath {
    failure: Option<Failure>,
    close_session: bool,
    examine: Option<u64>,
}

/// How a job ended.
enum Outcome {
    Answered(Answer),
    /// The token has no session for this worker, and others have some.
    NoSession,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, keep_alive: Option<Duration>) -> Self {
        Self {
            shared,
            live: None,
            session: None,
            keep_alive,
            warned: false,
        }
    }

    /// Serves jobs until the queue is closed.
    pub(crate) fn run(mut self) {
        count_on_this_thread(Arc::clone(&self.shared.board.tally.here));
        loop {
            match self.shared.jobs.next(self.keep_alive) {
                Next::Job(job) => self.serve(job),
                Next::Nothing => self.keep_alive(),
                Next::Over => break,
            }
        }
        self.close_session();
    }

    fn serve(&mut self, job: Job) {
        if job.is_abandoned() {
            return;
        }
        let begun = Instant::now();
        if begun >= job.deadline {
            return job.answer_too_late(&self.shared.name);
        }
        // Behind a socket, whoever gave the job has taken it.
        let Ok(taken) = self.shared.board.limit.take() else {
            let token = self.shared.name.clone();
            return job.refuse(TokenError::Locked { token });
        };
        if let Some(time) = job.waited(begun) {
            self.shared.board.tally.here.waited(time);
        }
        let mut aftermath = Aftermath::default();
        let mut key_used = false;
        let outcome = self.perform(&job, &mut key_used, &mut aftermath);
        match taken {
            Some(taken) if !key_used => taken.give_back(),
            taken => drop(taken),
        }
        match outcome {
            Outcome::Answered(answer) => {
                let (operation, took, succeeded) = (job.work.operation(), begun.elapsed(), answer.is_ok());
                let was_padded_badly = matches!(answer, Err(TokenError::DecryptionFailed { .. }));
                match answer {
                    Err(error) if !key_used => job.refuse(error),
                    answer => job.answer(answer),
                }
                self.shared.board.tally.here.executed(operation, took);
                if succeeded {
                    self.shared.note_success();
                } else if was_padded_badly {
                    // In the status it looks like one that was padded well.
                    self.shared.board.note_success();
                } else {
                    self.clean_up(aftermath);
                }
            }
            Outcome::NoSession => {
                if let Some(job) = self.shared.jobs.put_back(job) {
                    let token = self.shared.name.clone();
                    job.answer(Err(TokenError::Shutdown { token }));
                }
                self.stand_back();
            }
        }
    }

    /// The token allows no more sessions than the other workers hold, who get the job. It may allow more later.
    fn stand_back(&mut self) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                token = self.shared.name,
                "the token allows fewer sessions than configured"
            );
        }
        std::thread::park_timeout(STAND_BACK);
    }

    /// `key_used` becomes true as soon as the key may have been used.
    fn perform(&mut self, job: &Job, key_used: &mut bool, aftermath: &mut Aftermath) -> Outcome {
        let mut repairs = 0;
        loop {
            // A repair takes its time as well.
            if repairs > 0 && Instant::now() >= job.deadline {
                let token = self.shared.name.clone();
                return Outcome::Answered(Err(match *key_used {
                    true => TokenError::TimedOut { token },
                    false => TokenError::DeadlineExceeded { token },
                }));
            }
            let Some(live) = self.current() else {
                if self.shared.board.is_ready() && repairs < MAX_REPAIRS {
                    repairs += 1;
                    // The anchor is attaching to it anew; this waits until it is done.
                    self.repair(self.shared.generation(), false, None);
                    continue;
                }
                return Outcome::Answered(Err(self.shared.board.unavailable()));
            };
            let Some(key) = live.keys.get(&job.key).copied() else {
                let token = self.shared.name.clone();
                return Outcome::Answered(Err(TokenError::KeyNotFound { token, key: job.key }));
            };
            let failure = match self.attempt(&live, key, job, key_used) {
                Ok(answer) => return Outcome::Answered(Ok(answer)),
                Err(Fault::Refused(error)) => return Outcome::Answered(Err(error)),
                Err(Fault::Outdated) if repairs < MAX_REPAIRS => {
                    repairs += 1;
                    // The anchor knows; this waits until it is done.
                    self.repair(live.generation, false, None);
                    continue;
                }
                Err(Fault::Outdated) => return Outcome::Answered(Err(self.shared.board.unavailable())),
                Err(Fault::Failed { failure, error }) => {
                    if failure.function == "C_OpenSession"
                        && failure.ckr.0 == CKR_SESSION_COUNT
                        && self.shared.board.sessions.load(Ordering::Relaxed) > 0
                    {
                        return Outcome::NoSession;
                    }
                    if let Some(error @ TokenError::DecryptionFailed { .. }) = error {
                        // Nothing else shows it, neither the status nor a session less nor the time of the next job: a
                        // ciphertext that is padded badly must not be told from another by asking elsewhere.
                        *aftermath = Aftermath::default();
                        return Outcome::Answered(Err(error));
                    }
                    aftermath.failure = Some(failure);
                    if let Some(error) = error {
                        aftermath.close_session = true;
                        return Outcome::Answered(Err(error));
                    }
                    failure
                }
            };
            let remedy = failure.ckr.remedy();
            if !matches!(remedy, Remedy::Examine | Remedy::Refused) {
                self.abandon_or_close(remedy);
            }
            if remedy.tries_again() && repairs < MAX_REPAIRS {
                repairs += 1;
                if remedy != Remedy::CloseSession {
                    self.repair(live.generation, remedy == Remedy::LookUp, None);
                }
            } else if remedy == Remedy::Absent {
                self.repair(live.generation, false, Some(failure));
                return Outcome::Answered(Err(TokenError::Absent {
                    token: self.shared.name.clone(),
                }));
            } else {
                aftermath.close_session = true;
                aftermath.examine = Some(live.generation);
                return Outcome::Answered(Err(TokenError::Ckr {
                    token: self.shared.name.clone(),
                    function: failure.function.into(),
                    ckr: failure.ckr.name().into(),
                }));
            }
        }
    }

    fn attempt(
        &mut self,
        live: &Live,
        key: LiveKey,
        job: &Job,
        key_used: &mut bool,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, Fault> {
        let operation = Operation {
            shared: &self.shared,
            live,
            key,
        };
        operation.check(&job.work)?;
        if self.session.is_none() {
            self.session = Some(self.open_session(live)?);
        }
        let Some(open) = &self.session else {
            return Err(Fault::from(self.shared.board.unavailable()));
        };
        let result = if key.always_authenticate {
            let _alone = sync::write(&self.shared.calls);
            self.check_that_it_lasts(live)?;
            let pin = operation.context_pin()?;
            operation.run(&open.session, &job.work, Some(&pin))
        } else {
            let _calls = sync::read(&self.shared.calls);
            self.check_that_it_lasts(live)?;
            operation.run(&open.session, &job.work, None)
        };
        *key_used |= !matches!(&result, Err(Fault::Failed { failure, .. }) if failure.is_before_use());
        result
    }

    fn open_session(&self, live: &Live) -> Result<OpenSession, Fault> {
        let _calls = sync::read(&self.shared.calls);
        // Nobody would close a session that is opened once the anchor has closed them all.
        self.check_that_it_lasts(live)?;
        let session = live.module.context.open_ro_session(live.slot).map_err(Failure::from)?;
        self.shared.board.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(OpenSession {
            session,
            attachment: live.attachment,
        })
    }

    /// Whether the handles are still good, and will be as long as the caller's share of `calls` is held.
    fn check_that_it_lasts(&self, live: &Live) -> Result<(), Fault> {
        match self.shared.generation() == live.generation {
            true => Ok(()),
            false => Err(Fault::Outdated),
        }
    }

    /// The token as it is now; a session from another attachment is given up. While nobody is logged in it is kept: a lock leaves
    /// sessions open.
    fn current(&mut self) -> Option<Arc<Live>> {
        let generation = self.shared.generation();
        if self.live.as_ref().is_none_or(|live| live.generation != generation) {
            self.live = self.shared.live();
        }
        if let (Some(open), Some(live)) = (&self.session, &self.live)
            && open.attachment != live.attachment
        {
            // The anchor closed all sessions of the old attachment; the handle's number may be another's by now.
            self.abandon_session();
        }
        self.live.clone()
    }

    /// Asks the anchor to look after the token, and waits until it has.
    fn repair(&self, generation: u64, look_up: bool, failure: Option<Failure>) {
        let (done, wait) = mpsc::sync_channel(1);
        let repair = Repair {
            generation,
            look_up,
            failure,
            worked_before: failure.is_some() && self.shared.take_success(),
            done: Some(done),
        };
        if self.shared.anchor.send(Command::Repair(repair)).is_ok() {
            // The anchor drops the sender when it stops.
            let _ = wait.recv();
        }
    }

    fn clean_up(&mut self, aftermath: Aftermath) {
        let Some(failure) = aftermath.failure else { return };
        if aftermath.close_session {
            self.abandon_or_close(failure.ckr.remedy());
        }
        self.shared.board.note_error(failure.ckr.name());
        if let Some(generation) = aftermath.examine {
            // If the anchor is busy it is looking after the token already.
            let repair = Repair {
                generation,
                look_up: false,
                failure: Some(failure),
                worked_before: self.shared.take_success(),
                done: None,
            };
            let _ = self.shared.anchor.try_send(Command::Repair(repair));
        }
    }

    fn abandon_or_close(&mut self, remedy: Remedy) {
        match remedy {
            Remedy::NewSession | Remedy::Absent => self.abandon_session(),
            _ => self.close_session(),
        }
    }

    /// Closes it, unless the anchor has: its number may be another's by now.
    fn close_session(&mut self) {
        if let Some(open) = self.session.take() {
            self.shared.board.sessions.fetch_sub(1, Ordering::Relaxed);
            let _calls = sync::read(&self.shared.calls);
            if !self.shared.is_attached(open.attachment) {
                std::mem::forget(open.session);
            } else if let Err(error) = open.session.close() {
                tracing::debug!(token = self.shared.name, %error, "a session could not be closed");
            }
        }
    }

    /// Forgets a session that the module has forgotten, without C_CloseSession: its number may be another's by now.
    fn abandon_session(&mut self) {
        if let Some(open) = self.session.take() {
            self.shared.board.sessions.fetch_sub(1, Ordering::Relaxed);
            std::mem::forget(open.session);
        }
    }
}
