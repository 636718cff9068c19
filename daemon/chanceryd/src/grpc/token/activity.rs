//! What has been counted about a token, as the contract has it.

use std::collections::BTreeMap;

use chancery_proto::v1::{Durations, FunctionActivity, ReturnValueCount, TokenActivity};
use chancery_token::{HistogramSnapshot, Login, MetricsSnapshot};

/// All of it.
pub(super) fn of(counted: &MetricsSnapshot) -> TokenActivity {
    let mut executed = HistogramSnapshot::default();
    for durations in &counted.executed {
        executed.add(durations);
    }
    let mut functions = BTreeMap::new();
    for calls in &counted.calls {
        let function = FunctionActivity {
            function: calls.function().to_owned(),
            durations: Some(durations(&calls.durations)),
            failures: Vec::new(),
        };
        functions.insert(calls.function(), function);
    }
    for failures in &counted.failures {
        if let Some(function) = functions.get_mut(failures.function()) {
            function.failures.push(ReturnValueCount {
                ckr: failures.ckr().to_owned(),
                count: failures.count,
            });
        }
    }
    let logins = |login: Login| counted.logins.get(login as usize).copied().unwrap_or_default();
    TokenActivity {
        queue_time: Some(durations(&counted.queued)),
        execution_time: Some(durations(&executed)),
        functions: functions.into_values().collect(),
        logins_succeeded: logins(Login::Succeeded),
        logins_refused: logins(Login::Refused),
        logins_failed: logins(Login::Failed),
    }
}

fn durations(counted: &HistogramSnapshot) -> Durations {
    let percentile = |part| counted.percentile(part).and_then(|bound| bound.try_into().ok());
    Durations {
        count: counted.count(),
        median: percentile(50),
        percentile_99: percentile(99),
    }
}
