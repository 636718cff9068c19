//! `chancery agent`

use std::time::SystemTime;

use chancery::v1::Question;
use chancery::{Pin, PinError};

use super::keys::last;
use super::{call, connect};
use crate::cli::DaemonArgs;
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::{prompt, stdio};

pub(super) async fn run(daemon: &DaemonArgs) -> Result<Verdict, CommandError> {
    let client = connect(daemon).await?;
    let mut agent = client.attend().await.map_err(call("attend to questions"))?;
    if !daemon.quiet {
        stdio::complain("attending: whoever wants to use a protected key of yours is shown here");
    }
    while let Some(question) = agent.next().await.map_err(call("attend to questions"))? {
        if is_over(&question) {
            continue;
        }
        let pin = ask(&question).await?;
        agent.answer(&question, pin).await;
    }
    Err(CommandError::Stopping)
}

/// Whether nobody waits for the answer any more, because an earlier question took so long.
fn is_over(question: &Question) -> bool {
    let expires = question.expire_time.and_then(|time| SystemTime::try_from(time).ok());
    expires.is_some_and(|expires| expires <= SystemTime::now())
}

/// The PIN, or nothing to refuse.
async fn ask(question: &Question) -> Result<Option<Pin>, CommandError> {
    let what = format!(
        "{} wants to {} with {}{}. To allow it once, enter the PIN; to refuse, nothing. PIN",
        question.caller,
        question.operation,
        question.key,
        on_behalf(&question.identity)
    );
    let token = last(&question.token);
    match prompt::ask(prompt::Question { what: &what, token }).await {
        Ok(pin) => Ok(Some(pin)),
        Err(CommandError::Pin(PinError::Empty) | CommandError::NotAnswered(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn on_behalf(identity: &str) -> String {
    match last(identity) {
        "" => String::new(),
        address => format!(" as {address}"),
    }
}
