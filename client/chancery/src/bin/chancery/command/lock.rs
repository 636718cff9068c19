//! `chancery lock`

use chancery::name;

use super::{call, connect, tokens};
use crate::cli::{DaemonArgs, LockArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::stdio;

pub(super) async fn run(daemon: &DaemonArgs, args: LockArgs) -> Result<Verdict, CommandError> {
    let client = connect(daemon).await?;
    let name = name::token(&args.token);
    let token = if args.drain {
        client.drain(&name).await.map_err(call("drain the token"))?
    } else {
        client.lock(&name).await.map_err(call("lock the token"))?
    };
    if !daemon.quiet {
        stdio::print(&tokens::table(&[token]))?;
    }
    Ok(Verdict::Good)
}
