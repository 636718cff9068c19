//! The log: as text or JSON on standard error, or to journald with a journal field for each field. What happened to keys is
//! not here but in the audit trail; no secret is in either.

use std::io;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};
use crate::traces::Exporter;

/// Crates of this workspace, whose level the configuration sets. Others say warnings and errors only: what they would
/// say at lower levels are frames and headers.
const OWN: [&str; 4] = ["chanceryd", "chancery_token", "chancery_smime", "chancery_proto"];

/// Changes the level while the daemon runs.
#[derive(Debug, Clone)]
pub struct LevelHandle(reload::Handle<Targets, Registry>);

impl LevelHandle {
    /// Sets the level from now on.
    pub fn set(&self, level: Level) {
        // Fails only when the subscriber is gone, and nobody is left to be told.
        let _ = self.0.reload(targets(level));
    }
}

/// Starts the log for the whole process, and has the exporter hear what is traced.
///
/// # Errors
/// When the journal is asked for and not there.
pub fn start(log: Log, traces: Option<&Exporter>) -> io::Result<LevelHandle> {
    let (filter, handle) = reload::Layer::new(targets(log.level));
    // A second start in one process, as in a test, keeps the first log.
    let _ = match traces {
        // A filter for all costs less than one for each.
        None => tracing_subscriber::registry()
            .with(filter)
            .with(output(log.format)?)
            .try_init(),
        Some(traces) => tracing_subscriber::registry()
            .with(output(log.format)?.with_filter(filter))
            .with(traces.layer())
            .try_init(),
    };
    Ok(LevelHandle(handle))
}

fn output<S>(format: LogFormat) -> io::Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    Ok(match format {
        LogFormat::Journald => journald()?,
        LogFormat::Auto if stderr_is_the_journal() => fmt::layer()
            .event_format(ForTheJournal)
            .with_ansi(false)
            .with_writer(io::stderr)
            .boxed(),
        LogFormat::Auto | LogFormat::Text => fmt::layer().with_ansi(false).with_writer(io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(io::stderr).boxed(),
    })
}

/// Starts the log of a module's process: lines that the daemon puts into its own log, with a time and a level of theirs.
pub fn start_for_the_daemon() {
    let lines = fmt::layer().without_time().with_ansi(false).with_writer(io::stderr);
    // A second start in one process, as in a test, keeps the first log.
    let _ = tracing_subscriber::registry()
        .with(targets(Level::INFO))
        .with(lines)
        .try_init();
}

fn journald<S>() -> io::Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = tracing_journald::layer()?;
    Ok(layer
        .with_syslog_identifier("chanceryd".to_owned())
        .with_field_prefix(Some("CHANCERY".to_owned()))
        .boxed())
}

/// A line as the journal wants it from standard error: the priority in front, no time of its own, and all fields in the
/// text, so that plain `journalctl` shows which token or file it is about.
struct ForTheJournal;

impl<S, N> FormatEvent<S, N> for ForTheJournal
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        fmt::format()
            .without_time()
            .with_level(false)
            .with_ansi(false)
            .format_event(context, writer, event)
    }
}

fn targets(level: Level) -> Targets {
    let others = LevelFilter::WARN.min(LevelFilter::from_level(level));
    OWN.iter().fold(Targets::new().with_default(others), |targets, name| {
        targets.with_target(*name, level)
    })
}

/// Whether standard error is the stream that systemd connected to the journal: JOURNAL_STREAM names its device and inode.
fn stderr_is_the_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(actual) = rustix::fs::fstat(io::stderr()) else {
        return false;
    };
    named == format!("{}:{}", actual.st_dev, actual.st_ino)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn other_crates_never_say_more_than_warnings() {
        let targets = targets(Level::TRACE);
        assert!(targets.would_enable("chanceryd::ops", &Level::TRACE));
        assert!(targets.would_enable("chancery_token::worker", &Level::TRACE));
        assert!(!targets.would_enable("h2::codec", &Level::INFO));
        assert!(targets.would_enable("h2::codec", &Level::WARN));
        assert!(!super::targets(Level::ERROR).would_enable("h2::codec", &Level::WARN));
    }
}
