//! What a module process writes to its standard error, in the daemon's log: its own log, and whatever the module has to say, but
//! no more of it than a log can bear.

use std::{
    io::{BufRead as _, BufReader, Read},
    time::{Duration, Instant},
};

/// The longest line of a module's own that is logged.
const MAX_LINE: u64 = 2048;

/// Lines of one process that are logged in one [`SPAN`]. A module that floods its standard error would fill the disk, and perhaps
/// the audit trail's with it.
const LINES: u32 = 100;

const SPAN: Duration = Duration::from_secs(1);

/// Logs it until the process closes it.
pub(super) fn log_lines(module: &str, written: impl Read) {
    ration(written, Instant::now, |said| match said {
        Said::Line(text) => tracing::info!(module, text, "the module's process says"),
        Said::TooMuch(lines) => {
            tracing::warn!(
                module,
                lines,
                "the module's process said more than {LINES} lines in a second; the others were left out"
            );
        }
    });
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Line(String),
    /// So many lines were left out.
    TooMuch(u64),
}

/// Tells what is `written`, with at most [`LINES`] in a [`SPAN`]. How many were left out is told with the first line after it, or
/// at the end.
fn ration(written: impl Read, clock: impl Fn() -> Instant, mut tell: impl FnMut(Said)) {
    let mut written = BufReader::new(written);
    let mut line = Vec::new();
    let (mut begun, mut told, mut left_out) = (clock(), 0, 0_u64);
    loop {
        line.clear();
        if !matches!((&mut written).take(MAX_LINE).read_until(b'\n', &mut line), Ok(1..)) {
            return tell_left_out(&mut left_out, &mut tell);
        }
        let now = clock();
        if now.saturating_duration_since(begun) >= SPAN {
            (begun, told) = (now, 0);
            tell_left_out(&mut left_out, &mut tell);
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        if told < LINES {
            told = told.saturating_add(1);
            tell(Said::Line(String::from_utf8_lossy(text).into_owned()));
        } else {
            left_out = left_out.saturating_add(1);
        }
    }
}

fn tell_left_out(lines: &mut u64, tell: &mut impl FnMut(Said)) {
    if *lines > 0 {
        tell(Said::TooMuch(std::mem::take(lines)));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::cell::Cell;

    use super::*;

    /// What is told of `written` if the clock goes on by `step` with each line.
    fn told(written: &str, step: Duration) -> Vec<Said> {
        let (now, mut told) = (Cell::new(Instant::now()), Vec::new());
        ration(
            written.as_bytes(),
            || now.replace(now.get() + step),
            |said| told.push(said),
        );
        told
    }

    #[test]
    fn a_flood_is_cut_off_and_counted() {
        let told = told(&"help\n\n".repeat(100_000), Duration::ZERO);
        assert_eq!(told.len(), 101);
        assert_eq!(told[99], Said::Line("help".to_owned()));
        assert_eq!(told[100], Said::TooMuch(99_900));
    }

    #[test]
    fn after_a_second_a_flood_is_heard_again() {
        let told = told(&"help\n".repeat(400), Duration::from_millis(5));
        // The count comes before what is said next.
        assert_eq!(told[99], Said::Line("help".to_owned()));
        assert!(matches!(told[100], Said::TooMuch(90..=110)), "{:?}", told[100]);
        assert_eq!(told[101], Said::Line("help".to_owned()));
        assert!((202..=204).contains(&told.len()), "{}", told.len());
    }

    #[test]
    fn who_says_little_is_heard_in_full_and_long_lines_in_pieces() {
        let told = told(&format!("one\n  two \n{}", "x".repeat(3000)), Duration::from_secs(2));
        let lengths: Vec<usize> = told
            .iter()
            .map(|said| match said {
                Said::Line(text) => text.len(),
                Said::TooMuch(_) => 0,
            })
            .collect();
        assert_eq!(lengths, [3, 3, 2048, 952]);
    }
}
