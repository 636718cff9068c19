//! MailService.Sign of a small message, against raw RSA-2048 signatures and `openssl cms -sign` with its PKCS#11 engine.

use std::time::{Duration, Instant};

use anyhow::Result;
use chancery::{Client, v1::SignOptions};
use hsm_tests::people::Person;

use crate::{
    bulk::OpenSsl,
    driver::{Driver, Kind},
    statistics::{median, median_ratio},
    table::{Row, Table},
    world::{IN_FLIGHT, SESSIONS, Scale, TOKEN, daemon},
};

const MESSAGE_LEN: usize = 4096;

pub(crate) fn measure(scale: &Scale, table: &mut Table) -> Result<()> {
    let daemon = daemon()?;
    let token = daemon.token(TOKEN)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = runtime.block_on(Client::connect(&daemon.address()))?;
    let message = crate::bulk::message(MESSAGE_LEN);
    let mut raw = Driver::start(
        daemon.softhsm().module_path(),
        &[("SOFTHSM2_CONF", daemon.softhsm().conf_path().display().to_string())],
        (&token.label, &token.pin),
        Person::Alice.signing().name(),
        Kind::Rsa2048,
    )?;
    let openssl = OpenSsl::new(&daemon)?;
    let file = daemon.directory().join("small.eml");
    std::fs::write(&file, &message)?;
    let (mut ours, mut baseline, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        ours.push(runtime.block_on(turn(&client, &message, scale.turn))?);
        baseline.push(raw.turn(SESSIONS, scale.turn)?.per_second);
        let begun = Instant::now();
        openssl.run(&openssl.sign(false), &file)?;
        peer.push(1.0 / begun.elapsed().as_secs_f64());
    }
    table.push(Row {
        what: &format!("MailService.Sign, 4 KiB, RSA-2048, {IN_FLIGHT} in flight"),
        ours: format!(
            "{:.0}/s = {:.2} of the baseline",
            median(&ours)?,
            median_ratio(&ours, &baseline)?
        ),
        baseline: format!("cryptoki, {SESSIONS} sessions: {:.0}/s", median(&baseline)?),
        peer: format!(
            "openssl cms -sign with its engine, one process each: {:.0}/s",
            median(&peer)?
        ),
        goal: "≥ 0.80 of the baseline",
    });
    Ok(())
}

/// Messages signed a second.
async fn turn(client: &Client, message: &[u8], duration: Duration) -> Result<f64> {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (client, message) = (client.clone(), message.to_vec());
        tasks.spawn(async move {
            let mut count = 0_u32;
            while begun.elapsed() < duration {
                let mut signed = Vec::with_capacity(2 * MESSAGE_LEN);
                let options = SignOptions {
                    identity: Person::Alice.identity(),
                    ..Default::default()
                };
                client.sign(options, message.as_slice(), &mut signed).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut count = 0;
    while let Some(own) = tasks.join_next().await {
        count += own??;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}
