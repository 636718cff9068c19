//! Why a PIN is not tried automatically, and what to do about it.

use super::{MAX_TRIES, MAX_UNCLEAR, PinGuard, record::Outcome};
use crate::pin::Pin;

impl PinGuard {
    /// Why this PIN is not tried automatically.
    pub(super) fn objection(&self, pin: &Pin) -> Option<String> {
        let hash = self.hash(pin);
        if self.unclear >= MAX_UNCLEAR {
            return Some(
                "several logins failed for reasons of the token's: unlock it by hand once it is well".to_owned(),
            );
        }
        if self.proven && self.is_kept(pin) {
            return None;
        }
        if self.memory.is_some() && self.page.is_none() {
            return Some("it has not been seen yet".to_owned());
        }
        let page = self.page.as_ref().map(|page| page.path().display().to_string());
        let page = page.unwrap_or_default();
        if let Some(damage) = &self.record.damage {
            return Some(format!(
                "nothing is tried automatically, because which PINs have failed is not known ({page}: {damage}): unlock it by \
                 hand with its PIN, or remove the file once the configured PIN is sure to be right and start again"
            ));
        }
        match self.record.outcome(&hash) {
            Some(Outcome::Refused) => {
                return Some(
                    "the configured PIN was refused before and is not tried again: correct it, or unlock it by hand"
                        .to_owned(),
                );
            }
            Some(Outcome::Unknown | Outcome::UnknownByHand) if self.retry != Some(hash) => {
                return Some(
                    "a login with the configured PIN came to no end before, and may have spent a try: unlock it by hand"
                        .to_owned(),
                );
            }
            Some(Outcome::Replaced) => {
                return Some(
                    "the configured PIN is the one from before it was changed: configure the new one, and unlock it by hand \
                     until then"
                        .to_owned(),
                );
            }
            _ => {}
        }
        (self.record.tries >= MAX_TRIES && self.retry != Some(hash)).then(|| {
            let tries = self.record.tries;
            format!("{tries} tries in a row without success, so nothing is tried automatically: unlock it by hand")
        })
    }
}
