//! KeyService.Sign over the Unix socket, against the same sessions driven directly and p11-kit's remoting.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use chancery_proto::v1::{
    KeyServiceSignRequest, SignatureAlgorithm, key_service_client::KeyServiceClient, key_service_sign_request::Input,
};
use hsm_tests::{
    daemon::Daemon,
    people::{KeyPair, Person},
};
use tokio::{runtime::Runtime, task::JoinSet};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    driver::{Driver, Kind, Turn},
    p11_kit::Server,
    statistics::{median, median_ratio},
    table::{Row, Table},
    world::{IN_FLIGHT, SESSIONS, Scale, TOKEN, daemon},
};

struct Subject {
    title: &'static str,
    kind: Kind,
    pair: KeyPair,
    algorithm: SignatureAlgorithm,
    goal: &'static str,
}

pub(crate) fn measure(scale: &Scale, table: &mut Table) -> Result<()> {
    let daemon = daemon()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let channel = runtime.block_on(Endpoint::from_shared(daemon.address())?.connect())?;
    let subjects = [
        Subject {
            title: "RSA-2048",
            kind: Kind::Rsa2048,
            pair: Person::Alice.signing(),
            algorithm: SignatureAlgorithm::RsaPkcs1Sha256,
            goal: "≥ 0.87 of the baseline",
        },
        Subject {
            title: "P-256",
            kind: Kind::P256,
            pair: Person::Carol.signing(),
            algorithm: SignatureAlgorithm::EcdsaSha256,
            goal: "≥ 0.50 of the baseline",
        },
    ];
    for subject in &subjects {
        let mut bench = Bench::new(&daemon, &runtime, &channel, subject)?;
        bench.throughput(scale, table)?;
        bench.latency(scale, table)?;
    }
    grpc_alone(scale, &runtime, &channel, table)
}

/// What a call costs that asks for nothing: the part of the overhead that is gRPC's and the wake-ups of two processes.
fn grpc_alone(scale: &Scale, runtime: &Runtime, channel: &Channel, table: &mut Table) -> Result<()> {
    let client = HealthClient::new(channel.clone());
    let mut medians = Vec::new();
    for _ in 0..scale.rounds {
        let client = client.clone();
        let turn = in_turn(runtime, 1, scale.turn, move || {
            let mut client = client.clone();
            async move { client.check(HealthCheckRequest::default()).await.map(drop) }
        })?;
        medians.push(turn.latency);
    }
    table.push(Row {
        what: "For comparison: Health.Check, one in flight, median",
        ours: format!("{:.0} µs", median(&medians)?),
        baseline: String::new(),
        peer: String::new(),
        goal: "",
    });
    Ok(())
}

struct Bench<'a> {
    subject: &'a Subject,
    runtime: &'a Runtime,
    client: KeyServiceClient<Channel>,
    request: KeyServiceSignRequest,
    raw: Driver,
    remote: Driver,
    /// Kept for the driver that speaks to it.
    _server: Server,
}

impl<'a> Bench<'a> {
    fn new(daemon: &Daemon, runtime: &'a Runtime, channel: &Channel, subject: &'a Subject) -> Result<Self> {
        let token = daemon.token(TOKEN)?;
        let login = (token.label.as_str(), token.pin.as_str());
        let configuration = daemon.softhsm().conf_path().display().to_string();
        let raw = Driver::start(
            daemon.softhsm().module_path(),
            &[("SOFTHSM2_CONF", configuration)],
            login,
            subject.pair.name(),
            subject.kind,
        )?;
        let server = Server::start(daemon)?;
        let remote = Driver::start(
            Server::client_module()?,
            &server.environment(),
            login,
            subject.pair.name(),
            subject.kind,
        )?;
        Ok(Self {
            subject,
            runtime,
            client: KeyServiceClient::new(channel.clone()),
            request: KeyServiceSignRequest {
                name: subject.pair.key()?,
                algorithm: subject.algorithm.into(),
                input: Some(Input::Digest(Bytes::from_static(&[0x5a; 32]))),
                ..Default::default()
            },
            raw,
            remote,
            _server: server,
        })
    }

    fn throughput(&mut self, scale: &Scale, table: &mut Table) -> Result<()> {
        let [ours, raw, remote] = self.rounds(scale, IN_FLIGHT, SESSIONS, |turn| turn.per_second)?;
        table.push(Row {
            what: &format!("KeyService.Sign, {}, {IN_FLIGHT} in flight", self.subject.title),
            ours: format!(
                "{:.0}/s = {:.2} of the baseline",
                median(&ours)?,
                median_ratio(&ours, &raw)?
            ),
            baseline: format!("cryptoki, {SESSIONS} sessions: {:.0}/s", median(&raw)?),
            peer: format!(
                "p11-kit remoting: {:.0}/s = {:.2}",
                median(&remote)?,
                median_ratio(&remote, &raw)?
            ),
            goal: self.subject.goal,
        });
        Ok(())
    }

    fn latency(&mut self, scale: &Scale, table: &mut Table) -> Result<()> {
        let [ours, raw, remote] = self.rounds(scale, 1, 1, |turn| turn.latency)?;
        let overhead = |values: &[f64]| -> Result<f64> {
            median(
                &values
                    .iter()
                    .zip(&raw)
                    .map(|(value, raw)| value - raw)
                    .collect::<Vec<_>>(),
            )
        };
        table.push(Row {
            what: &format!("KeyService.Sign, {}, one in flight, median", self.subject.title),
            ours: format!("{:.0} µs = baseline + {:.0} µs", median(&ours)?, overhead(&ours)?),
            baseline: format!("cryptoki: {:.0} µs", median(&raw)?),
            peer: format!(
                "p11-kit remoting: {:.0} µs = baseline + {:.0} µs",
                median(&remote)?,
                overhead(&remote)?
            ),
            goal: "≤ baseline + 130 µs",
        });
        Ok(())
    }

    /// What each round came to for us, the baseline and the peer.
    fn rounds(
        &mut self,
        scale: &Scale,
        in_flight: usize,
        threads: usize,
        figure: impl Fn(Turn) -> f64,
    ) -> Result<[Vec<f64>; 3]> {
        let mut figures = [const { Vec::new() }; 3];
        for _ in 0..scale.rounds {
            let turns = [
                self.turn(in_flight, scale.turn)?,
                self.raw.turn(threads, scale.turn)?,
                self.remote.turn(threads, scale.turn)?,
            ];
            for (all, turn) in figures.iter_mut().zip(turns) {
                all.push(figure(turn));
            }
        }
        Ok(figures)
    }

    fn turn(&self, in_flight: usize, duration: Duration) -> Result<Turn> {
        let (client, request) = (self.client.clone(), self.request.clone());
        in_turn(self.runtime, in_flight, duration, move || {
            let (mut client, request) = (client.clone(), request.clone());
            async move { client.sign(request).await.map(drop) }
        })
    }
}

/// Calls, `in_flight` at once, for as long as a turn lasts.
fn in_turn<C, F>(runtime: &Runtime, in_flight: usize, duration: Duration, call: C) -> Result<Turn>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), Status>> + Send,
{
    runtime.block_on(async {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..in_flight {
            let call = call.clone();
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                while begun.elapsed() < duration {
                    let sent = Instant::now();
                    call().await?;
                    latencies.push(sent.elapsed().as_secs_f64() * 1e6);
                }
                Ok::<_, Status>(latencies)
            });
        }
        let mut latencies = Vec::new();
        while let Some(own) = tasks.join_next().await {
            latencies.extend(own??);
        }
        Turn::of(&latencies, begun.elapsed())
    })
}
