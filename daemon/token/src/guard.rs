//! The PIN guard: keeps the PIN that works, and remembers those that did not, so that none is tried twice.
//!
//! A card gives three tries or so, and every automatic retry of a wrong PIN is one of them. So a try is written down before
//! the PIN goes to the token, and what came of it afterwards: a process that is killed in between, and started again and
//! again, finds a try whose outcome is unknown, and leaves that PIN alone. Of a PIN only a keyed hash is written, in the
//! [`PinMemory`]; without one, the memory ends with the process.
//!
//! ```text
//!   begin ──► on the disk ──► C_Login ──┬─► succeeded   all is forgotten
//!                                       ├─► failed      never again
//!                                       ├─► unclear     again now, but not after a restart
//!                                       ├─► untried     as if nothing had been
//!                                       └─  (nothing)   by hand, once; once more if somebody insists, twice at most
//! ```
//!
//! A PIN that is replaced is written down in the same way before it goes to C_SetPIN, and as replaced afterwards: where it is
//! still configured, it is not tried at the next start.

mod memory;
mod objection;
mod pad;
mod record;

use zeroize::Zeroizing;

use crate::{pin::Pin, pins::Purpose};
use memory::Page;
pub use memory::{MemoryError, PinMemory};
use pad::Pad;
use record::{Hash, Outcome, Record};

/// Logins whose outcome is unclear (a device error, not a verdict on the PIN) that may follow each other automatically.
const MAX_UNCLEAR: u8 = 2;

/// Tries without success after which none is automatic. Many cards give three: the last is for a person who looks.
const MAX_TRIES: u32 = 2;

/// Tries that somebody may insist on without an answer to any of them. With the two by hand before them, a script in a loop may have
/// spent four tries of a token that does not say when one is left, and no more.
pub(crate) const MAX_INSISTED: u32 = 2;

/// PINs that may be compared with the one in use. No token counts these guesses.
const MAX_GUESSES: u8 = 3;

/// Who wants a PIN tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Nobody: the kept PIN, because the token is there.
    Automatic,
    /// Somebody who has just given it.
    ByHand,
}

/// Why a PIN is not tried by hand either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Barred {
    /// The token refused it.
    Refused,
    /// Two tries came to no end: nobody knows whether it is right.
    Unanswered,
}

pub(crate) struct PinGuard {
    /// `None` if it ends with the process.
    memory: Option<PinMemory>,
    /// The token's own; `None` until it has been seen.
    page: Option<Page>,
    /// For hashes of PINs.
    hash_key: Zeroizing<[u8; 32]>,
    record: Record,
    kept: Option<Pin>,
    /// A login with the kept PIN has succeeded, and none has failed since.
    proven: bool,
    pending: Option<Pending>,
    /// The PIN with which this process met an error that was no verdict.
    retry: Option<Hash>,
    unclear: u8,
    /// The try under way is of a proved PIN, and counts as unclear until its outcome is known.
    unwritten: bool,
    /// Somebody insists that this one be tried once, though nobody knows what came of it before.
    insisted: Option<Hash>,
    /// How many such tries have gone to the token, as far as this process knows.
    insistences: u64,
    guesses: u8,
    pad: Pad,
}

/// The try whose outcome is awaited.
struct Pending {
    hash: Hash,
    /// What was known of the PIN before.
    before: Option<Outcome>,
    /// It is to be replaced; and whether it was proven until then.
    change: Option<bool>,
    /// Somebody insisted on it.
    insisted: bool,
}

impl PinGuard {
    /// `kept` is the configured PIN, not tried yet; `pad` says that the token's own PIN pad may be asked automatically.
    ///
    /// # Errors
    /// Without a memory, when the system has no randomness.
    pub(crate) fn new(memory: Option<PinMemory>, kept: Option<Pin>, pad: bool) -> Result<Self, MemoryError> {
        let hash_key = memory
            .as_ref()
            .map_or_else(memory::random_key, |memory| Ok(memory.hash_key()))?;
        Ok(Self {
            memory,
            page: None,
            hash_key,
            record: Record::default(),
            kept,
            proven: false,
            pending: None,
            retry: None,
            unclear: 0,
            unwritten: false,
            insisted: None,
            insistences: 0,
            guesses: 0,
            pad: Pad::new(pad),
        })
    }

    /// The token has been found: from now on its own page of the memory counts. Called each time it is found.
    pub(crate) fn identify(&mut self, serial: &str, label: &str) {
        let Some(memory) = &self.memory else { return };
        let page = memory.page(serial, label);
        if self.page.as_ref() != Some(&page) {
            self.record = page.read();
            self.page = Some(page);
            self.pending = None;
            self.retry = None;
            self.unclear = 0;
            self.insisted = None;
        }
    }

    /// The PIN for automatic use, if there is one that may be tried or has been proved.
    pub(crate) fn kept(&self) -> Option<&Pin> {
        self.kept.as_ref().filter(|kept| self.objection(kept).is_none())
    }

    /// Whether somebody is to be asked for the PIN at the token's own PIN pad: only where none is kept here.
    pub(crate) fn ask_at_pad(&mut self, purpose: Purpose) -> bool {
        self.kept.is_none() && self.pad.ask(purpose)
    }

    /// Why the kept PIN is not tried, and what to do; `None` if it is, or if there is none.
    pub(crate) fn advice(&self) -> Option<String> {
        self.objection(self.kept.as_ref()?)
    }

    /// Whether this is the PIN in use. After some wrong guesses the answer is no, until a login has proved a PIN.
    pub(crate) fn guess(&mut self, pin: &Pin) -> bool {
        if self.guesses == MAX_GUESSES {
            return false;
        }
        let right = self.is_kept(pin);
        self.guesses += u8::from(!right);
        right
    }

    /// Whether this is the PIN in use, if that has been proved. Whoever asks counts how often.
    pub(crate) fn compare(&self, pin: &Pin) -> Option<bool> {
        self.proven.then(|| self.is_kept(pin))
    }

    /// Why this PIN is not to be tried by hand either, if it is not.
    pub(crate) fn barred(&self, pin: &Pin) -> Option<Barred> {
        match self.record.outcome(&self.hash(pin))? {
            Outcome::Refused => Some(Barred::Refused),
            Outcome::UnknownByHand => Some(Barred::Unanswered),
            Outcome::Unknown | Outcome::Replaced => None,
        }
    }

    /// Whether somebody insists that this PIN be tried by hand though it is [`Barred::Unanswered`]: once, and until anything else
    /// is wanted of this guard.
    pub(crate) fn insist(&mut self, on: Option<&Pin>) {
        self.insisted = on.map(|pin| self.hash(pin));
    }

    /// What is to be done before anybody can insist again, if the token has left so many such tries without an answer.
    pub(crate) fn insistence_spent(&self) -> Option<String> {
        (self.record.insisted >= MAX_INSISTED).then(|| {
            let forget = match &self.page {
                Some(page) => format!("stop the daemon, remove {}, and start it", page.path().display()),
                None => "start the daemon anew".to_owned(),
            };
            format!(
                "{forget}: that forgets which PINs the token has refused, too, and how many tries there were, so take its PIN out of \
                 the configuration before"
            )
        })
    }

    /// How many tries that somebody insisted on have gone to the token.
    pub(crate) fn insistences(&self) -> u64 {
        self.insistences
    }

    /// Writes down that this PIN is about to be tried. Only then may it go to C_Login, and afterwards one of
    /// [`succeeded`](Self::succeeded), [`failed`](Self::failed), [`unclear`](Self::unclear) and [`untried`](Self::untried) is
    /// called, or none if nobody knows because the module is gone. Writes nothing for a PIN that this process has proved; that
    /// nobody knows is counted of that one as well.
    ///
    /// # Errors
    /// When it cannot be written, or this PIN is not to be tried. It must not be sent then.
    pub(crate) fn begin(&mut self, pin: &Pin, attempt: Attempt) -> Result<(), MemoryError> {
        if self.proven && self.is_kept(pin) {
            self.unclear = self.unclear.saturating_add(1);
            self.unwritten = true;
            return Ok(());
        }
        self.write_down(pin, attempt, None)
    }

    /// Writes down that this PIN is about to be replaced, with the token's leave. Only then may it go to C_SetPIN, and afterwards
    /// one of [`changed`](Self::changed), [`unchanged`](Self::unchanged), [`failed`](Self::failed), [`unclear`](Self::unclear) and
    /// [`untried`](Self::untried) is called, or none if nobody knows. Until then nobody knows which PIN the token has, and none is
    /// tried automatically.
    ///
    /// # Errors
    /// When it cannot be written, or this PIN is not to be tried. It must not be sent then.
    pub(crate) fn begin_change(&mut self, old: &Pin) -> Result<(), MemoryError> {
        let proven = self.proven && self.is_kept(old);
        self.write_down(old, Attempt::ByHand, Some(proven))?;
        self.proven &= !proven;
        Ok(())
    }

    /// The token has this PIN from now on, in the place of the one that was begun with.
    pub(crate) fn changed(&mut self, new: Pin) {
        let Some(Pending {
            hash,
            change: Some(proven),
            ..
        }) = self.pending.take()
        else {
            return;
        };
        self.record.replace(hash, &self.hash(&new));
        self.keep_record();
        // One that was kept and is neither the old nor the new one is wrong.
        let kept = self.kept.take().is_some_and(|kept| self.hash(&kept) == hash);
        self.kept = kept.then_some(new);
        self.proven = proven;
        self.retry = None;
        self.unclear = 0;
        self.guesses = 0;
    }

    /// The token does not take the new PIN. One that was proven still is; of another it is not known whether it was looked at.
    pub(crate) fn unchanged(&mut self) {
        match &self.pending {
            Some(Pending { change: Some(true), .. }) => self.untried(),
            _ => self.unclear(),
        }
    }

    /// The token accepted this PIN.
    pub(crate) fn succeeded(&mut self, pin: Pin) {
        self.pending = None;
        self.retry = None;
        self.unclear = 0;
        self.unwritten = false;
        self.guesses = 0;
        if self.record != Record::default() {
            let before = self.record.clone();
            self.record.succeed(&self.hash(&pin));
            if self.record != before {
                self.keep_record();
            }
        }
        self.kept = Some(pin);
        self.proven = true;
        self.pad.logged_in(false);
    }

    /// The token accepted what was entered at its PIN pad.
    pub(crate) fn succeeded_at_pad(&mut self) {
        self.unclear = 0;
        self.pad.logged_in(true);
        // Which of the PINs that have failed it was, if any, nobody knows.
        if self.record.tries != 0 || self.record.damage.is_some() {
            self.record.tries = 0;
            self.record.insisted = 0;
            self.record.damage = None;
            self.keep_record();
        }
    }

    /// The token refused this PIN.
    pub(crate) fn failed(&mut self, pin: &Pin) {
        let hash = self.hash(pin);
        let counted = self.pending.take().is_some_and(|pending| pending.hash == hash);
        if self.is_kept(pin) {
            self.kept = None;
            self.proven = false;
        }
        self.record.refuse(hash, counted);
        self.keep_record();
    }

    /// A login or a change ended with an error that is no verdict on the PIN; a try may have been spent.
    pub(crate) fn unclear(&mut self) {
        if self.pending.take_if(|pending| pending.change.is_some()).is_some() {
            // It may have been replaced, so it is not tried again automatically.
            return;
        }
        let counted = std::mem::take(&mut self.unwritten);
        self.unclear = self.unclear.saturating_add(u8::from(!counted));
        if let Some(Pending { hash, .. }) = self.pending.take() {
            self.retry = Some(hash);
            // Whoever tried it by hand has seen the error, and may try again.
            if self.record.release(&hash) {
                self.keep_record();
            }
        }
    }

    /// The PIN did not go to the token after all: it was pulled in between, or says that its PIN is locked.
    pub(crate) fn untried(&mut self) {
        self.insisted = None;
        let counted = std::mem::take(&mut self.unwritten);
        self.unclear = self.unclear.saturating_sub(u8::from(counted));
        if let Some(pending) = self.pending.take() {
            self.proven |= pending.change == Some(true);
            self.record.take_back(&pending.hash, pending.before, pending.insisted);
            self.insistences -= u64::from(pending.insisted);
            self.keep_record();
        }
    }

    /// Drops the kept PIN.
    pub(crate) fn forget(&mut self) {
        self.kept = None;
        self.proven = false;
        self.unclear = 0;
        self.insisted = None;
        self.pad.locked();
    }

    fn is_kept(&self, pin: &Pin) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept == pin)
    }

    fn write_down(&mut self, pin: &Pin, attempt: Attempt, change: Option<bool>) -> Result<(), MemoryError> {
        if self.memory.is_some() && self.page.is_none() {
            return Err(MemoryError::Unidentified);
        }
        let hash = self.hash(pin);
        let insisted = attempt == Attempt::ByHand && self.barred(pin) == Some(Barred::Unanswered);
        let refused = match attempt {
            Attempt::Automatic => self.objection(pin).is_some(),
            Attempt::ByHand if insisted => self.insisted.take() != Some(hash) || self.insistence_spent().is_some(),
            Attempt::ByHand => self.barred(pin).is_some(),
        };
        if refused {
            return Err(MemoryError::NotAgain);
        }
        let mut record = self.record.clone();
        record.begin(hash, attempt, insisted);
        if let Some(page) = &self.page {
            page.write(&record)?;
        }
        let before = self.record.outcome(&hash);
        self.pending = Some(Pending {
            hash,
            before,
            change,
            insisted,
        });
        self.insistences += u64::from(insisted);
        self.record = record;
        Ok(())
    }

    fn keep_record(&self) {
        let Some(page) = &self.page else { return };
        let kept = match self.record == Record::default() {
            true => page.clear(),
            false => page.write(&self.record),
        };
        if let Err(error) = kept {
            // What was written before the try stands, and keeps the PIN from being tried again automatically.
            tracing::warn!(%error, "the outcome of a login could not be written down");
        }
    }

    fn hash(&self, pin: &Pin) -> Hash {
        let identity = self.page.as_ref().map(Page::identity).unwrap_or_default();
        record::hash(&self.hash_key, &identity, pin)
    }
}

#[cfg(test)]
mod tests;
