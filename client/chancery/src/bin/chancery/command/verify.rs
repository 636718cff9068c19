//! `chancery verify`

use chancery::v1::VerifyOptions;

use super::{call, connect};
use crate::cli::{DaemonArgs, VerifyArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::files::{Input, Output, Secrecy};
use crate::json::{self, ReportJson};
use crate::{progress, report, stdio};

pub(super) async fn run(daemon: &DaemonArgs, args: VerifyArgs) -> Result<Verdict, CommandError> {
    let options = VerifyOptions {
        return_content: args.output.is_some(),
    };
    let input = Input::open(args.input.as_deref())?;
    let client = connect(daemon).await?;
    let mut output = match &args.output {
        Some(path) => Output::create(Some(path), Secrecy::Public)?,
        None => Output::discard(),
    };
    let work = progress::watch(input.meter(), daemon.quiet, client.verify(options, input, &mut output));
    let found = work.await.map_err(call("verify the message"))?;
    let valid = report::is_valid(&found);
    if valid {
        output.commit()?;
    }
    if args.json {
        json::print(&ReportJson::new(&found, Some(valid)))?;
    } else {
        stdio::print(&report::render(&found))?;
    }
    Ok(if valid { Verdict::Good } else { Verdict::Bad })
}
