//! From the start of the daemon until it has found every key, with many keys in one token.
//!
//! SoftHSM keeps two files for every key pair and reads them all in C_Initialize. So that this measures us and it, and not
//! the disk, the files have been read shortly before; and the baseline is a process that does nothing but initialize the
//! module, log in, and read of every key what it takes to know and use it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use chancery::Client;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use hsm_tests::daemon::{Daemon, Setup};

use crate::{
    driver::{Driver, READY, login},
    table::{Row, Table},
    world::{Scale, TOKEN},
};

/// What the first argument of a driver says.
pub(crate) const DRIVE: &str = "drive-start-up";

/// What it takes to know a key and to use it.
const NEEDED: [AttributeType; 12] = [
    AttributeType::KeyType,
    AttributeType::Id,
    AttributeType::Label,
    AttributeType::Sign,
    AttributeType::Decrypt,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::AlwaysAuthenticate,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
    AttributeType::EcParams,
    AttributeType::PublicKeyInfo,
];

pub(crate) fn measure(scale: &Scale, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut daemon = Setup::new().token(TOKEN, &[]).log_level("info").start()?;
    daemon.softhsm().generate_many(daemon.token(TOKEN)?, scale.keys)?;
    directly(&daemon)?;
    let (initialized, read) = directly(&daemon)?;
    let usable = daemon.restart()?.as_secs_f64();
    let keys = runtime.block_on(async {
        let client = Client::connect(&daemon.address()).await?;
        let tokens = client.tokens().await?;
        let token = tokens.into_iter().find(|token| token.name.ends_with(TOKEN));
        anyhow::Ok(token.context("the token is not there")?.key_count)
    })?;
    ensure!(keys == scale.keys, "{keys} keys were found instead of {}", scale.keys);
    table.push(Row {
        what: &format!("Start-up with {} keys in one token", scale.keys),
        ours: format!("all keys usable after {usable:.2} s"),
        baseline: format!(
            "C_Initialize and C_Login {:.2} s, reading the keys {:.2} s",
            initialized.as_secs_f64(),
            read.as_secs_f64()
        ),
        peer: String::new(),
        goal: "< 5 s for 10,000 keys",
    });
    Ok(())
}

/// How long it takes without us to initialize the module and log in, and then to read every private key.
fn directly(daemon: &Daemon) -> Result<(Duration, Duration)> {
    let token = daemon.token(TOKEN)?;
    let begun = Instant::now();
    let module = daemon
        .softhsm()
        .module_path()
        .to_str()
        .context("the module's path is text")?;
    let mut driver = Driver::spawn(
        &[DRIVE, module, &token.label, &token.pin],
        &[("SOFTHSM2_CONF", daemon.softhsm().conf_path().display().to_string())],
    )?;
    let initialized = begun.elapsed();
    driver.answer()?;
    Ok((initialized, begun.elapsed() - initialized))
}

/// The driver's side: `bench drive-start-up MODULE TOKEN PIN`.
pub(crate) fn serve(arguments: &[&str]) -> Result<()> {
    let [module, token, pin] = *arguments else {
        bail!("bench {DRIVE} MODULE TOKEN PIN");
    };
    let (_module, _slot, session) = login(module, token, pin)?;
    println!("{READY}");
    for key in session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])? {
        session.get_attributes(key, &NEEDED)?;
    }
    println!("{READY}");
    Ok(())
}
