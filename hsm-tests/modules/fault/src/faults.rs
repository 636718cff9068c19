//! What happens to a call on its way: it is counted, and perhaps answered, held up or made the process's last.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use cryptoki_sys::CK_RV;
use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

use crate::{
    calls::NAMES,
    control::Control,
    layout::{self, ARGUMENT, CALLS, Cure, HITS, Kind, PLAN, Plan, RELEASES},
};

/// How often a call that hangs looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

/// A fault that is due.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    kind: Kind,
    argument: u64,
    pub(crate) after: bool,
    /// The first word of the function.
    first: usize,
}

/// Counts a call, and takes the fault that is due.
pub(crate) fn count(control: &Control, function: usize) -> Option<Due> {
    let first = layout::function(function);
    control.word(first + CALLS).fetch_add(1, Ordering::Relaxed);
    let cell = control.word(first + PLAN);
    loop {
        let word = cell.load(Ordering::Acquire);
        let plan = Plan::from_word(word)?;
        // The test takes a plan away before it changes the argument: if the word is still there below, this is its own.
        let argument = control.read(first + ARGUMENT);
        let (hit, left) = plan.step();
        // Of several threads each gets its own step.
        if replace(cell, word, left.map_or(0, Plan::to_word)) {
            if !hit {
                return None;
            }
            control.word(first + HITS).fetch_add(1, Ordering::Release);
            return Some(Due {
                kind: plan.kind,
                argument,
                after: plan.after,
                first,
            });
        }
    }
}

/// Ends every plan that this ends.
pub(crate) fn end(control: &Control, cure: Cure) {
    for cell in (0..NAMES.len()).map(|function| control.word(layout::function(function) + PLAN)) {
        let mut word = cell.load(Ordering::Acquire);
        while Plan::from_word(word).is_some_and(|plan| plan.until.is_some_and(|until| until <= cure)) {
            if replace(cell, word, 0) {
                break;
            }
            word = cell.load(Ordering::Acquire);
        }
    }
}

fn replace(cell: &AtomicU64, old: u64, new: u64) -> bool {
    cell.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

impl Due {
    /// Lets it happen. The return value to answer with, if the call is not to go on.
    pub(crate) fn happen(self, control: &Control) -> Option<CK_RV> {
        match self.kind {
            Kind::Answer => return Some(self.argument),
            Kind::Delay => pause(Duration::from_millis(self.argument)),
            Kind::Hang => {
                let releases = control.read(self.first + RELEASES);
                while control.read(self.first + RELEASES) == releases {
                    pause(LOOK);
                }
            }
            Kind::Segfault => {
                let nowhere = std::ptr::without_provenance_mut::<u8>(1);
                // SAFETY: it is not: the first page is never mapped, and the process is to die of this write.
                unsafe { nowhere.write_volatile(0) }
            }
            Kind::Abort => std::process::abort(),
            Kind::Exit => std::process::exit(i32::try_from(self.argument).unwrap_or(1)),
        }
        None
    }
}

fn pause(time: Duration) {
    let Ok(mut left) = Timespec::try_from(time) else {
        return;
    };
    while let NanosleepRelativeResult::Interrupted(rest) = nanosleep(&left) {
        left = rest;
    }
}
