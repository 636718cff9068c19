//! `chancery identities`

use chancery::v1::IdentityKey;

use super::keys::{last, yes_or_no};
use super::{call, connect};
use crate::cli::{DaemonArgs, ListArgs};
use crate::error::CommandError;
use crate::exit::Verdict;
use crate::json::{self, IdentitiesJson};
use crate::stdio;
use crate::table::Table;

pub(super) async fn run(daemon: &DaemonArgs, args: ListArgs) -> Result<Verdict, CommandError> {
    let identities = connect(daemon)
        .await?
        .identities()
        .await
        .map_err(call("list the identities"))?;
    if args.json {
        json::print(&IdentitiesJson::new(&identities))?;
        return Ok(Verdict::Good);
    }
    let mut table = Table::new(["ADDRESS", "FOR", "AVAILABLE", "KEY"]);
    for identity in &identities {
        let former = identity.former_decryption.iter().map(|key| ("old mail", key));
        let uses = identity.signing.iter().map(|key| ("signing", key));
        let uses = uses
            .chain(identity.encryption.iter().map(|key| ("encryption", key)))
            .chain(former);
        for (purpose, key) in uses {
            table.row(row(last(&identity.name), purpose, key));
        }
    }
    stdio::print(&table.render("There are no identities that you may see."))?;
    Ok(Verdict::Good)
}

fn row(address: &str, purpose: &str, key: &IdentityKey) -> [String; 4] {
    [address, purpose, yes_or_no(key.available), last(&key.key)].map(str::to_owned)
}
