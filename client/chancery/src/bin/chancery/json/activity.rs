//! What tokens have been asked for, in `status --json`. Durations are seconds; those of the daemon are upper bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use chancery::v1;
use serde::Serialize;

/// What one token has been asked for since the daemon was started.
#[derive(Serialize)]
pub(super) struct ActivityJson<'a> {
    queue_time: DurationsJson,
    execution_time: DurationsJson,
    /// By the names of the functions.
    functions: BTreeMap<&'a str, FunctionJson<'a>>,
    logins_succeeded: u64,
    logins_refused: u64,
    logins_failed: u64,
}

#[derive(Serialize)]
struct FunctionJson<'a> {
    #[serde(flatten)]
    durations: DurationsJson,
    /// Calls that failed, by return value.
    failures: BTreeMap<&'a str, u64>,
}

#[derive(Default, Serialize)]
struct DurationsJson {
    count: u64,
    median: Option<f64>,
    percentile_99: Option<f64>,
}

impl<'a> ActivityJson<'a> {
    pub(super) fn new(activity: &'a v1::TokenActivity) -> Self {
        let function = |each: &'a v1::FunctionActivity| {
            let failures = each.failures.iter();
            let json = FunctionJson {
                durations: DurationsJson::new(each.durations.as_ref()),
                failures: failures.map(|failure| (failure.ckr.as_str(), failure.count)).collect(),
            };
            (each.function.as_str(), json)
        };
        Self {
            queue_time: DurationsJson::new(activity.queue_time.as_ref()),
            execution_time: DurationsJson::new(activity.execution_time.as_ref()),
            functions: activity.functions.iter().map(function).collect(),
            logins_succeeded: activity.logins_succeeded,
            logins_refused: activity.logins_refused,
            logins_failed: activity.logins_failed,
        }
    }
}

impl DurationsJson {
    fn new(durations: Option<&v1::Durations>) -> Self {
        let Some(durations) = durations else {
            return Self::default();
        };
        Self {
            count: durations.count,
            median: seconds(durations.median),
            percentile_99: seconds(durations.percentile_99),
        }
    }
}

fn seconds(time: Option<impl TryInto<Duration>>) -> Option<f64> {
    Some(time?.try_into().ok()?.as_secs_f64())
}
