//! `chancery encrypt`

use chancery::v1::{ContentEncryptionAlgorithm, EncryptOptions};

use super::{call, connect};
use crate::cli::DaemonArgs;
use crate::cli::encrypt::EncryptArgs;
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::files::{Input, Output, Secrecy};
use crate::json::{self, EncryptReportJson};
use crate::{progress, recipients};

pub(super) async fn run(daemon: &DaemonArgs, args: EncryptArgs) -> Result<Verdict, CommandError> {
    let input = Input::open(args.files.input.as_deref())?;
    let client = connect(daemon).await?;
    let options = EncryptOptions {
        recipients: recipients::certificates(&client, &args, daemon.quiet).await?,
        recipient_identities: Vec::new(),
        content_encryption: args
            .content_encryption
            .map(ContentEncryptionAlgorithm::from)
            .unwrap_or_default()
            .into(),
    };
    let mut output = Output::create(args.files.output.as_deref(), Secrecy::Public)?;
    let work = progress::watch(input.meter(), daemon.quiet, client.encrypt(options, input, &mut output));
    let report = work.await.map_err(call("encrypt the message"))?;
    output.commit()?;
    json::write(&EncryptReportJson::from(&report), args.report.as_deref())?;
    Ok(Verdict::Good)
}
