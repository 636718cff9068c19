//! A text that is shown in place of the one before: on a terminal on a screen of its own, which goes when the command ends and
//! leaves what was there; elsewhere one after the other, with an empty line between.

use std::io::{self, IsTerminal as _};

use rustix::termios::tcgetwinsize;

use crate::error::CommandError;
use crate::stdio;

/// To another screen, without a cursor; and back.
const OPEN: &str = "\u{1b}[?1049h\u{1b}[?25l";
const CLOSE: &str = "\u{1b}[?25h\u{1b}[?1049l";
const HOME: &str = "\u{1b}[H";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

pub(super) struct Screen {
    is_terminal: bool,
    is_first: bool,
}

impl Screen {
    pub(super) fn open() -> Result<Self, CommandError> {
        let screen = Self {
            is_terminal: io::stdout().is_terminal(),
            is_first: true,
        };
        if screen.is_terminal {
            stdio::print(OPEN)?;
        }
        Ok(screen)
    }

    pub(super) fn show(&mut self, text: &str) -> Result<(), CommandError> {
        let is_first = std::mem::take(&mut self.is_first);
        if self.is_terminal {
            let (rows, columns) = size();
            return stdio::print(&fitted(text, rows, columns));
        }
        let space = if is_first { "" } else { "\n" };
        stdio::print(&format!("{space}{text}"))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            let _nobody_looks = stdio::print(CLOSE);
        }
    }
}

/// Rows and columns now; people change them.
fn size() -> (usize, usize) {
    let size = tcgetwinsize(io::stdout()).ok();
    let size = size.filter(|size| size.ws_row > 0 && size.ws_col > 0);
    size.map_or((24, 80), |size| (size.ws_row.into(), size.ws_col.into()))
}

/// The text over what was there before, cut to what fits: a line that goes on in the next would push others off the screen.
fn fitted(text: &str, rows: usize, columns: usize) -> String {
    let mut fitted = HOME.to_owned();
    for (row, line) in text.lines().take(rows).enumerate() {
        if row > 0 {
            fitted.push_str("\r\n");
        }
        fitted.extend(line.chars().take(columns));
        fitted.push_str(CLEAR_LINE);
    }
    fitted.push_str(CLEAR_BELOW);
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_and_no_column_goes_beyond_the_screen() {
        let clear = CLEAR_LINE;
        assert_eq!(
            fitted("first line\nsecond\nthird\n", 2, 5),
            format!("{HOME}first{clear}\r\nsecon{clear}{CLEAR_BELOW}")
        );
    }
}
