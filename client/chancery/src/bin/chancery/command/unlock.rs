//! `chancery unlock`

use chancery::{UnlockTerms, name};

use super::keys::last;
use super::{call, connect, tokens};
use crate::cli::{DaemonArgs, UnlockArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::prompt::Question;
use crate::{prompt, stdio};

pub(super) async fn run(daemon: &DaemonArgs, args: UnlockArgs) -> Result<Verdict, CommandError> {
    // First, so that nobody types a PIN for a daemon that is not there.
    let client = connect(daemon).await?;
    let token = name::token(&args.token);
    let terms = UnlockTerms {
        expire_after: args.r#for,
        max_uses: args.uses,
        even_if_unanswered: args.even_if_unanswered,
    };
    let token = if args.pin_stdin {
        client.unlock_on(&token, prompt::read_stdin().await?, terms).await
    } else if tokens::has_pin_pad(&client, &token).await? {
        prompt::point_to_pad("the PIN", last(&token), daemon.quiet);
        client.unlock_at_pad(&token, terms).await
    } else {
        let (what, name) = ("PIN", last(&token));
        let pin = prompt::ask(Question { what, token: name }).await?;
        client.unlock_on(&token, pin, terms).await
    };
    let token = token.map_err(call("unlock the token"))?;
    if !daemon.quiet {
        stdio::print(&tokens::table(&[token]))?;
    }
    Ok(Verdict::Good)
}
