//! `chancery sign`

use chancery::name;
use chancery::v1::{DigestAlgorithm, Priority, SignOptions, SignedForm};

use super::with_pin::with_pin;
use super::{call, connect};
use crate::cli::{DaemonArgs, SignArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::files::{Input, Output, Replay, Secrecy};
use crate::json::{self, SignReportJson};
use crate::progress;

pub(super) async fn run(daemon: &DaemonArgs, args: SignArgs) -> Result<Verdict, CommandError> {
    let form = if args.opaque {
        SignedForm::Opaque
    } else {
        SignedForm::Clear
    };
    let priority = if args.bulk {
        Priority::Bulk
    } else {
        Priority::Unspecified
    };
    let options = SignOptions {
        identity: args.from.as_deref().map(name::identity).unwrap_or_default(),
        form: form.into(),
        digest: args.digest.map(DigestAlgorithm::from).unwrap_or_default().into(),
        rsa_pss: args.pss,
        priority: priority.into(),
        ..SignOptions::default()
    };
    let mut input = Replay::new(Input::open(args.files.input.as_deref())?);
    let client = connect(daemon).await?;
    let sign = async |input: &mut Replay, pin| {
        let options = SignOptions { pin, ..options.clone() };
        let mut output = Output::create(args.files.output.as_deref(), Secrecy::Public)?;
        let work = progress::watch(input.meter(), daemon.quiet, client.sign(options, input, &mut output));
        let report = work.await.map_err(call("sign the message"))?;
        output.commit()?;
        Ok::<_, CommandError>(report)
    };
    let report = with_pin(&mut input, sign).await?;
    json::write(&SignReportJson::from(&report), args.report.as_deref())?;
    Ok(Verdict::Good)
}
