//! `chancery tokens`

use chancery::Client;
use chancery::v1::Token;

use super::keys::last;
use super::{call, connect};
use crate::cli::{DaemonArgs, ListArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::json::{self, TokensJson};
use crate::stdio;
use crate::table::Table;
use crate::text::rfc3339;
use crate::words::Word;

pub(super) async fn run(daemon: &DaemonArgs, args: ListArgs) -> Result<Verdict, CommandError> {
    let tokens = connect(daemon).await?.tokens().await.map_err(call("list the tokens"))?;
    if args.json {
        json::print(&TokensJson::new(&tokens))?;
    } else {
        stdio::print(&table(&tokens))?;
    }
    Ok(Verdict::Good)
}

/// Whether a token has a PIN pad of its own, so that nobody need type its PIN here.
pub(super) async fn has_pin_pad(client: &Client, name: &str) -> Result<bool, CommandError> {
    let tokens = client.tokens().await.map_err(call("look at the token"))?;
    let is_there = |token: &Token| token.name == name && token.protected_authentication_path;
    Ok(tokens.iter().any(is_there))
}

/// The tokens for people, with whatever is wrong with them.
pub(super) fn table(tokens: &[Token]) -> String {
    let mut table = Table::new(["TOKEN", "STATE", "KEYS", "LABEL", "SERIAL", "DETAIL"]);
    for token in tokens {
        table.row([
            last(&token.name).to_owned(),
            token.state().word().unwrap_or("unknown").to_owned(),
            token.key_count.to_string(),
            token.label.clone(),
            token.serial_number.clone(),
            detail(token, &[&token.last_error, pin_warning(token)]),
        ]);
    }
    table.render("There are no tokens in the daemon's configuration that you may see.")
}

/// Why the token is in its state, what more there is to say, and for how long it is unlocked.
pub(super) fn detail(token: &Token, more: &[&str]) -> String {
    let mut detail = token.detail.clone();
    let lease = lease(token);
    for more in more.iter().copied().chain([lease.as_str()]) {
        if !more.is_empty() && !detail.contains(more) {
            let separator = if detail.is_empty() { "" } else { "; " };
            detail.push_str(separator);
            detail.push_str(more);
        }
    }
    detail
}

/// For how long the token is unlocked, if that has an end.
fn lease(token: &Token) -> String {
    let time = token.unlock_expire_time.and_then(|time| rfc3339(time.seconds));
    let time = time.map(|time| format!("until {time}"));
    let uses = token.unlock_uses_left.map(|uses| format!("for {uses} more uses"));
    let lease: Vec<String> = [time, uses].into_iter().flatten().collect();
    lease.join(" or ")
}

fn pin_warning(token: &Token) -> &'static str {
    match token.pin_status().word() {
        Some("count-low") => "a wrong PIN was tried",
        Some("final-try") => "one more wrong PIN locks the token",
        Some("locked") => "the PIN is locked",
        _ => "",
    }
}
