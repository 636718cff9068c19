//! From the start of the process until the daemon says that it is ready, with many keys in one token.

use std::time::Instant;

use anyhow::{Result, ensure};
use chancery::{Client, v1::TokenState};
use hsm_tests::daemon::Setup;

use crate::{
    table::{Row, Table},
    world::{Scale, TOKEN},
};

pub(crate) fn measure(scale: &Scale, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut daemon = Setup::new().token(TOKEN, &[]).log_level("info").start()?;
    let token = daemon.token(TOKEN)?;
    daemon.softhsm().generate_many(token, scale.keys)?;
    let begun = Instant::now();
    daemon.restart()?;
    let ready = begun.elapsed().as_secs_f64();
    let keys = runtime.block_on(async {
        let client = Client::connect(&daemon.address()).await?;
        loop {
            let token = client
                .tokens()
                .await?
                .into_iter()
                .find(|token| token.name.ends_with(TOKEN));
            if let Some(token) = token.filter(|token| token.state() == TokenState::Ready) {
                return anyhow::Ok(token.key_count);
            }
            ensure!(begun.elapsed().as_secs() < 120, "the token did not become ready");
        }
    })?;
    let usable = begun.elapsed().as_secs_f64();
    ensure!(keys == scale.keys, "{keys} keys were found instead of {}", scale.keys);
    table.push(Row {
        what: &format!("Start-up with {} keys in one token", scale.keys),
        ours: format!("serving after {ready:.2} s, all keys usable after {usable:.2} s"),
        baseline: String::new(),
        peer: String::new(),
        goal: "< 5 s for 10,000 keys",
    });
    Ok(())
}
