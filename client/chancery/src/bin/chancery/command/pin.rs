//! `chancery pin`

use chancery::{Pin, name};

use super::keys::last;
use super::{call, connect, tokens};
use crate::cli::{DaemonArgs, PinArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::prompt::{self, Question};
use crate::stdio;

pub(super) async fn run(daemon: &DaemonArgs, args: PinArgs) -> Result<Verdict, CommandError> {
    // First, so that nobody types a PIN for a daemon that is not there.
    let client = connect(daemon).await?;
    let token = name::token(&args.token);
    let changed = if args.pin_stdin {
        let (old, new) = (prompt::read_stdin().await?, prompt::read_stdin().await?);
        client.change_pin(&token, old, new).await
    } else if tokens::has_pin_pad(&client, &token).await? {
        prompt::point_to_pad("the old PIN and the new one", last(&token), daemon.quiet);
        client.change_pin_at_pad(&token).await
    } else {
        let (old, new) = ask(last(&token)).await?;
        client.change_pin(&token, old, new).await
    };
    let changed = changed.map_err(call("change the PIN"))?;
    if !daemon.quiet {
        stdio::print(&tokens::table(&[changed.token]))?;
    }
    if let Some(place) = changed.configured_in {
        stdio::complain(&format!(
            "the daemon has the PIN of this token from {place}: put the new one there, or the token stays locked when the \
             daemon is started again"
        ));
    }
    Ok(Verdict::Good)
}

async fn ask(token: &str) -> Result<(Pin, Pin), CommandError> {
    let old = prompt::ask(Question { what: "Old PIN", token }).await?;
    let new = prompt::ask(Question { what: "New PIN", token }).await?;
    let again = prompt::ask(Question {
        what: "New PIN once more",
        token,
    })
    .await?;
    if new == again {
        Ok((old, new))
    } else {
        Err(CommandError::PinsDiffer)
    }
}
