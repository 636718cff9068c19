//! Traces for an OpenTelemetry collector, if one is configured: a span for each request, and below it one for each signature,
//! which says how long it waited and how long the token took.
//!
//! The spans are not those of the log: they have a target of their own, which only the exporter hears. Without it they are
//! never made.

use std::time::Duration;

use chancery_token::TRACES;
use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tonic::Code;
use tonic::transport::Endpoint;
use tracing::level_filters::LevelFilter;
use tracing::{Span, Subscriber, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Traces;

/// How long spans are gathered before they are sent together, if there are not many before.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the last spans may take to be sent when the daemon stops.
pub const LAST_SPANS: Duration = Duration::from_secs(2);

/// Why nothing can be traced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The endpoint is not one.
    #[error("traces.endpoint: {0}")]
    Endpoint(#[from] tonic::transport::Error),
    /// The exporter refuses what it was told.
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Sends what was traced, from a thread of its own. What the collector does not take is lost, and nobody waits for it.
#[derive(Debug)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Prepares to send. It connects when there is something to be sent, and again when it has to. Call it in a tokio runtime.
    ///
    /// # Errors
    /// For an endpoint that cannot be one.
    pub fn new(traces: &Traces) -> Result<Self, TracesError> {
        let channel = Endpoint::from_shared(traces.endpoint.clone())?.connect_lazy();
        let exporter = SpanExporter::builder().with_tonic().with_channel(channel).build()?;
        let resource = Resource::builder_empty()
            .with_service_name("chanceryd")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.sample_ratio)));
        let batches = BatchConfigBuilder::default().with_scheduled_delay(PAUSE).build();
        let sender = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(sender)
            .with_resource(resource)
            .with_sampler(sampler);
        Ok(Self(provider.build()))
    }

    /// What hears the spans.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("chanceryd"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TRACES, LevelFilter::INFO))
    }

    /// Sends what is left.
    pub fn finish(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_SPANS) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The span of a request, below its caller's if the headers name one (W3C Trace Context).
pub(crate) fn request(rpc: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: TRACES,
        "request",
        otel.name = rpc,
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.grpc.status_code = field::Empty,
    );
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        // Fails only for a span that nobody hears.
        let _ = span.set_parent(parent);
    }
    span
}

/// How the request ended.
pub(crate) fn ended(span: &Span, code: Code) {
    span.record("rpc.grpc.status_code", code as i32);
    if matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    ) {
        span.record("otel.status_code", "ERROR");
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
