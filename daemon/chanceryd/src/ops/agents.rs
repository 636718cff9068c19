//! Agents: people who answer for the PINs that the policy wants, each at the other end of a call that lasts. Somebody is asked
//! only about a key that the grants let him use in the same way himself, so that nobody learns anything new.
//!
//! ```text
//!   pin::demand ── question ──► agent's call ──► a person
//!               ◄── PIN, or a refusal ──────────
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use chancery_token::Pin;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::context::target_of;
use super::{Call, Context, OpError, Place};
use crate::audit::Event;
use crate::caller::Caller;
use crate::directory::Key;
use crate::policy::Operation;
use crate::sync::lock;

/// How long somebody may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Questions that may wait for one agent.
const QUESTIONS: usize = 16;

/// Who wants what of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// For the answer.
    pub id: u64,
    /// The token whose PIN is wanted.
    pub token: String,
    /// The key's name without `keys/`.
    pub key: String,
    /// The addr-spec that the request names.
    pub identity: Option<String>,
    /// What for.
    pub operation: Operation,
    /// Who wants it.
    pub caller: String,
    /// The request's id.
    pub request_id: String,
    /// When nobody waits for the answer any more.
    pub expires: SystemTime,
}

/// The agents that attend, and what they have been asked.
#[derive(Debug, Default)]
pub(super) struct Agents(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    numbers: u64,
    /// The latest is the last.
    attending: Vec<Attending>,
    asked: HashMap<u64, Asked>,
}

#[derive(Debug)]
struct Attending {
    number: u64,
    caller: Arc<Caller>,
    questions: mpsc::Sender<Question>,
}

#[derive(Debug)]
struct Asked {
    agent: u64,
    answer: oneshot::Sender<Option<Pin>>,
}

/// What an agent says: a PIN, or that there will be none.
pub(super) struct Answer {
    pub(super) pin: Option<Pin>,
    pub(super) agent: Arc<Caller>,
}

/// The way back from an agent. Dropped, the agent no longer attends.
#[derive(Debug)]
pub struct Answers {
    context: Arc<Context>,
    number: u64,
    _place: Place,
}

/// Begins to attend: questions come, and answers go.
///
/// # Errors
///
/// [`OpError::TooManyAgents`] if as many attend as may.
pub fn attend(context: &Arc<Context>, call: &Call) -> Result<(ReceiverStream<Question>, Answers), OpError> {
    let place = context.admit_agent(call)?;
    let (sender, questions) = mpsc::channel(QUESTIONS);
    let mut state = context.agents.state();
    let number = state.next_number();
    if !state.closed {
        state.attending.push(Attending {
            number,
            caller: Arc::clone(&call.caller),
            questions: sender,
        });
    }
    drop(state);
    tracing::info!(request_id = call.request_id, caller = %call.caller, "an agent attends");
    let answers = Answers {
        context: Arc::clone(context),
        number,
        _place: place,
    };
    Ok((ReceiverStream::new(questions), answers))
}

impl Answers {
    /// Returns once the daemon is about to stop: no answer counts any more.
    pub async fn over(&self) {
        self.context.stopped().await;
    }

    /// Answers a question that was put to this agent; none is a refusal.
    pub fn give(&self, question: u64, pin: Option<Pin>) {
        let mut state = self.context.agents.state();
        let is_mine = state
            .asked
            .get(&question)
            .is_some_and(|asked| asked.agent == self.number);
        let asked = if is_mine { state.asked.remove(&question) } else { None };
        if let Some(asked) = asked {
            // Whoever asked may have gone.
            let _ = asked.answer.send(pin);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let mut state = self.context.agents.state();
        state.attending.retain(|agent| agent.number != self.number);
        // Who waits for it hears that nobody will answer.
        state.asked.retain(|_, asked| asked.agent != self.number);
    }
}

impl Agents {
    /// Ends the calls of all agents: the daemon is about to stop.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.attending.clear();
        state.asked.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

/// Asks those who may use the key in the same way, the latest first; `None` if nobody is there, or nobody answers in time.
pub(super) async fn ask(context: &Context, call: &Call, event: &Event<'_>, key: &Key, token: &str) -> Option<Answer> {
    let until = Instant::now() + PATIENCE;
    let until = call.deadline.map_or(until, |deadline| deadline.min(until));
    let patience = until.saturating_duration_since(Instant::now());
    let question = Question {
        id: 0,
        token: token.to_owned(),
        key: key.hex.clone(),
        identity: event.identity.map(str::to_owned),
        operation: event.operation,
        caller: call.caller.to_string(),
        request_id: call.request_id.clone(),
        expires: call.now.checked_add(patience).unwrap_or(call.now),
    };
    let target = target_of(key);
    let may = |caller: &Caller| context.grants.decide(caller, event.operation, &target).is_allowed();
    let mut passed = Vec::new();
    loop {
        let (asking, answer, agent) = {
            let mut state = context.agents.state();
            let id = state.next_number();
            let mut latest_first = state.attending.iter().rev();
            let next = latest_first.find(|agent| !passed.contains(&agent.number) && may(&agent.caller))?;
            let (number, caller) = (next.number, Arc::clone(&next.caller));
            passed.push(number);
            if next.questions.try_send(Question { id, ..question.clone() }).is_err() {
                continue;
            }
            let (sender, answer) = oneshot::channel();
            state.asked.insert(
                id,
                Asked {
                    agent: number,
                    answer: sender,
                },
            );
            (Asking { context, id }, answer, caller)
        };
        let answered = tokio::time::timeout_at(until.into(), answer).await;
        drop(asking);
        match answered {
            Ok(Ok(pin)) => return Some(Answer { pin, agent }),
            // It has gone: the next one.
            Ok(Err(_)) => {}
            Err(_) => return None,
        }
    }
}

/// A question as long as somebody waits for the answer.
struct Asking<'a> {
    context: &'a Context,
    id: u64,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.context.agents.state().asked.remove(&self.id);
    }
}
