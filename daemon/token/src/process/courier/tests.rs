//! What becomes of answers: of this process and of the one before, of jobs that were done and of jobs that were not.
#![allow(clippy::unwrap_used, reason = "tests")]
use tokio::sync::oneshot;
use tracing::Span;

use super::*;
use crate::{
    backlog::Backlog,
    job::{Reply, Work},
    key::KeyId,
    packet::pair,
    queue::Priority,
};

fn courier(sessions: usize) -> Arc<Courier> {
    let board = Arc::new(Board::new("t".into(), "m".into(), None));
    let queue = Arc::new(Queue::new(100));
    Arc::new(Courier::new(board, queue, sessions, Backlog::default().share()))
}

/// A token that is ready, and the end of the socket at which its process would be.
fn connect(courier: &Courier) -> (Arc<OwnedFd>, OwnedFd) {
    let (ours, theirs) = pair().unwrap();
    let ours = Arc::new(ours);
    courier.connect(Arc::clone(&ours));
    courier.set_open(true);
    (ours, theirs)
}

/// Whoever waits for a job, which is on its way.
fn ask(courier: &Courier) -> oneshot::Receiver<Answer> {
    let (reply, answer) = oneshot::channel();
    let now = Instant::now();
    let job = Job {
        key: KeyId::from_bytes([1; 32]),
        work: Work::Agree { peer: vec![4] },
        queued: now,
        deadline: now + Duration::from_secs(600),
        lost: 0,
        retry: Retry::Here,
        span: Span::none(),
        reply: Reply::Caller(reply),
    };
    courier.queue.push(job, Priority::Interactive).unwrap();
    courier.pump();
    answer
}

fn say(process: &OwnedFd, id: u64, answer: AnswerBody) {
    let mut packet = Zeroizing::default();
    protocol::pack(&AnswerFrame { id, answer }, &mut packet).unwrap();
    send_packet(process, &packet, SendFlags::empty()).unwrap();
}

/// The process ends. What it has not read would have its answers lost.
fn end(process: OwnedFd) {
    let mut buffer = vec![0; MAX_PACKET];
    while rustix::net::recv(&process, buffer.as_mut_slice(), RecvFlags::DONTWAIT).is_ok() {}
}

fn done() -> AnswerBody {
    AnswerBody::Done(Zeroizing::new(vec![7]))
}

#[test]
fn the_pace_is_the_same_whether_answers_are_read_one_by_one_or_together() {
    let start = Instant::now();
    let mut state = State {
        progress: Some(start),
        ..State::default()
    };
    state.answered = 1;
    state.note_pace(start + Duration::from_micros(100));
    assert_eq!(state.pace, Some(Duration::from_micros(100)));
    state.answered = 20;
    state.note_pace(start + Duration::from_micros(2100));
    assert_eq!(state.pace, Some(Duration::from_micros(100)));
    state.note_pace(start + Duration::from_secs(60));
    assert_eq!(state.pace, Some(Duration::from_micros(100)), "nothing was read");
}

#[tokio::test]
async fn jobs_that_were_not_begun_do_not_make_a_token_look_quick() {
    let courier = courier(4);
    let (ours, theirs) = connect(&courier);
    let reading = tokio::spawn(Arc::clone(&courier).read_answers(ours));
    let asked: Vec<_> = (0..3).map(|_| ask(&courier)).collect();
    for id in 0..3 {
        let token = "t".to_owned();
        say(&theirs, id, AnswerBody::Unused(TokenError::DeadlineExceeded { token }));
    }
    for answer in asked {
        answer.await.unwrap().unwrap_err();
    }
    assert_eq!(lock(&courier.state).pace, None);
    let asked = ask(&courier);
    say(&theirs, 3, done());
    asked.await.unwrap().unwrap();
    assert!(lock(&courier.state).pace.is_some());
    reading.abort();
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_reason_to_end_the_process() {
    let courier = courier(1);
    let (ours, theirs) = connect(&courier);
    send_packet(&theirs, &[0xff; 3], SendFlags::empty()).unwrap();
    Arc::clone(&courier).read_answers(ours).await;
    assert!(courier.nonsense().is_some());
}

#[tokio::test]
async fn what_an_earlier_process_said_is_not_taken_for_the_word_of_the_present_one() {
    let courier = courier(1);
    let (first, its_process) = connect(&courier);
    let (second, process) = connect(&courier);
    let mut asked = ask(&courier);
    say(&its_process, 0, done());
    send_packet(&its_process, &[0xff; 3], SendFlags::empty()).unwrap();
    Arc::clone(&courier).read_answers(first).await;
    assert_eq!(courier.nonsense(), None);
    assert!(asked.try_recv().is_err(), "answered by a process that was not asked");
    assert_eq!(lock(&courier.state).pace, None);
    say(&process, 0, done());
    end(process);
    Arc::clone(&courier).read_answers(second).await;
    assert_eq!(**asked.await.unwrap().as_ref().unwrap(), [7]);
}

#[tokio::test]
async fn a_token_that_allows_more_sessions_again_is_given_more_jobs_again() {
    let courier = courier(3);
    let (ours, theirs) = connect(&courier);
    let reading = tokio::spawn(Arc::clone(&courier).read_answers(ours));
    let _asked: Vec<_> = (0..3).map(|_| ask(&courier)).collect();
    for id in 0..2 {
        say(&theirs, id, AnswerBody::NotStarted);
    }
    while lock(&courier.state).in_flight.len() > 1 {
        tokio::task::yield_now().await;
    }
    courier.pump();
    assert_eq!(lock(&courier.state).in_flight.len(), 1);
    courier.heed_sessions(2);
    assert_eq!(lock(&courier.state).in_flight.len(), 2);
    courier.heed_sessions(1);
    courier.heed_sessions(3);
    assert_eq!(lock(&courier.state).in_flight.len(), 3);
    assert_eq!(lock(&courier.state).allowed, None);
    reading.abort();
}
