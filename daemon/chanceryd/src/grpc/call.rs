//! What is known about a call before its message is looked at: who, when, how long, and under which id. This is the edge
//! where the clock is read.

use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use tonic::{Request, Status};

use super::errors;
use crate::caller::caller_of;
use crate::ops::{Call, OpError};
use crate::request_id::RequestId;

/// The header of the deadline (gRPC over HTTP/2).
const TIMEOUT: &str = "grpc-timeout";

/// Finds it out.
pub(super) fn of<T>(request: &Request<T>, rpc: &'static str) -> Result<Call, Status> {
    let caller = caller_of(request)?;
    let request_id = RequestId::of(request).as_str().to_owned();
    let call = Call {
        caller,
        request_id,
        rpc,
        now: SystemTime::now(),
        deadline: deadline(request.metadata().as_ref()),
    };
    tracing::debug!(request_id = call.request_id, caller = %call.caller, rpc);
    Ok(call)
}

/// Waits for an operation, no longer than its caller does, and translates its error.
pub(super) async fn within<T>(call: &Call, work: impl Future<Output = Result<T, OpError>>) -> Result<T, Status> {
    let result = match call.deadline {
        None => work.await,
        Some(deadline) => {
            let done = tokio::time::timeout_at(deadline.into(), work).await;
            done.unwrap_or(Err(OpError::DeadlineExceeded))
        }
    };
    result.map_err(|error| errors::status(&error, &call.request_id))
}

/// When the caller stops to wait, if it says so.
pub(super) fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let timeout = timeout(headers.get(TIMEOUT)?.to_str().ok()?)?;
    // One that lies beyond what the clock can count is none.
    Instant::now().checked_add(timeout)
}

/// At most eight digits and a unit; anything else is as if it were not there.
fn timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_in_every_unit() {
        assert_eq!(timeout("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(timeout("2M"), Some(Duration::from_secs(120)));
        assert_eq!(timeout("3S"), Some(Duration::from_secs(3)));
        assert_eq!(timeout("4m"), Some(Duration::from_millis(4)));
        assert_eq!(timeout("5u"), Some(Duration::from_micros(5)));
        assert_eq!(timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
    }

    #[test]
    fn what_is_no_timeout_is_passed_over() {
        for bad in ["", "S", "1", "1s", "-1S", "123456789S", "1.5S", "é", "1é"] {
            assert_eq!(timeout(bad), None, "{bad:?}");
        }
    }
}
