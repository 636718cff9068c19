//! One command a file. Each says what it does with the daemon and how the answer is shown, and nothing about how bytes
//! move.

mod agent;
mod completions;
mod decrypt;
mod encrypt;
mod identities;
mod keys;
mod lock;
mod man;
mod pin;
mod sign;
mod status;
mod tokens;
mod unlock;
mod verify;
mod with_pin;

use chancery::{Client, ConnectOptions, TlsFiles};

pub(crate) use status::Status;

use crate::cli::{Cli, Command, DaemonArgs};
use crate::error::CommandError;
use crate::exit::Verdict;

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> Result<Verdict, CommandError> {
    let daemon = &cli.daemon;
    match cli.command {
        Command::Sign(args) => sign::run(daemon, args).await,
        Command::Encrypt(args) => encrypt::run(daemon, args).await,
        Command::Decrypt(args) => decrypt::run(daemon, args).await,
        Command::Verify(args) => verify::run(daemon, args).await,
        Command::Keys(args) => keys::run(daemon, args).await,
        Command::Identities(args) => identities::run(daemon, args).await,
        Command::Tokens(args) => tokens::run(daemon, args).await,
        Command::Status(args) => status::run(daemon, args).await,
        Command::Unlock(args) => unlock::run(daemon, args).await,
        Command::Lock(args) => lock::run(daemon, args).await,
        Command::Pin(args) => pin::run(daemon, args).await,
        Command::Agent => agent::run(daemon).await,
        Command::Completions { shell } => completions::run(shell),
        Command::Man { out_dir } => man::run(out_dir.as_deref()),
    }
}

async fn connect(daemon: &DaemonArgs) -> Result<Client, CommandError> {
    let options = match (&daemon.tls_certificate, &daemon.tls_key, &daemon.tls_ca) {
        (Some(certificate), Some(key), Some(ca)) => ConnectOptions::default().tls(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            ca: ca.clone(),
        }),
        (None, None, None) => ConnectOptions::default(),
        _ => return Err(CommandError::TlsOptions),
    };
    Client::connect_with(&daemon.address, &options)
        .await
        .map_err(call("connect"))
}

/// Says what was to be done when a call fails.
pub(crate) fn call(what: &'static str) -> impl FnOnce(chancery::Error) -> CommandError {
    move |source| CommandError::Call {
        what,
        source: Box::new(source),
    }
}
