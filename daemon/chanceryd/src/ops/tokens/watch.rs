//! Watching tokens: what has changed since the caller was told last, and nothing that has changed again meanwhile. There is no
//! queue: whoever asks for the next change gets the tokens as they are then.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use chancery_token::TokenStatus;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{StreamExt as _, StreamMap};

use super::{Described, Left, by_name, describe_wholly, may_list, shows_activity};
use crate::ops::{Call, Context, OpError, Place};

/// The least time between two answers, and between two looks at the numbers.
const PACE: Duration = Duration::from_millis(100);

/// The tokens as one caller sees them change.
pub struct Watch {
    context: Arc<Context>,
    call: Call,
    changes: StreamMap<usize, WatchStream<u64>>,
    pace: Interval,
    /// When the numbers are to be looked at that change all the time.
    refresh: Option<Interval>,
    told: Option<Vec<Described>>,
    _place: Place,
}

/// Begins to watch, for callers with `admin` or `list`. `refresh` is how often the numbers are to be looked at that do not
/// count as a change.
///
/// # Errors
///
/// [`OpError::NotPermitted`] for callers with neither, [`OpError::TooManyWatches`] if as many calls watch as may.
pub fn watch(context: Arc<Context>, call: Call, refresh: Option<Duration>) -> Result<Watch, OpError> {
    may_list(&context, &call)?;
    let place = context.admit_watch(&call)?;
    let tokens = context.directory.tokens().iter();
    let changes = tokens.map(|token| WatchStream::from_changes(token.changes()));
    let changes = changes.enumerate().collect();
    let refresh = refresh.map(|period| {
        let mut refresh = every(period.max(PACE));
        // The first tick would come at once.
        refresh.reset();
        refresh
    });
    Ok(Watch {
        context,
        call,
        changes,
        pace: every(PACE),
        refresh,
        told: None,
        _place: place,
    })
}

impl Watch {
    /// All tokens, ordered by name, when called first; then, once there are any, those that are not any more as they were
    /// told last. `None` when the daemon stops.
    ///
    /// # Errors
    ///
    /// [`OpError::NotPermitted`] once no grant allows it any more.
    pub async fn next(&mut self) -> Result<Option<Vec<Described>>, OpError> {
        let context = Arc::clone(&self.context);
        let changed = tokio::select! {
            biased;
            () = context.stopped() => return Ok(None),
            changed = self.changed() => changed,
        };
        // Grants may have been taken away since the call began.
        may_list(&context, &self.call)?;
        Ok(Some(changed))
    }

    async fn changed(&mut self) -> Vec<Described> {
        let Some(told) = &mut self.told else {
            self.pace.tick().await;
            let all = now(&self.context, &self.call);
            self.told = Some(all.clone());
            return all;
        };
        loop {
            let numbers = tokio::select! {
                () = one(&mut self.changes) => false,
                () = tick(&mut self.refresh) => true,
            };
            self.pace.tick().await;
            let mut changed = Vec::new();
            for (told, now) in told.iter_mut().zip(now(&self.context, &self.call)) {
                if differs(told, &now, numbers) {
                    told.clone_from(&now);
                    changed.push(now);
                }
            }
            if !changed.is_empty() {
                return changed;
            }
        }
    }
}

fn now(context: &Context, call: &Call) -> Vec<Described> {
    let shows = shows_activity(context, call);
    let tokens = by_name(context).into_iter();
    tokens.map(|token| describe_wholly(context, token, shows)).collect()
}

/// Whether a token is not as it was told; `numbers` says whether those count that change all the time.
fn differs(told: &Described, now: &Described, numbers: bool) -> bool {
    let steady = |described: &Described| Described {
        status: TokenStatus {
            sessions: 0,
            ..described.status.clone()
        },
        lease: described.lease.map(|lease| Left { uses: None, ..lease }),
        jobs_waiting: 0,
        jobs_running: 0,
        activity: None,
        ..described.clone()
    };
    if numbers {
        told != now
    } else {
        steady(told) != steady(now)
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn one(changes: &mut StreamMap<usize, WatchStream<u64>>) {
    if changes.next().await.is_none() {
        // Without tokens nothing changes.
        pending().await
    }
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => pending().await,
    }
}
