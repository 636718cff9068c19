//! The table that is printed, in Markdown.

use std::fmt;

/// Rows of what was measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 5]>,
}

/// One row: what was measured, ours, the baseline's and the peer's figure, and what is asked of ours.
pub(crate) struct Row<'a> {
    pub(crate) what: &'a str,
    pub(crate) ours: String,
    pub(crate) baseline: String,
    pub(crate) peer: String,
    pub(crate) goal: &'a str,
}

const HEADINGS: [&str; 5] = ["measured", "Chancery", "baseline", "peer", "goal"];

impl Table {
    pub(crate) fn push(&mut self, row: Row<'_>) {
        self.rows.push([
            row.what.to_owned(),
            row.ours,
            row.baseline,
            row.peer,
            row.goal.to_owned(),
        ]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = HEADINGS.map(str::to_owned);
        let mut widths = [0; HEADINGS.len()];
        for row in self.rows.iter().chain([&headings]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let rule = widths.map(|width| "-".repeat(width));
        for row in [&headings, &rule].into_iter().chain(&self.rows) {
            for (width, cell) in widths.iter().zip(row) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}
