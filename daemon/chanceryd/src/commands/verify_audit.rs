//! `chanceryd verify-audit`: what has happened to an audit trail.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{fail, say};
use crate::audit::{self, OpenIntent};

/// Prints what is wrong and which intents have no outcome. Fails if anything is wrong.
#[must_use]
pub fn verify_audit(files: &[PathBuf]) -> ExitCode {
    let report = match audit::verify(files) {
        Ok(report) => report,
        Err(error) => {
            let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            return fail(
                2,
                format_args!("the audit trail in {} cannot be read: {error}", names.join(", ")),
            );
        }
    };
    for finding in &report.findings {
        say(format_args!("line {}: {}", finding.line, finding.problem));
    }
    for line in &report.torn {
        say(format_args!(
            "line {line}: half a record, left by a crash or a full disk and noted by the next record"
        ));
    }
    for OpenIntent {
        line,
        seq,
        request,
        operation,
        subject,
    } in &report.open_intents
    {
        let subject = subject.as_deref().unwrap_or("no key");
        say(format_args!(
            "line {line}: record {seq} has no outcome: {operation} for {subject}, request {request}"
        ));
    }
    match report.span {
        Some((first, last)) => say(format_args!("{} intact records, {first} to {last}", report.records)),
        None => say("no records"),
    }
    if let Some((first, _)) = report.span.filter(|&(first, _)| first > 1) {
        say(format_args!(
            "record {} and the ones before are in an older file; give it first to check the joint",
            first - 1
        ));
    }
    if report.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
