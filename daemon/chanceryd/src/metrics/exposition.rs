//! Every metric by name, with what it means and where its numbers come from.

use std::fmt;

use chancery_token::{
    BOUNDS, Drain, HistogramSnapshot, Login, MetricsSnapshot, Operation, PinStatus, TokenHandle, TokenState,
    TokenStatus,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::Sources;

type Labels<'a, const COUNT: usize> = [(&'static str, &'a str); COUNT];

const STATES: [TokenState; 5] = [
    TokenState::Starting,
    TokenState::Absent,
    TokenState::Locked,
    TokenState::Ready,
    TokenState::Failed,
];

const PIN_STATUSES: [PinStatus; 4] = [
    PinStatus::Ok,
    PinStatus::CountLow,
    PinStatus::FinalTry,
    PinStatus::Locked,
];

const DRAINS: [Option<Drain>; 2] = [Some(Drain::ByHand), Some(Drain::Maintenance)];

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.daemon(&mut encoder)?;
        self.requests(&mut encoder)?;
        let tokens: Vec<Token<'_>> = self.tokens.iter().map(Token::new).collect();
        statuses(&mut encoder, &tokens)?;
        work(&mut encoder, &tokens)?;
        calls(&mut encoder, &tokens)
    }
}

impl Sources {
    fn daemon(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        encoder
            .encode_descriptor("build", "The daemon's version", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        gauges(
            encoder,
            "audit_trail_open",
            "Whether the audit trail takes records; without it no private key is used",
            [([], u64::from(*self.audit.is_open().borrow()))],
        )?;
        encoder
            .encode_descriptor(
                "audit_refusals_left_out",
                "Refusals that the audit trail does not have one by one, but counted",
                None,
                MetricType::Counter,
            )?
            .encode_counter::<NoLabelSet, _, u64>(&self.audit.refusals_left_out(), None)
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let rpcs = || self.requests.all();
        counters(
            encoder,
            "requests",
            "Requests that have ended, by RPC and gRPC status code",
            rpcs().flat_map(|rpc| {
                rpc.codes()
                    .map(|(code, count)| ([("rpc", rpc.name.as_str()), ("code", code)], count))
            }),
        )?;
        gauges(
            encoder,
            "requests_in_flight",
            "Requests that run now, streams included",
            rpcs().map(|rpc| ([("rpc", rpc.name.as_str())], rpc.running())),
        )?;
        histograms(
            encoder,
            "request_duration",
            "How long requests took, from their header to the last byte of the answer",
            rpcs()
                .map(|rpc| ([("rpc", rpc.name.as_str())], rpc.durations.snapshot()))
                .filter(|(_, durations)| durations.count() > 0),
        )
    }
}

/// A token as it is while the numbers are written.
struct Token<'a> {
    name: &'a str,
    status: TokenStatus,
    drain: Option<Drain>,
    jobs_waiting: usize,
    jobs_running: usize,
    passed_on: u64,
    metrics: MetricsSnapshot,
}

impl<'a> Token<'a> {
    fn new(token: &'a TokenHandle) -> Self {
        Self {
            name: token.name(),
            status: token.status(),
            drain: token.drain(),
            jobs_waiting: token.jobs_waiting(),
            jobs_running: token.jobs_running(),
            passed_on: token.passed_on(),
            metrics: token.metrics(),
        }
    }

    fn label(&self) -> (&'static str, &str) {
        ("token", self.name)
    }
}

fn statuses(encoder: &mut DescriptorEncoder<'_>, tokens: &[Token<'_>]) -> fmt::Result {
    gauges(
        encoder,
        "token_state",
        "1 for the state that a token is in, 0 for the others",
        each(tokens, STATES, "state", state, |token| token.status.state),
    )?;
    gauges(
        encoder,
        "token_pin_status",
        "1 for what a token says of the tries that its PIN has left, 0 for the rest",
        each(tokens, PIN_STATUSES, "status", pin_status, |token| token.status.pin),
    )?;
    gauges(
        encoder,
        "token_drain",
        "1 for why a token takes no new work, 0 for the rest",
        each(tokens, DRAINS, "reason", drain, |token| token.drain),
    )?;
    let number = |of: fn(&TokenStatus) -> u64| tokens.iter().map(move |token| ([token.label()], of(&token.status)));
    gauges(
        encoder,
        "token_generation",
        "How often a token's keys have been looked up",
        number(|status| status.generation),
    )?;
    gauges(
        encoder,
        "token_keys",
        "Private keys that a token has or, if it is absent, had",
        number(|status| status.key_count as u64),
    )?;
    gauges(
        encoder,
        "token_sessions",
        "Worker sessions that are open",
        number(|status| status.sessions as u64),
    )
}

/// What waits at the tokens, and what has been done.
fn work(encoder: &mut DescriptorEncoder<'_>, tokens: &[Token<'_>]) -> fmt::Result {
    gauges(
        encoder,
        "token_jobs_waiting",
        "Operations that wait for a worker session, or for a token to come back",
        tokens.iter().map(|token| ([token.label()], token.jobs_waiting as u64)),
    )?;
    gauges(
        encoder,
        "token_jobs_running",
        "Operations that a token has been given and has not answered",
        tokens.iter().map(|token| ([token.label()], token.jobs_running as u64)),
    )?;
    counters(
        encoder,
        "token_passed_on",
        "Operations that another token was asked for after this one could not do them",
        tokens.iter().map(|token| ([token.label()], token.passed_on)),
    )?;
    histograms(
        encoder,
        "token_queue_duration",
        "How long operations waited for a worker session",
        tokens
            .iter()
            .map(|token| ([token.label()], token.metrics.queued.clone())),
    )?;
    histograms(
        encoder,
        "token_execution_duration",
        "How long operations took from then on, recovery included",
        tokens.iter().flat_map(|token| {
            let executed = Operation::ALL.into_iter().zip(&token.metrics.executed);
            executed.map(|(operation, durations)| ([token.label(), ("operation", operation.name())], durations.clone()))
        }),
    )?;
    counters(
        encoder,
        "token_logins",
        "Logins of the daemon, by how they ended",
        tokens.iter().flat_map(|token| {
            let logins = Login::ALL.into_iter().zip(&token.metrics.logins);
            logins.map(|(login, &count)| ([token.label(), ("result", login.name())], count))
        }),
    )?;
    counters(
        encoder,
        "token_worker_restarts",
        "How often the process around the token's module was started again",
        tokens.iter().map(|token| ([token.label()], token.metrics.restarts)),
    )
}

/// What the modules were asked, and what they answered.
fn calls(encoder: &mut DescriptorEncoder<'_>, tokens: &[Token<'_>]) -> fmt::Result {
    histograms(
        encoder,
        "pkcs11_call_duration",
        "How long calls of PKCS#11 functions took",
        tokens.iter().flat_map(|token| {
            let calls = token.metrics.calls.iter();
            calls.map(|calls| ([token.label(), ("function", calls.function())], calls.durations.clone()))
        }),
    )?;
    counters(
        encoder,
        "pkcs11_failures",
        "Calls of PKCS#11 functions that failed, by return value",
        tokens.iter().flat_map(|token| {
            let failures = token.metrics.failures.iter();
            failures.map(|failures| {
                let labels = [
                    token.label(),
                    ("function", failures.function()),
                    ("ckr", failures.ckr()),
                ];
                (labels, failures.count)
            })
        }),
    )
}

/// For each token and each of the values, whether it is the token's.
fn each<'a, T: Copy + PartialEq + 'a, const COUNT: usize>(
    tokens: &'a [Token<'_>],
    values: [T; COUNT],
    label: &'static str,
    name: fn(T) -> &'static str,
    of: fn(&Token<'_>) -> T,
) -> impl Iterator<Item = (Labels<'a, 2>, u64)> {
    tokens.iter().flat_map(move |token| {
        let is = of(token);
        values.map(|value| ([token.label(), (label, name(value))], u64::from(value == is)))
    })
}

const fn state(state: TokenState) -> &'static str {
    match state {
        TokenState::Starting => "starting",
        TokenState::Absent => "absent",
        TokenState::Locked => "locked",
        TokenState::Ready => "ready",
        TokenState::Failed => "failed",
    }
}

const fn drain(drain: Option<Drain>) -> &'static str {
    match drain {
        None => "none",
        Some(Drain::ByHand) => "lock",
        Some(Drain::Maintenance) => "maintenance",
    }
}

const fn pin_status(status: PinStatus) -> &'static str {
    match status {
        PinStatus::Ok => "ok",
        PinStatus::CountLow => "count-low",
        PinStatus::FinalTry => "final-try",
        PinStatus::Locked => "locked",
    }
}

fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in samples {
        family
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    Ok(())
}

fn gauges<'a, const COUNT: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<'a, COUNT>, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        match labels.as_slice() {
            [] => family.encode_gauge(&value)?,
            labels => family.encode_family(&labels)?.encode_gauge(&value)?,
        }
    }
    Ok(())
}

fn histograms<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (L, HistogramSnapshot)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (labels, durations) in samples {
        let bounds = BOUNDS.iter().map(|bound| bound.as_secs_f64()).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(durations.buckets.iter().copied()).collect();
        #[expect(clippy::cast_precision_loss, reason = "a sum of times for statistics")]
        let sum = durations.nanoseconds as f64 / 1e9;
        family
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(sum, durations.count(), &buckets, None)?;
    }
    Ok(())
}
