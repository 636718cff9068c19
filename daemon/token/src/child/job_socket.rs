//! The job socket of one token, as its workers see it: each takes the next packet by itself.

use std::{
    cell::RefCell,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{
        RecvFlags, SendFlags, Shutdown, shutdown,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use tracing::Span;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    error::TokenError,
    job::{Answer, Job, Reply, Retry},
    packet::{Received, receive_packet, send_packet},
    protocol::{self, AnswerBody, AnswerFrame, MAX_PACKET, OwnedJobFrame},
    queue::Next,
    wait::{look_for, several_processors},
};

/// As [`the queue`](crate::queue)'s, and longer: the next request of a caller with one in flight has a socket more on its way
/// there and back.
const LOOK: Duration = Duration::from_micros(500);

thread_local! {
    /// Jobs of this thread come here: nothing secret, digests, ciphertexts and public keys.
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_PACKET]);
    /// Its answers go from here, and are wiped.
    static SENT: RefCell<Zeroizing<Vec<u8>>> = RefCell::new(Zeroizing::new(Vec::with_capacity(MAX_PACKET)));
}

#[derive(Debug)]
pub(crate) struct JobSocket {
    socket: OwnedFd,
    /// A worker looks for the next packet without sleeping.
    looking: AtomicBool,
    over: AtomicBool,
    /// How long it looks. Asking how many processors there are takes longer than a signature, so that is done once.
    look: Duration,
}

impl JobSocket {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            looking: AtomicBool::new(false),
            over: AtomicBool::new(false),
            look: if several_processors() { LOOK } else { Duration::ZERO },
        }
    }

    /// Nobody waits for a job longer than this.
    pub(super) fn be_patient(&self, patience: Option<Duration>) -> rustix::io::Result<()> {
        // Not poll(), which wakes everybody who waits when one packet comes.
        set_socket_timeout(&self.socket, Timeout::Recv, patience)
    }

    /// Waits for the next job, and no longer than the workers' patience, if they have been told of one.
    pub(crate) fn next(self: &Arc<Self>) -> Next<Job> {
        let frame = RECEIVED.with_borrow_mut(|buffer| {
            let received = match self.receive(buffer) {
                Err(Errno::AGAIN) => return Next::Nothing,
                Err(_) => return Next::Over,
                Ok(received) => received,
            };
            let packet = received.octets(buffer);
            if packet.is_empty() || self.is_over() {
                return Next::Over;
            }
            protocol::parse::<OwnedJobFrame>(packet)
                .inspect_err(|error| tracing::error!(%error, "the daemon sent a job that makes no sense"))
                .map_or(Next::Over, Next::Job)
        });
        let frame = match frame {
            Next::Job(frame) => frame,
            Next::Nothing => return Next::Nothing,
            Next::Over => {
                self.close();
                return Next::Over;
            }
        };
        Next::Job(Job {
            key: frame.key,
            work: frame.work,
            queued: Instant::now(),
            deadline: frame.deadline.into(),
            lost: 0,
            retry: Retry::Never,
            span: Span::none(),
            reply: Reply::Socket(Arc::clone(self), frame.id),
        })
    }

    pub(crate) fn answer(&self, id: u64, answer: Answer) {
        let answer = match answer {
            Ok(octets) => AnswerBody::Done(octets),
            Err(error) => AnswerBody::Failed(error),
        };
        self.send(&AnswerFrame { id, answer });
    }

    /// A job for which the key was not used.
    pub(crate) fn refuse(&self, id: u64, error: TokenError) {
        let answer = AnswerBody::Unused(error);
        self.send(&AnswerFrame { id, answer });
    }

    /// A job that was not started goes back to where it came from.
    pub(crate) fn put_back(&self, job: Job) {
        if let Reply::Socket(_, id) = job.reply {
            let answer = AnswerBody::NotStarted;
            self.send(&AnswerFrame { id, answer });
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Lets every worker go that waits for a job. Answers can still be sent.
    pub(super) fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
        // The other end may be gone already.
        let _ = shutdown(&self.socket, Shutdown::Read);
    }

    fn send(&self, frame: &AnswerFrame) {
        SENT.with_borrow_mut(|packet| {
            let sent = protocol::pack(frame, packet)
                .map_err(|_| Errno::INVAL)
                .and_then(|()| send_packet(&self.socket, packet, SendFlags::empty()));
            // What was written, and not all that there is room for: 32 KiB for each signature.
            packet.as_mut_slice().zeroize();
            packet.clear();
            if let Err(error) = sent {
                tracing::debug!(%error, "an answer could not be sent");
            }
        });
    }

    /// As the queue's workers do: one looks for a while, the others sleep (ADR 7). `AGAIN` once there is no patience left.
    fn receive(&self, buffer: &mut [u8]) -> rustix::io::Result<Received> {
        let now = self.receive_with(buffer, RecvFlags::DONTWAIT);
        if now != Err(Errno::AGAIN) {
            return now;
        }
        if !self.look.is_zero() && !self.looking.swap(true, Ordering::Relaxed) {
            let found = look_for(self.look, || {
                Some(self.receive_with(buffer, RecvFlags::DONTWAIT)).filter(|found| *found != Err(Errno::AGAIN))
            });
            self.looking.store(false, Ordering::Relaxed);
            if let Some(found) = found {
                return found;
            }
        }
        self.receive_with(buffer, RecvFlags::empty())
    }

    fn receive_with(&self, buffer: &mut [u8], flags: RecvFlags) -> rustix::io::Result<Received> {
        loop {
            match receive_packet(&self.socket, buffer, flags) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{job::Work, key::KeyId, packet::pair, protocol::JobFrame};

    #[test]
    fn however_long_a_job_lies_in_the_socket_its_deadline_is_the_same() {
        let (theirs, ours) = pair().unwrap();
        let socket = Arc::new(JobSocket::new(ours));
        let deadline = Instant::now();
        let frame = JobFrame {
            id: 7,
            key: KeyId::from_bytes([1; 32]),
            deadline: deadline.into(),
            work: Work::Agree { peer: vec![4] },
        };
        let mut packet = Zeroizing::default();
        protocol::pack(&frame, &mut packet).unwrap();
        send_packet(&theirs, &packet, SendFlags::empty()).unwrap();
        let Next::Job(job) = socket.next() else {
            unreachable!("there is one")
        };
        assert_eq!(job.deadline, deadline);
    }
}
