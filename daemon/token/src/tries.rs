//! What a token says of the tries that its user PIN has left, and when that is not to be believed.
//!
//! A login gives all tries back. Some modules go on saying for as long as it lasts what they said before it (OpenSC asks the
//! card, which does not tell while the PIN is verified, and repeats what it heard last). Taken at its word, such a token would
//! refuse every key that wants its PIN for each use, and would not be logged in to again. So what the flags say right after
//! a login counts for nothing until they say something else, or something has happened that may have spent a try.

use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki::slot::TokenInfo;

use crate::status::PinStatus;

/// Which flags are left over from before the last login.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    stale_count_low: AtomicBool,
    stale_final_try: AtomicBool,
}

impl Tries {
    /// What to make of the token's flags.
    pub(crate) fn of(&self, info: &TokenInfo) -> PinStatus {
        self.believed(said(info))
    }

    /// The token has just accepted a PIN, and says this.
    pub(crate) fn given_back(&self, info: &TokenInfo) {
        self.disbelieve(said(info));
    }

    /// A wrong PIN was sent, or it may be another token: from now on the flags count.
    pub(crate) fn may_be_spent(&self) {
        self.disbelieve(PinStatus::Ok);
    }

    fn believed(&self, said: PinStatus) -> PinStatus {
        let stale = match said {
            PinStatus::CountLow => self.stale_count_low.load(Ordering::Relaxed),
            PinStatus::FinalTry => self.stale_final_try.load(Ordering::Relaxed),
            // Nothing that is locked has accepted a PIN.
            PinStatus::Ok | PinStatus::Locked => false,
        };
        if stale {
            return PinStatus::Ok;
        }
        self.may_be_spent();
        said
    }

    fn disbelieve(&self, said: PinStatus) {
        self.stale_count_low
            .store(said == PinStatus::CountLow, Ordering::Relaxed);
        self.stale_final_try
            .store(said == PinStatus::FinalTry, Ordering::Relaxed);
    }
}

fn said(info: &TokenInfo) -> PinStatus {
    if info.user_pin_locked() {
        PinStatus::Locked
    } else if info.user_pin_final_try() {
        PinStatus::FinalTry
    } else if info.user_pin_count_low() {
        PinStatus::CountLow
    } else {
        PinStatus::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PinStatus::{CountLow, FinalTry, Locked, Ok};

    #[test]
    fn flags_count_until_a_login_gives_the_tries_back() {
        let tries = Tries::default();
        for said in [Ok, CountLow, FinalTry, Locked] {
            assert_eq!(tries.believed(said), said);
        }
        tries.disbelieve(FinalTry);
        assert_eq!(tries.believed(FinalTry), Ok);
        assert_eq!(tries.believed(FinalTry), Ok);
    }

    #[test]
    fn flags_that_have_changed_since_count_again() {
        for news in [Ok, CountLow, Locked] {
            let tries = Tries::default();
            tries.disbelieve(FinalTry);
            assert_eq!(tries.believed(news), news);
            assert_eq!(tries.believed(FinalTry), FinalTry);
        }
    }

    #[test]
    fn flags_count_again_after_a_wrong_pin() {
        let tries = Tries::default();
        tries.disbelieve(CountLow);
        tries.may_be_spent();
        assert_eq!(tries.believed(CountLow), CountLow);
    }

    #[test]
    fn a_locked_pin_is_always_believed() {
        let tries = Tries::default();
        tries.disbelieve(Locked);
        assert_eq!(tries.believed(Locked), Locked);
    }
}
