//! Checking a trail: which record has been changed, removed, reordered or cut off, which intents have no outcome, and which
//! outcomes have no intent.
//!
//! The chain carries no secret: whoever can write the file and `FILE.head` can write another chain. Copies of single
//! hashes elsewhere (a log host, paper) are what a forger cannot reach; this finds every change that does not rewrite all
//! that follows it.

mod pairs;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use super::file::{End, head_path, read_head};
use super::record::{self, Content, GENESIS, MAX_LINE, Parsed, Torn};
use pairs::Pairs;

/// What was found in a trail.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Intact records.
    pub records: u64,
    /// The numbers of the first and the last record.
    pub span: Option<(u64, u64)>,
    /// What is wrong, in the order of the lines.
    pub findings: Vec<Finding>,
    /// Lines that a crash left half written and that the daemon noted when it started again.
    pub torn: Vec<u64>,
    /// Intents that have no outcome: a crash, or the daemon is at it now.
    pub open_intents: Vec<OpenIntent>,
}

/// Something wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1, counted over all files.
    pub line: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It is no record, and no record says that it is a torn one.
    NoRecord,
    /// The record does not have the hash it says it has.
    Changed,
    /// The record has the hash it says it has, but not the one that the next record says.
    Replaced,
    /// Records are missing before this one.
    Removed {
        /// The first that is missing.
        first: u64,
        /// The last that is missing.
        last: u64,
        /// Whether the daemon itself noted it.
        noted: bool,
    },
    /// The record stands after one with the same or a higher number.
    OutOfOrder {
        /// Its number.
        seq: u64,
        /// The number before it.
        after: u64,
    },
    /// The first record of all does not begin a chain.
    NotTheFirst,
    /// The file ends before the last record that was written.
    CutOff {
        /// The last record in the file.
        last_in_file: u64,
        /// The last record that was written, as `FILE.head` has it.
        last_written: u64,
    },
    /// The last record is not the one that was written last, as `FILE.head` has it.
    LastReplaced,
    /// The outcome of an intent that has had its outcome before.
    SecondOutcome {
        /// The intent's number.
        intent: u64,
    },
    /// The outcome of something that is no intent before it.
    NoIntent {
        /// The number that it gives for its intent's.
        intent: u64,
    },
}

/// An intent without an outcome.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// Its line, from 1.
    pub line: u64,
    /// Its number.
    pub seq: u64,
    /// The request's id.
    pub request: String,
    /// The operation.
    pub operation: String,
    /// The identity or, failing that, the key.
    pub subject: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecord => f.write_str("not a record"),
            Self::Changed => f.write_str("changed: the record does not have the hash that it names"),
            Self::Replaced => f.write_str("changed: the record does not have the hash that the next record names"),
            Self::Removed { first, last, noted } => {
                match first == last {
                    true => write!(f, "record {first} is missing before this line")?,
                    false => write!(f, "records {first} to {last} are missing before this line")?,
                }
                if *noted {
                    f.write_str("; chanceryd noticed it when it opened the file")
                } else {
                    Ok(())
                }
            }
            Self::OutOfOrder { seq, after } => write!(f, "record {seq} stands after record {after}"),
            Self::NotTheFirst => f.write_str("record 1 follows another record, by the hash that it names"),
            Self::CutOff {
                last_in_file,
                last_written,
            } => {
                write!(
                    f,
                    "the file ends with record {last_in_file}; {last_written} were written"
                )
            }
            Self::LastReplaced => f.write_str("the last record is not the one that was written last"),
            Self::SecondOutcome { intent } => write!(f, "another outcome of record {intent}, which has one before"),
            Self::NoIntent { intent } => write!(f, "an outcome of record {intent}, which is no intent before it"),
        }
    }
}

/// Checks files that are parts of one trail, the oldest first. `FILE.head` beside the last one, if it is there, shows
/// whether the end is missing.
///
/// # Errors
/// When a file cannot be read.
pub fn verify<P: AsRef<Path>>(paths: &[P]) -> io::Result<Report> {
    // Before the files: a daemon that writes meanwhile only adds to what the head says.
    let head = paths.last().map(|path| head_of(path.as_ref())).transpose()?.flatten();
    let mut check = Check::default();
    for path in paths {
        check.file(BufReader::new(File::open(path)?))?;
    }
    Ok(check.finish(head))
}

fn head_of(path: &Path) -> io::Result<Option<End>> {
    match File::open(head_path(path)) {
        Ok(head) => read_head(&head),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Default)]
struct Check {
    report: Report,
    line: u64,
    end: Option<End>,
    intents: BTreeMap<u64, OpenIntent>,
    pairs: Pairs,
    /// Lines that are no records, until a record explains them.
    debris: Vec<u8>,
    debris_lines: Vec<u64>,
}

impl Check {
    fn file(&mut self, mut input: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            // One more than a record can have; the rest of a longer line is the next piece of debris.
            let limit = MAX_LINE as u64 + 1;
            if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            self.line += 1;
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            match record::decode(text) {
                Some(parsed) => self.record(parsed),
                None => {
                    self.debris.extend_from_slice(&line);
                    self.debris_lines.push(self.line);
                }
            }
        }
    }

    fn record(&mut self, parsed: Parsed) {
        self.explain_debris(&parsed);
        if parsed.intact {
            self.report.records += 1;
        } else {
            self.find(self.line, Problem::Changed);
        }
        let is_in_order = self.check_place(&parsed);
        self.pairs.note_record(parsed.seq);
        self.report.span = Some((self.report.span.map_or(parsed.seq, |(first, _)| first), parsed.seq));
        self.end = Some(End {
            seq: parsed.seq,
            hash: parsed.hash,
        });
        match parsed.content {
            Content::Intent {
                request,
                operation,
                identity,
                key,
            } => {
                let open = OpenIntent {
                    line: self.line,
                    seq: parsed.seq,
                    request,
                    operation,
                    subject: identity.or(key),
                };
                self.intents.insert(parsed.seq, open);
            }
            Content::Outcome { intent } => {
                let is_open = self.intents.remove(&intent).is_some();
                let objection = self.pairs.objection(intent, parsed.seq, is_open);
                // One that is not where it should be is wrong anyway.
                if let Some(problem) = objection.filter(|_| is_in_order) {
                    self.find(self.line, problem);
                }
            }
            Content::Recovery(_) | Content::Other => {}
        }
    }

    /// Whether it follows the records before it by its number.
    fn check_place(&mut self, parsed: &Parsed) -> bool {
        let Some(end) = self.end else {
            if parsed.seq == 1 && parsed.previous != GENESIS {
                self.find(self.line, Problem::NotTheFirst);
            }
            return true;
        };
        if parsed.seq <= end.seq {
            self.find(
                self.line,
                Problem::OutOfOrder {
                    seq: parsed.seq,
                    after: end.seq,
                },
            );
        } else if parsed.seq > end.seq + 1 {
            let noted = matches!(&parsed.content, Content::Recovery(recovery) if recovery.missing.is_some());
            self.find(
                self.line,
                Problem::Removed {
                    first: end.seq + 1,
                    last: parsed.seq - 1,
                    noted,
                },
            );
        } else if parsed.previous != end.hash {
            self.find(self.line.saturating_sub(1), Problem::Replaced);
        }
        parsed.seq > end.seq
    }

    /// Debris is fine if this very record says so.
    fn explain_debris(&mut self, parsed: &Parsed) {
        let debris = std::mem::take(&mut self.debris);
        let lines = std::mem::take(&mut self.debris_lines);
        if lines.is_empty() {
            return;
        }
        let body = debris.strip_suffix(b"\n").unwrap_or(&debris);
        let explained = parsed.intact
            && matches!(&parsed.content, Content::Recovery(recovery) if recovery.torn == Some(Torn::of(body)));
        if explained {
            self.report.torn.extend(lines);
        } else {
            for line in lines {
                self.find(line, Problem::NoRecord);
            }
        }
    }

    fn finish(mut self, head: Option<End>) -> Report {
        for line in std::mem::take(&mut self.debris_lines) {
            self.find(line, Problem::NoRecord);
        }
        let end = self.end.unwrap_or(End { seq: 0, hash: GENESIS });
        match head {
            Some(head) if head.seq > end.seq => {
                self.find(
                    self.line,
                    Problem::CutOff {
                        last_in_file: end.seq,
                        last_written: head.seq,
                    },
                );
            }
            Some(head) if head.seq == end.seq && head.hash != end.hash => self.find(self.line, Problem::LastReplaced),
            _ => {}
        }
        self.report.open_intents = self.intents.into_values().collect();
        self.report
    }

    fn find(&mut self, line: u64, problem: Problem) {
        self.report.findings.push(Finding { line, problem });
    }
}
