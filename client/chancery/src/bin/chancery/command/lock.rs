//! `chancery lock`

use chancery::name;

use super::{call, connect, tokens};
use crate::cli::{DaemonArgs, LockArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::stdio;

pub(super) async fn run(daemon: &DaemonArgs, args: LockArgs) -> Result<Verdict, CommandError> {
    let client = connect(daemon).await?;
    let token = client
        .lock(&name::token(&args.token))
        .await
        .map_err(call("lock the token"))?;
    if !daemon.quiet {
        stdio::print(&tokens::table(&[token]))?;
    }
    Ok(Verdict::Good)
}
