//! What the guard knows of a token's own PIN pad: when it may ask somebody there. The PIN itself never comes here.

use crate::pins::Purpose;

#[derive(Debug, Default)]
pub(super) struct Pad {
    /// It may be asked without anybody having asked for it, as configured.
    automatic: bool,
    /// That was done, or the token was locked by hand, and nobody has logged in since.
    spent: bool,
    /// The login that stands was made there.
    in_use: bool,
}

impl Pad {
    pub(super) fn new(automatic: bool) -> Self {
        Self {
            automatic,
            ..Self::default()
        }
    }

    /// Whether somebody is to be asked at the pad now. For a login by itself that is once, until it has come to something: a
    /// pad that blinks again and again teaches people to give it what it wants.
    pub(super) fn ask(&mut self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Login => self.automatic && !std::mem::replace(&mut self.spent, true),
            Purpose::Operation => self.in_use,
        }
    }

    /// Somebody has logged in, there or elsewhere.
    pub(super) fn logged_in(&mut self, there: bool) {
        self.spent = false;
        self.in_use = there;
    }

    /// The token has been locked by hand.
    pub(super) fn locked(&mut self) {
        self.spent = true;
        self.in_use = false;
    }
}
