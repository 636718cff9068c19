//! From the start of the daemon until it has found every key, with many keys in one token.
//!
//! SoftHSM keeps two files for every key pair and reads them all in C_Initialize. So that this measures us and it, and not
//! the disk, the files have been read shortly before; and the baseline is a process that does nothing but initialize the
//! module and log in.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use chancery::Client;
use hsm_tests::daemon::Setup;

use crate::{
    driver::{Driver, Kind},
    table::{Row, Table},
    world::{Scale, TOKEN},
};

pub(crate) fn measure(scale: &Scale, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut daemon = Setup::new().token(TOKEN, &[]).log_level("info").start()?;
    let token = daemon.token(TOKEN)?;
    daemon.softhsm().generate_many(token, scale.keys)?;
    let initialize = || -> Result<f64> {
        let begun = Instant::now();
        let driver = Driver::start(
            daemon.softhsm().module_path(),
            &[("SOFTHSM2_CONF", daemon.softhsm().conf_path().display().to_string())],
            (&token.label, &token.pin),
            "none",
            Kind::Rsa2048,
        )?;
        let took = begun.elapsed().as_secs_f64();
        drop(driver);
        Ok(took)
    };
    initialize()?;
    let alone = initialize()?;
    let begun = Instant::now();
    // Returns once the token is ready.
    daemon.restart()?;
    let usable = begun.elapsed().as_secs_f64();
    let keys = runtime.block_on(async {
        let client = Client::connect(&daemon.address()).await?;
        let tokens = client.tokens().await?;
        let token = tokens.into_iter().find(|token| token.name.ends_with(TOKEN));
        anyhow::Ok(token.context("the token is not there")?.key_count)
    })?;
    ensure!(keys == scale.keys, "{keys} keys were found instead of {}", scale.keys);
    table.push(Row {
        what: &format!("Start-up with {} keys in one token", scale.keys),
        ours: format!("stopped, started, all keys usable after {usable:.2} s"),
        baseline: format!("C_Initialize and C_Login alone: {alone:.2} s"),
        peer: String::new(),
        goal: "< 5 s for 10,000 keys",
    });
    Ok(())
}
