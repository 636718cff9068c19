//! How far a message has got, on stderr, if that is a terminal and the work takes more than a second.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::text::size;

const PATIENCE: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(200);

/// Bytes of the message that have been read, and how many there are if that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Meter {
    pub(crate) fn new(total: Option<u64>) -> Self {
        Self {
            read: Arc::default(),
            total,
        }
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn line(&self, elapsed: Duration) -> String {
        let read = self.read.load(Ordering::Relaxed);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people"
        )]
        let rate = size((read as f64 / elapsed.as_secs_f64().max(0.001)) as u64);
        match self.total {
            Some(total) if read < total => format!("{} of {}, {rate}/s", size(read), size(total)),
            _ => format!("{}, {rate}/s", size(read)),
        }
    }
}

/// Does the work, and shows the meter while it lasts.
pub(crate) async fn watch<T>(meter: Meter, quiet: bool, work: impl Future<Output = T>) -> T {
    if quiet || !io::stderr().is_terminal() {
        return work.await;
    }
    let start = Instant::now();
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + PATIENCE, EVERY);
    let mut work = pin!(work);
    let mut line = Line { shown: false };
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            _ = ticks.tick() => line.show(&meter.line(start.elapsed())),
        }
    }
}

/// A line on stderr that is written over, and taken away in the end.
struct Line {
    shown: bool,
}

impl Line {
    const BACK_AND_CLEAR: &str = "\r\u{1b}[K";

    fn show(&mut self, text: &str) {
        self.shown = true;
        let _nobody_looks = write!(io::stderr().lock(), "{}{text}", Self::BACK_AND_CLEAR);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown {
            let _nobody_looks = write!(io::stderr().lock(), "{}", Self::BACK_AND_CLEAR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_bytes_and_rate() {
        let meter = Meter::new(Some(4 << 20));
        meter.add(1 << 20);
        assert_eq!(meter.line(Duration::from_secs(2)), "1.0 MiB of 4.0 MiB, 512.0 KiB/s");
        let meter = Meter::new(None);
        meter.add(3 << 20);
        assert_eq!(meter.line(Duration::from_secs(1)), "3.0 MiB, 3.0 MiB/s");
    }
}
