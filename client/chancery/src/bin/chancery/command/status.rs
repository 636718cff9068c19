//! `chancery status`

use chancery::{ErrorKind, Health};

use super::keys::last;
use super::{call, connect};
use crate::cli::{DaemonArgs, ListArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::json::{self, StatusJson, health_word};
use crate::stdio;
use crate::table::Table;
use crate::words::Word;

pub(super) async fn run(daemon: &DaemonArgs, args: ListArgs) -> Result<Verdict, CommandError> {
    let client = connect(daemon).await?;
    let what = "ask for the daemon's health";
    let health = client.health("").await.map_err(call(what))?;
    let tokens = match client.tokens().await {
        Ok(tokens) => {
            let mut described = Vec::with_capacity(tokens.len());
            for token in tokens {
                let health = client.health(&token.name).await.map_err(call(what))?;
                described.push((token, health));
            }
            Some(described)
        }
        // Whether the daemon is serving is for everybody to know, its tokens are not.
        Err(error) if error.kind() == ErrorKind::Refused => None,
        Err(error) => return Err(call(what)(error)),
    };
    if args.json {
        json::print(&StatusJson::new(daemon.address.to_string(), health, tokens.as_deref()))?;
    } else {
        let mut text = format!("chanceryd at {}: {}\n", daemon.address, health_word(health));
        match &tokens {
            Some(tokens) => {
                let mut table = Table::new(["TOKEN", "HEALTH", "STATE", "DETAIL"]);
                for (token, health) in tokens {
                    table.row([
                        last(&token.name).to_owned(),
                        health_word(*health).to_owned(),
                        token.state().word().unwrap_or("unknown").to_owned(),
                        token.detail.clone(),
                    ]);
                }
                text.push_str(&table.render("There are no tokens that you may see."));
            }
            None => text.push_str("You may not list its tokens.\n"),
        }
        stdio::print(&text)?;
    }
    Ok(if health == Health::Serving {
        Verdict::Good
    } else {
        Verdict::NotServing
    })
}
