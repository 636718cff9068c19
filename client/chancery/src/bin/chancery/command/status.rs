//! `chancery status`

mod activity;
mod screen;

use std::time::Duration;

use chancery::v1::{Token, WatchTokensResponse};
use chancery::{Client, ErrorKind, Health, TokenWatch};
use tokio::time::{MissedTickBehavior, interval};

use super::keys::last;
use super::{call, connect, tokens};
use crate::cli::{DaemonArgs, StatusArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::json::{self, StatusJson, health_word};
use crate::stdio;
use crate::table::Table;
use crate::words::Word;
use screen::Screen;

/// How often the numbers that change all the time are looked at, and the daemon is asked whether it serves.
const REFRESH: Duration = Duration::from_secs(1);

const WHAT: &str = "ask for the daemon's status";

pub(super) async fn run(daemon: &DaemonArgs, args: StatusArgs) -> Result<Verdict, CommandError> {
    let client = connect(daemon).await?;
    let health = client.health("").await.map_err(call(WHAT))?;
    let mut watch = match client.watch_tokens(args.watch.then_some(REFRESH)).await {
        Ok(watch) => Some(watch),
        // Whether the daemon is serving is for everybody to know, its tokens are not.
        Err(error) if error.kind() == ErrorKind::Refused => None,
        Err(error) => return Err(call(WHAT)(error)),
    };
    let mut status = Status {
        address: daemon.address.to_string(),
        version: None,
        health,
        tokens: None,
    };
    if let Some(watch) = &mut watch {
        status.take(next(watch).await?);
    }
    if args.watch {
        return follow(&client, watch, status, args.json).await;
    }
    if args.json {
        json::print(&StatusJson::new(&status))?;
    } else {
        stdio::print(&status.text())?;
    }
    Ok(match health {
        Health::Serving => Verdict::Good,
        _ => Verdict::NotServing,
    })
}

/// Shows the status, and again whenever it has changed, until the daemon stops.
async fn follow(
    client: &Client,
    mut watch: Option<TokenWatch>,
    mut status: Status,
    json: bool,
) -> Result<Verdict, CommandError> {
    let mut screen = (!json).then(Screen::open).transpose()?;
    let mut looks = interval(REFRESH);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = String::new();
    loop {
        let text = match &screen {
            Some(_) => status.text(),
            None => json::line(&StatusJson::new(&status))?,
        };
        if text != shown {
            match &mut screen {
                Some(screen) => screen.show(&text)?,
                None => stdio::print(&text)?,
            }
            shown = text;
        }
        tokio::select! {
            change = changed(&mut watch) => status.take(change?),
            _ = looks.tick() => status.health = client.health("").await.map_err(call(WHAT))?,
        }
    }
}

/// The next change, where there may be one.
async fn changed(watch: &mut Option<TokenWatch>) -> Result<WatchTokensResponse, CommandError> {
    match watch {
        Some(watch) => next(watch).await,
        None => std::future::pending().await,
    }
}

async fn next(watch: &mut TokenWatch) -> Result<WatchTokensResponse, CommandError> {
    watch.next().await.map_err(call(WHAT))?.ok_or(CommandError::Stopping)
}

/// What is known of the daemon.
pub(crate) struct Status {
    pub(crate) address: String,
    /// Whoever may not list tokens is not told.
    pub(crate) version: Option<String>,
    pub(crate) health: Health,
    /// Ordered by name; none if the caller may not list them.
    pub(crate) tokens: Option<Vec<Token>>,
}

impl Status {
    /// Takes over what has changed.
    fn take(&mut self, change: WatchTokensResponse) {
        if !change.daemon_version.is_empty() {
            self.version = Some(change.daemon_version);
        }
        let tokens = self.tokens.get_or_insert_default();
        for token in change.tokens {
            match tokens.binary_search_by(|known| known.name.cmp(&token.name)) {
                Ok(place) => {
                    if let Some(known) = tokens.get_mut(place) {
                        *known = token;
                    }
                }
                Err(place) => tokens.insert(place, token),
            }
        }
    }

    fn text(&self) -> String {
        let version = self.version.as_deref().map(|version| format!(" {version}"));
        let mut text = format!(
            "chanceryd{} at {}: {}\n",
            version.unwrap_or_default(),
            self.address,
            health_word(self.health)
        );
        let Some(tokens) = &self.tokens else {
            text.push_str("You may not list its tokens.\n");
            return text;
        };
        let mut table = Table::new([
            "TOKEN",
            "STATE",
            "PIN",
            "KEYS",
            "SESSIONS",
            "WAITING",
            "RESTARTS",
            "LAST ERROR",
            "DETAIL",
        ]);
        for token in tokens {
            table.row([
                last(&token.name).to_owned(),
                token.state().word().unwrap_or("unknown").to_owned(),
                token.pin_status().word().unwrap_or_default().to_owned(),
                token.key_count.to_string(),
                token.sessions.to_string(),
                token.jobs_waiting.to_string(),
                token.worker_restarts.to_string(),
                token.last_error.clone(),
                tokens::detail(token, &[]),
            ]);
        }
        text.push_str(&table.render("There are no tokens that you may see."));
        text.push_str(&activity::text(tokens));
        text
    }
}
