//! What tokens have been asked for, as a table.

use std::time::Duration;

use chancery::v1::{Durations, FunctionActivity, Token, TokenActivity};

use crate::command::keys::last;
use crate::table::Table;

/// The table, or nothing if the daemon does not tell.
pub(super) fn text(tokens: &[Token]) -> String {
    let mut table = Table::new(["TOKEN", "SINCE THE START", "COUNT", "MEDIAN", "99 %", "FAILED"]);
    let mut told = false;
    for token in tokens {
        let Some(activity) = &token.activity else { continue };
        told = true;
        for [what, count, median, most, failed] in rows(token.generation, activity) {
            table.row([last(&token.name).to_owned(), what, count, median, most, failed]);
        }
    }
    if told {
        format!("\n{}", table.render(""))
    } else {
        String::new()
    }
}

fn rows(generation: u64, activity: &TokenActivity) -> Vec<[String; 5]> {
    let row = |what: &str, durations: Option<&Durations>, failed: String| {
        let median = durations.and_then(|durations| durations.median);
        let most = durations.and_then(|durations| durations.percentile_99);
        let count = durations.map_or(0, |durations| durations.count);
        [what.to_owned(), count.to_string(), bound(median), bound(most), failed]
    };
    let mut rows = vec![
        row("waited for a session", activity.queue_time.as_ref(), String::new()),
        row("operations", activity.execution_time.as_ref(), String::new()),
    ];
    let all = [
        activity.logins_succeeded,
        activity.logins_refused,
        activity.logins_failed,
    ];
    let logins = all.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let failed = match (activity.logins_refused, activity.logins_failed) {
        (0, 0) => String::new(),
        (refused, failed) => format!("{refused} refused, {failed} failed"),
    };
    let counted =
        |what: &str, count: u64, failed| [what.to_owned(), count.to_string(), String::new(), String::new(), failed];
    rows.push(counted("looked everything up", generation, String::new()));
    rows.push(counted("logins", logins, failed));
    for function in &activity.functions {
        rows.push(row(&function.function, function.durations.as_ref(), failures(function)));
    }
    rows
}

fn failures(function: &FunctionActivity) -> String {
    let each = function
        .failures
        .iter()
        .map(|failure| format!("{} {}", failure.count, failure.ckr));
    each.collect::<Vec<_>>().join(", ")
}

/// As it is read: `≤ 250µs`.
fn bound(time: Option<impl TryInto<Duration>>) -> String {
    let time: Option<Duration> = time.and_then(|time| time.try_into().ok());
    time.map(|time| format!("≤ {time:?}")).unwrap_or_default()
}
