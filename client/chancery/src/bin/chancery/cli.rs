//! The command line as clap sees it: names, help and defaults. What a command does is in `command/`.

pub(crate) mod encrypt;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use chancery::{Address, DEFAULT_ADDRESS, v1};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit;
use crate::text::duration;

/// Signs, encrypts, decrypts and verifies mail with keys that chanceryd holds on tokens.
#[derive(Debug, Parser)]
#[command(name = "chancery", version, max_term_width = 100, after_help = exit::HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the daemon is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct DaemonArgs {
    /// Where chanceryd listens: unix:/PATH, or https://HOST:PORT with the three --tls options.
    #[arg(long, global = true, env = "CHANCERY_ADDRESS", value_name = "ADDRESS", default_value = DEFAULT_ADDRESS)]
    pub(crate) address: Address,
    /// PEM file with the client certificate and its issuers.
    #[arg(long, global = true, env = "CHANCERY_TLS_CERTIFICATE", value_name = "FILE")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// PEM file with the private key of the client certificate.
    #[arg(long, global = true, env = "CHANCERY_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// PEM file with the authorities that may have issued the daemon's certificate.
    #[arg(long, global = true, env = "CHANCERY_TLS_CA", value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Show neither progress nor remarks, only errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign a message with the current signing key of an identity.
    Sign(SignArgs),
    /// Encrypt a message to one or several recipients.
    Encrypt(encrypt::EncryptArgs),
    /// Decrypt a message with any key that you may use.
    Decrypt(DecryptArgs),
    /// Check the signatures of a message and print a report.
    ///
    /// Whether the signers' certificates are to be trusted (who issued them, whether they have been revoked) is not
    /// evaluated, and the report says so.
    Verify(VerifyArgs),
    /// List the keys that you may see.
    Keys(ListArgs),
    /// List the identities that you may see.
    Identities(ListArgs),
    /// List the tokens and the state they are in.
    Tokens(ListArgs),
    /// Show whether the daemon and its tokens are serving. Exit status 4 if the daemon is not.
    Status(StatusArgs),
    /// Log in to a token. The PIN is asked for on the terminal, without echo, or through systemd-ask-password where there is
    /// none. One call is one try.
    Unlock(UnlockArgs),
    /// Log out of a token and make the daemon forget its PIN.
    Lock(LockArgs),
    /// Change the PIN of a token. The old one is asked for, and the new one twice, without echo. One call is one try.
    Pin(PinArgs),
    /// Show who wants to use which protected key for what, and answer with the PIN or a refusal.
    ///
    /// The question is put on the terminal, or through systemd-ask-password where there is none. It lasts until it is interrupted
    /// or the daemon stops.
    Agent,
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page chancery(1), or write one for each command.
    Man {
        /// Write chancery.1, chancery-sign.1 and so on into this directory.
        #[arg(long, value_name = "DIR")]
        out_dir: Option<PathBuf>,
    },
}

/// Where the message is, and where the result goes.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// Read the message from this file instead of standard input.
    #[arg(long = "in", value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Write the result to this file instead of standard output. It appears when it is complete, and not at all if
    /// anything fails.
    #[arg(long = "out", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Sign as this mail address; the one in the message's From field if not given.
    #[arg(long, value_name = "ADDR")]
    pub(crate) from: Option<String>,
    /// Wrap the content into the signature (application/pkcs7-mime) instead of leaving it readable beside it.
    #[arg(long)]
    pub(crate) opaque: bool,
    /// The message digest; the daemon's choice if not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) digest: Option<Digest>,
    /// Sign with RSASSA-PSS if the key is an RSA key.
    #[arg(long)]
    pub(crate) pss: bool,
    /// Let interactive work at the token go first.
    #[arg(long)]
    pub(crate) bulk: bool,
    /// Write a report in JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DecryptArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Consider the keys of this mail address alone.
    #[arg(long = "for", value_name = "ADDR")]
    pub(crate) identity: Option<String>,
    /// Let interactive work at the token go first.
    #[arg(long)]
    pub(crate) bulk: bool,
    /// Write a report in JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Read the message from this file instead of standard input.
    #[arg(long = "in", value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Write the signed content to this file, if every signature is valid.
    #[arg(long = "out", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Keep it fresh until interrupted. Exit status 69 when the daemon stops.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print JSON instead of a table; with --watch, on one line for each change.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnlockArgs {
    /// The token's name in the daemon's configuration; `chancery tokens` lists them.
    pub(crate) token: String,
    /// Read the PIN from the first line of standard input instead of the terminal.
    #[arg(long)]
    pub(crate) pin_stdin: bool,
    /// Lock it again after this time, such as 30min, 8h or 2d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) r#for: Option<Duration>,
    /// Lock it again after this many operations with its private keys.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) uses: Option<NonZeroU64>,
    /// Try the PIN though two tries with it never came to an end. Only if you are sure of it: each may have cost the token a try.
    #[arg(long)]
    pub(crate) even_if_unanswered: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// The token's name in the daemon's configuration; `chancery tokens` lists them.
    pub(crate) token: String,
    /// Let it finish all work that it has first; it takes nothing new from now on, until it is unlocked or the daemon is started
    /// again.
    #[arg(long)]
    pub(crate) drain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// The token's name in the daemon's configuration; `chancery tokens` lists them.
    pub(crate) token: String,
    /// Read the old PIN and the new one from the first two lines of standard input instead of the terminal.
    #[arg(long)]
    pub(crate) pin_stdin: bool,
}

/// The digests that signatures are made with.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

impl From<Digest> for v1::DigestAlgorithm {
    fn from(digest: Digest) -> Self {
        match digest {
            Digest::Sha256 => Self::Sha256,
            Digest::Sha384 => Self::Sha384,
            Digest::Sha512 => Self::Sha512,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
