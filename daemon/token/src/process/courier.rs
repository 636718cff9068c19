//! The jobs of one token that are with its module process: who waits for each, for how long, and how many there may be.

use std::{
    collections::HashMap,
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags},
};
use tokio::io::{Interest, unix::AsyncFd};
use zeroize::{Zeroize as _, Zeroizing};

use super::window::window;
use crate::{
    allowance::Use,
    backlog::Share,
    board::Board,
    error::TokenError,
    job::{Answer, Job, Retry},
    packet::send_packet,
    protocol::{self, AnswerBody, AnswerFrame, JobFrame, MAX_PACKET},
    queue::Queue,
    sync::lock,
    trace,
};

/// How much of the average pace the answers that are read together make up: one part in so many.
const SMOOTHING: u32 = 4;

/// Answers that are read before other tasks have their turn.
const TURN: usize = 64;

/// A job is given to a second process if the first one ended with it, and not to a third.
const MAX_LOST: u8 = 1;

pub(crate) struct Courier {
    board: Arc<Board>,
    queue: Arc<Queue<Job>>,
    sessions: usize,
    backlog: Share,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The job socket of a process whose token is ready.
    socket: Option<Arc<OwnedFd>>,
    open: bool,
    in_flight: HashMap<u64, InFlight>,
    next: u64,
    /// When answers were last read, or the token was first given something to do.
    progress: Option<Instant>,
    /// Jobs of which it has been read since that they were done, or tried.
    answered: u32,
    /// Between two answers while there is always a next job, of late.
    pace: Option<Duration>,
    /// Sessions that the token has turned out to allow, if fewer than configured.
    allowed: Option<usize>,
    /// What made no sense in an answer of the process.
    nonsense: Option<String>,
    packet: Zeroizing<Vec<u8>>,
}

impl State {
    /// Whether jobs are given to the process at the other end, and no later one.
    fn is_of(&self, socket: &Arc<OwnedFd>) -> bool {
        self.socket.as_ref().is_some_and(|now| Arc::ptr_eq(now, socket))
    }

    /// The answers of one round have been read.
    fn note_pace(&mut self, now: Instant) {
        let answered = std::mem::take(&mut self.answered);
        if answered == 0 {
            return;
        }
        if let Some(before) = self.progress.replace(now) {
            let took = now.saturating_duration_since(before) / answered;
            let pace = self.pace.unwrap_or(took);
            self.pace = Some(pace - pace / SMOOTHING + took / SMOOTHING);
        }
    }
}

struct InFlight {
    /// `None` once its caller has been told that it took too long.
    job: Option<Job>,
    /// What it takes of the token's allowance, if that is limited.
    taken: Option<Use>,
    /// When the process was given it.
    since: Instant,
}

impl Courier {
    pub(crate) fn new(board: Arc<Board>, queue: Arc<Queue<Job>>, sessions: usize, backlog: Share) -> Self {
        Self {
            board,
            queue,
            sessions,
            backlog,
            state: Mutex::default(),
        }
    }

    /// Jobs from now on go to this socket, once the token is ready.
    pub(super) fn connect(&self, socket: Arc<OwnedFd>) {
        let mut state = lock(&self.state);
        state.socket = Some(socket);
        state.open = false;
        state.pace = None;
        state.allowed = None;
        state.nonsense = None;
    }

    /// Whether jobs are given to the process: only while its token is ready.
    pub(super) fn set_open(&self, open: bool) {
        lock(&self.state).open = open;
        self.pump();
    }

    /// Its workers have so many sessions: the token allows no fewer, whatever it allowed before.
    pub(super) fn heed_sessions(&self, sessions: usize) {
        let mut state = lock(&self.state);
        if state.allowed.is_some_and(|allowed| allowed < sessions) {
            state.allowed = Some(sessions).filter(|sessions| *sessions < self.sessions);
            drop(state);
            self.pump();
        }
    }

    /// Gives the process what it can do soon.
    pub(crate) fn pump(&self) {
        let mut state = lock(&self.state);
        self.hand_over(&mut state);
        if let Some(pace) = state.pace {
            let at_once = state.allowed.unwrap_or(self.sessions);
            let ahead = state.in_flight.len().saturating_sub(at_once);
            self.backlog
                .lasts(pace.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX)));
        }
    }

    fn hand_over(&self, state: &mut State) {
        let Some(socket) = state.socket.as_ref().filter(|_| state.open) else {
            return;
        };
        let window = window(state.allowed.unwrap_or(self.sessions), state.pace);
        while state.in_flight.len() < window {
            let Some(job) = self.queue.try_take() else { return };
            if job.is_abandoned() {
                continue;
            }
            let now = Instant::now();
            if job.deadline <= now {
                job.answer(Err(self.deadline_exceeded()));
                continue;
            }
            let Ok(taken) = self.board.limit.take() else {
                let error = self.not_allowed(&job);
                job.answer(Err(error));
                continue;
            };
            let frame = JobFrame {
                id: state.next,
                key: job.key,
                deadline: job.deadline.into(),
                work: &job.work,
            };
            let sent = protocol::pack(&frame, &mut state.packet)
                .map_err(|_| Errno::INVAL)
                .and_then(|()| send_packet(socket, &state.packet, SendFlags::DONTWAIT));
            match sent {
                Ok(()) => {
                    if state.in_flight.is_empty() {
                        state.progress = Some(now);
                    }
                    let waited = now.saturating_duration_since(job.queued);
                    self.board.tally.here.waited(waited);
                    trace::taken(&job.span, waited);
                    state.in_flight.insert(
                        state.next,
                        InFlight {
                            job: Some(job),
                            taken,
                            since: now,
                        },
                    );
                    state.next += 1;
                }
                Err(Errno::AGAIN | Errno::PIPE | Errno::CONNRESET) => {
                    // No room now, or no process: the next answer, or the next process, brings us back here.
                    give_back(taken);
                    if let Some(job) = self.queue.put_back(job) {
                        job.answer(Err(self.shut_down()));
                    }
                    return;
                }
                Err(errno) => {
                    tracing::error!(token = self.board.name, %errno, "a job could not be passed on");
                    give_back(taken);
                    job.answer(Err(self.lost(format!("the job could not be passed on: {errno}"))));
                }
            }
        }
    }

    /// Reads answers until the process has gone.
    pub(super) async fn read_answers(self: Arc<Self>, socket: Arc<OwnedFd>) {
        #[expect(
            deprecated,
            reason = "what is unsound is a type whose descriptor changes or closes meanwhile; an `Arc<OwnedFd>`'s does neither"
        )]
        let registered = AsyncFd::with_interest(Arc::clone(&socket), Interest::READABLE);
        let Ok(registered) = registered.inspect_err(|error| {
            tracing::error!(token = self.board.name, %error, "answers cannot be waited for");
        }) else {
            return;
        };
        let mut buffer = Zeroizing::new(vec![0; MAX_PACKET]);
        while let Ok(mut ready) = registered.readable().await {
            for _ in 0..TURN {
                match rustix::net::recv(socket.as_fd(), buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                    Ok((0, _)) => return,
                    Ok((length, _)) => {
                        let Some(packet) = buffer.get_mut(..length) else { return };
                        let frame = protocol::parse::<AnswerFrame>(packet);
                        packet.zeroize();
                        match frame {
                            Ok(frame) => self.complete(&socket, frame),
                            Err(error) => {
                                let mut state = lock(&self.state);
                                if state.is_of(&socket) {
                                    state.nonsense = Some(error.to_string());
                                }
                                return;
                            }
                        }
                    }
                    Err(Errno::AGAIN) => {
                        ready.clear_ready();
                        break;
                    }
                    Err(Errno::INTR) => {}
                    Err(_) => return,
                }
            }
            drop(ready);
            let now = Instant::now();
            let mut state = lock(&self.state);
            if !state.is_of(&socket) {
                return;
            }
            state.note_pace(now);
            drop(state);
            self.pump();
        }
    }

    fn complete(&self, socket: &Arc<OwnedFd>, frame: AnswerFrame) {
        let mut state = lock(&self.state);
        if !state.is_of(socket) {
            return;
        }
        // One that nobody knows is an invention.
        let Some(mut entry) = state.in_flight.remove(&frame.id) else {
            return;
        };
        // One that was not begun, or whose time was up, says nothing of how long the work takes.
        state.answered += u32::from(matches!(frame.answer, AnswerBody::Done(_) | AnswerBody::Failed(_)));
        let answer: Answer = match frame.answer {
            AnswerBody::Done(octets) => Ok(octets),
            AnswerBody::Failed(error) => Err(error),
            AnswerBody::Unused(error) => {
                give_back(entry.taken.take());
                Err(error)
            }
            AnswerBody::NotStarted => {
                give_back(entry.taken.take());
                // A worker without a session took it. Those with one can have it, and so many are enough.
                let with_one = self.board.sessions.load(Ordering::Relaxed);
                let others = state.in_flight.len().max(with_one).clamp(1, self.sessions);
                state.allowed = Some(others);
                drop(state);
                if let Some(job) = entry.job.and_then(|job| self.queue.put_back(job)) {
                    job.answer(Err(self.shut_down()));
                }
                return;
            }
        };
        drop(state);
        // Done, before anybody hears of it.
        drop(entry.taken);
        if let Some(job) = entry.job {
            job.answer(answer);
        }
    }

    /// Why the process has to end: what it sent for an answer made no sense.
    pub(super) fn nonsense(&self) -> Option<String> {
        lock(&self.state).nonsense.take()
    }

    /// Whether the process has any job.
    pub(super) fn is_busy(&self) -> bool {
        !lock(&self.state).in_flight.is_empty()
    }

    /// Tells those whose time is up. For how long the process has had the oldest job that it has not answered: that others are
    /// answered meanwhile does not give back the session that it occupies.
    pub(super) fn sweep(&self, now: Instant) -> Option<Duration> {
        let mut late = Vec::new();
        let mut state = lock(&self.state);
        for entry in state.in_flight.values_mut() {
            if let Some(job) = entry.job.take_if(|job| job.deadline <= now) {
                late.push(job);
            }
        }
        let oldest = state.in_flight.values().map(|entry| entry.since).min();
        drop(state);
        for job in late {
            job.answer(Err(TokenError::TimedOut {
                token: self.board.name.clone(),
            }));
        }
        oldest.map(|since| now.saturating_duration_since(since))
    }

    /// What the process has counts from now on as given to it at this moment.
    pub(super) fn wait_for_the_library(&self, now: Instant) {
        for entry in lock(&self.state).in_flight.values_mut() {
            entry.since = now;
        }
    }

    /// The process has gone. What it had is given to the next one, once, unless another token can have it.
    pub(super) fn disconnect(&self, how: &str) {
        let mut state = lock(&self.state);
        state.socket = None;
        state.open = false;
        state.progress = None;
        let mut unanswered: Vec<(u64, InFlight)> = state.in_flight.drain().collect();
        drop(state);
        // What it had has been paid for, and is not given to another process where that would have to be paid again and cannot.
        let may_repeat = !self.board.limit.is_spent();
        // The oldest is put back last, and comes first again.
        unanswered.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        for mut job in unanswered.into_iter().filter_map(|(_, entry)| entry.job) {
            if may_repeat && job.lost < MAX_LOST && job.retry == Retry::Here {
                job.lost += 1;
                if let Some(job) = self.queue.put_back(job) {
                    job.answer(Err(self.shut_down()));
                }
            } else {
                job.answer(Err(self.lost(how.to_owned())));
            }
        }
    }

    /// One that a process had as it ended may have been done, and would need another use to be done again.
    fn not_allowed(&self, job: &Job) -> TokenError {
        let token = self.board.name.clone();
        match job.lost {
            0 => TokenError::Locked { token },
            _ => self.lost("it is not done anew, since what the token was unlocked for is spent".to_owned()),
        }
    }

    fn deadline_exceeded(&self) -> TokenError {
        let token = self.board.name.clone();
        TokenError::DeadlineExceeded { token }
    }

    fn shut_down(&self) -> TokenError {
        let token = self.board.name.clone();
        TokenError::Shutdown { token }
    }

    fn lost(&self, how: String) -> TokenError {
        let token = self.board.name.clone();
        TokenError::ModuleEnded { token, how }
    }
}

fn give_back(taken: Option<Use>) {
    if let Some(taken) = taken {
        taken.give_back();
    }
}

#[cfg(test)]
mod tests;
