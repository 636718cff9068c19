//! `chancery keys`

use super::{call, connect};
use crate::cli::{DaemonArgs, ListArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::json::{self, KeysJson};
use crate::stdio;
use crate::table::Table;
use crate::words::Word;

pub(super) async fn run(daemon: &DaemonArgs, args: ListArgs) -> Result<Verdict, CommandError> {
    let keys = connect(daemon).await?.keys().await.map_err(call("list the keys"))?;
    if args.json {
        json::print(&KeysJson::new(&keys))?;
        return Ok(Verdict::Good);
    }
    let mut table = Table::new(["KEY", "ALGORITHM", "ROLES", "AVAILABLE", "TOKENS", "LABEL"]);
    for key in &keys {
        let algorithm = match key.algorithm().word() {
            Some("rsa") => format!("rsa-{}", key.key_bits),
            word => word.unwrap_or("unknown").to_owned(),
        };
        let roles: Vec<&str> = key.roles().filter_map(Word::word).collect();
        let tokens: Vec<&str> = key.replicas.iter().map(|replica| last(&replica.token)).collect();
        let available = key.replicas.iter().any(|replica| replica.available);
        table.row([
            last(&key.name).to_owned(),
            algorithm,
            roles.join(","),
            yes_or_no(available).to_owned(),
            tokens.join(","),
            key.replicas
                .first()
                .map(|replica| replica.object_label.clone())
                .unwrap_or_default(),
        ]);
    }
    stdio::print(&table.render("There are no keys that you may see."))?;
    Ok(Verdict::Good)
}

/// A resource's name without its collection.
pub(super) fn last(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, last)| last)
}

pub(super) fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
