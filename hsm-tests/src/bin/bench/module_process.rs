//! What a process for the module costs: the same handles, queues and workers, once with the module in a process of its own and
//! once with it in the caller's, without gRPC.
//!
//! Each side runs as a driver process: with the module in it, it takes its configuration from the environment.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use chancery_token::{
    Backlog, Digest, Dispatch, KeyId, Launch, ModuleConfig, Pin, SignInput, SignMechanism, TokenConfig, TokenError,
    TokenHandle, TokenSelector, TokenState, Tokens,
};
use hsm_tests::{people::Person, softhsm::beside_executable};
use tokio::task::{JoinSet, spawn_blocking};

use crate::{
    driver::{Driver, Kind, READY, Turn},
    statistics::{median, median_ratio},
    table::{Row, Table},
    world::{IN_FLIGHT, SESSIONS, Scale, TOKEN, daemon},
};

/// Long enough for everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Jobs that may wait: more than there are.
const QUEUE: usize = 1024;

/// What the first argument of a driver says.
pub(crate) const DRIVE: &str = "drive-tokens";

const OWN_PROCESS: &str = "module-process";
const THREADS: &str = "threads";

pub(crate) fn measure(scale: &Scale, table: &mut Table) -> Result<()> {
    let daemon = daemon()?;
    let token = daemon.token(TOKEN)?;
    let configuration = daemon.softhsm().conf_path().display().to_string();
    let module = daemon.softhsm().module_path().display().to_string();
    let environment = [("SOFTHSM2_CONF", configuration)];
    for (title, kind, person) in [
        ("RSA-2048", Kind::Rsa2048, Person::Alice),
        ("P-256", Kind::P256, Person::Carol),
    ] {
        let key = person.signing().key()?;
        let drive = |way: &str| {
            let arguments = [DRIVE, way, &module, &token.label, &token.pin, &key, kind.name()];
            Driver::spawn(&arguments, &environment)
        };
        let (mut process, mut threads) = (drive(OWN_PROCESS)?, drive(THREADS)?);
        let mut figures = [const { Vec::new() }; 4];
        for _ in 0..scale.rounds {
            let turns = [
                process.turn(IN_FLIGHT, scale.turn)?.per_second,
                threads.turn(IN_FLIGHT, scale.turn)?.per_second,
                process.turn(1, scale.turn)?.latency,
                threads.turn(1, scale.turn)?.latency,
            ];
            for (all, figure) in figures.iter_mut().zip(turns) {
                all.push(figure);
            }
        }
        let [many, many_threads, one, one_threads] = &figures;
        table.push(Row {
            what: &format!("Module process, {title}, {IN_FLIGHT} in flight"),
            ours: format!(
                "{:.0}/s = {:.2} of the baseline",
                median(many)?,
                median_ratio(many, many_threads)?
            ),
            baseline: format!("in-process threads: {:.0}/s", median(many_threads)?),
            peer: String::new(),
            goal: "",
        });
        let detour: Vec<f64> = one
            .iter()
            .zip(one_threads)
            .map(|(one, threads)| one - threads)
            .collect();
        table.push(Row {
            what: &format!("Module process, {title}, one in flight, median"),
            ours: format!("{:.0} µs = baseline + {:.0} µs", median(one)?, median(&detour)?),
            baseline: format!("in-process threads: {:.0} µs", median(one_threads)?),
            peer: String::new(),
            goal: "",
        });
    }
    Ok(())
}

/// The driver's side: `bench drive-tokens WAY MODULE TOKEN PIN KEY KIND`, orders on standard input, answers on standard output.
pub(crate) fn serve(arguments: &[&str]) -> Result<()> {
    let [way, module, label, pin, key, kind] = *arguments else {
        bail!("bench {DRIVE} WAY MODULE TOKEN PIN KEY KIND");
    };
    let key: KeyId = key.trim_start_matches("keys/").parse()?;
    let mechanism = match Kind::from_name(kind)? {
        Kind::Rsa2048 => SignMechanism::RsaPkcs1(Digest::Sha256),
        Kind::P256 => SignMechanism::Ecdsa(Digest::Sha256),
    };
    let modules = [ModuleConfig {
        name: "module".to_owned(),
        path: module.into(),
        environment: BTreeMap::from([("SOFTHSM2_CONF".to_owned(), std::env::var("SOFTHSM2_CONF")?)]),
        network: false,
        programs: false,
        hidden: Vec::new(),
        load_time: PATIENCE,
    }];
    let tokens = vec![token(label, pin)];
    let backlog = Backlog::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .on_thread_park({
            let backlog = backlog.clone();
            move || backlog.rest()
        })
        .enable_all()
        .build()?;
    let launch = Launch {
        program: beside_executable("chanceryd")?,
        arguments: vec!["module-worker".into()],
    };
    let own_process = way == OWN_PROCESS;
    let starting = move || match own_process {
        true => Tokens::start(&modules, tokens, &launch, &backlog),
        false => Tokens::start_in_process(&modules, tokens),
    };
    let tokens = runtime.block_on(async { spawn_blocking(starting).await })??;
    let handle = tokens.handles().first().context("a token was configured")?.clone();
    runtime.block_on(ready(&handle))?;
    println!("{READY}");
    for order in std::io::stdin().lines() {
        let order = order?;
        let (in_flight, milliseconds) = order.split_once(' ').context("IN_FLIGHT MILLISECONDS")?;
        let (in_flight, duration) = (in_flight.parse()?, Duration::from_millis(milliseconds.parse()?));
        let handle = handle.clone();
        let turn =
            runtime.block_on(async { tokio::spawn(turn(handle, key, mechanism, in_flight, duration)).await })??;
        println!("{} {}", turn.per_second, turn.latency);
    }
    Ok(())
}

fn token(label: &str, pin: &str) -> TokenConfig {
    TokenConfig {
        name: label.to_owned(),
        module: "module".to_owned(),
        selector: TokenSelector::Attributes {
            label: Some(label.to_owned()),
            serial: None,
        },
        sessions: SESSIONS,
        queue: QUEUE,
        pin: Some(Pin::new(pin.as_bytes().to_vec())),
        pin_pad: false,
        pin_memory: None,
        certificates: Vec::new(),
        call_deadline: PATIENCE,
        call_grace: PATIENCE,
        keep_alive: None,
    }
}

async fn ready(token: &TokenHandle) -> Result<()> {
    let mut changes = token.changes();
    while token.status().state != TokenState::Ready {
        tokio::time::timeout(PATIENCE, changes.changed()).await??;
    }
    Ok(())
}

async fn turn(
    token: TokenHandle,
    key: KeyId,
    mechanism: SignMechanism,
    in_flight: usize,
    duration: Duration,
) -> Result<Turn> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let token = token.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < duration {
                let sent = Instant::now();
                let digest = SignInput::Digest(vec![0x5a; 32]);
                token.sign(key, mechanism, digest, Dispatch::default()).await?;
                latencies.push(sent.elapsed().as_secs_f64() * 1e6);
            }
            Ok::<_, TokenError>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(own) = tasks.join_next().await {
        latencies.extend(own??);
    }
    Turn::of(&latencies, begun.elapsed())
}
