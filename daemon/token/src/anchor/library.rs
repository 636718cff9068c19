//! Starting a library anew, as a whole: C_Finalize and C_Initialize, while no token is in use through it.

use std::time::{Duration, Instant};

use super::{Anchor, RESTART_PAUSE};
use crate::{ckr::Failure, module::Module};

/// A library is left alone for so many times as long as its start took: one whose HSM does not answer takes its time.
const SHARE: u32 = 9;

impl Anchor {
    /// Does so, unless somebody has a token through it. Whether it has been done.
    ///
    /// # Errors
    /// What C_Initialize answered.
    pub(super) fn start_library_anew(&mut self, module: &Module) -> Result<bool, Failure> {
        let begun = Instant::now();
        // It is given the time that a library has to load.
        self.shared.board.initializing(true);
        let done = module.restart_if_unused();
        self.shared.board.initializing(false);
        self.next_restart = Instant::now() + pause_after(begun.elapsed());
        done
    }
}

fn pause_after(took: Duration) -> Duration {
    RESTART_PAUSE.max(took.saturating_mul(SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_takes_long_to_start_is_started_anew_less_often() {
        assert_eq!(pause_after(Duration::from_millis(3)), RESTART_PAUSE);
        assert_eq!(pause_after(Duration::from_secs(5)), Duration::from_secs(45));
    }
}
