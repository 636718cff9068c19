//! The commands of the command line: what they print and how they end. One a file.

mod check_config;
mod man;
mod module_worker;
mod run;
mod verify_audit;

use std::fmt::Display;
use std::process::ExitCode;

pub use check_config::check_config;
pub use man::man;
pub use module_worker::module_worker;
pub use run::run;
pub use verify_audit::verify_audit;

/// sysexits.h's EX_CONFIG. The unit does not restart the daemon after it: nothing would have changed.
const EX_CONFIG: u8 = 78;

fn fail(status: impl Into<ExitCode>, error: impl Display) -> ExitCode {
    #[expect(
        clippy::print_stderr,
        reason = "a command's last words; the log may not have started"
    )]
    {
        eprintln!("chanceryd: {error}");
    }
    status.into()
}

fn say(line: impl Display) {
    #[expect(clippy::print_stdout, reason = "what the command was asked for")]
    {
        println!("{line}");
    }
}

/// An error with its causes, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Messages that show their cause themselves need no second copy of it.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
