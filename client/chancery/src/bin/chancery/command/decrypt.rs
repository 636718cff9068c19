//! `chancery decrypt`

use chancery::name;
use chancery::v1::{DecryptOptions, Priority, Report, layer::Kind};

use super::with_pin::with_pin;
use super::{call, connect};
use crate::cli::{DaemonArgs, DecryptArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::files::{Input, Output, Replay, Secrecy};
use crate::json::{self, ReportJson};
use crate::{progress, stdio};

pub(super) async fn run(daemon: &DaemonArgs, args: DecryptArgs) -> Result<Verdict, CommandError> {
    let priority = if args.bulk {
        Priority::Bulk
    } else {
        Priority::Unspecified
    };
    let options = DecryptOptions {
        identity: args.identity.as_deref().map(name::identity).unwrap_or_default(),
        priority: priority.into(),
        ..DecryptOptions::default()
    };
    let mut input = Replay::new(Input::open(args.files.input.as_deref())?);
    let client = connect(daemon).await?;
    let decrypt = async |input: &mut Replay, pin| {
        let options = DecryptOptions { pin, ..options.clone() };
        let mut output = Output::create(args.files.output.as_deref(), Secrecy::Secret)?;
        let work = progress::watch(input.meter(), daemon.quiet, client.decrypt(options, input, &mut output));
        let report = work.await.map_err(call("decrypt the message"))?;
        output.commit()?;
        Ok::<_, CommandError>(report)
    };
    let report = with_pin(&mut input, decrypt).await?;
    json::write(&ReportJson::new(&report, None), args.report.as_deref())?;
    if !daemon.quiet && has_unauthenticated_layer(&report) {
        stdio::complain(
            "the message was encrypted without authentication (CBC): somebody on the way may have changed it, and only a \
             signature inside can tell",
        );
    }
    Ok(Verdict::Good)
}

fn has_unauthenticated_layer(report: &Report) -> bool {
    report
        .layers
        .iter()
        .any(|layer| matches!(&layer.kind, Some(Kind::Encrypted(layer)) if !layer.authenticated))
}
