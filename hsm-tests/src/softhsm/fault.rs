//! What a test tells the fault module, and reads from it: the test's side of the control file.
//!
//! ```no_run
//! # use std::{path::Path, time::Duration};
//! # use hsm_tests::softhsm::fault::{Fault, Faults};
//! let faults = Faults::create(Path::new("faults"))?;
//! faults.put("C_Sign", Fault::hang().after_calls(2).once())?;
//! faults.put("C_Login", Fault::segfault().behind_the_call())?;
//! faults.token("0123456789abcdef")?.pull()?;
//! # anyhow::Ok(())
//! ```

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use cryptoki_sys::CK_RV;
pub use fault_module::layout::Cure;
use fault_module::{
    FILE_VARIABLE, FUNCTIONS,
    layout::{self, Kind, Plan, WORD_LEN},
};

/// Added to a return value for [`Faults::fail`]: every call fails, not the next alone.
pub const ALWAYS: CK_RV = 1 << 63;

/// What is to happen to the calls of a function: to all of them until it is taken back, unless it is said otherwise.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Fault {
    plan: Plan,
    argument: u64,
}

impl Fault {
    /// Answers this return value without reaching SoftHSM.
    pub fn answer(rv: CK_RV) -> Self {
        Self::new(Kind::Answer, rv)
    }

    /// Takes so much longer, to the millisecond.
    pub fn delay(time: Duration) -> Self {
        Self::new(Kind::Delay, u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    /// Does not come back before [`Faults::go_on`].
    pub fn hang() -> Self {
        Self::new(Kind::Hang, 0)
    }

    /// Ends the process with SIGSEGV.
    pub fn segfault() -> Self {
        Self::new(Kind::Segfault, 0)
    }

    /// Ends the process with abort().
    pub fn abort() -> Self {
        Self::new(Kind::Abort, 0)
    }

    /// Ends the process with exit().
    pub fn exit(status: u8) -> Self {
        Self::new(Kind::Exit, status.into())
    }

    /// Leaves so many calls alone first.
    pub fn after_calls(mut self, calls: u32) -> Self {
        self.plan.skip = calls;
        self
    }

    /// Happens to so many calls, and then no more.
    pub fn times(mut self, calls: u32) -> Self {
        self.plan.times = Some(calls);
        self
    }

    /// Happens to one call.
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Happens once SoftHSM has done the work, instead of before.
    pub fn behind_the_call(mut self) -> Self {
        self.plan.after = true;
        self
    }

    /// Happens until this cures it.
    pub fn until(mut self, cure: Cure) -> Self {
        self.plan.until = Some(cure);
        self
    }

    fn new(kind: Kind, argument: u64) -> Self {
        let plan = Plan {
            kind,
            after: false,
            skip: 0,
            times: None,
            until: None,
        };
        Self { plan, argument }
    }
}

/// The control file. Whoever else has it open, in whatever process, sees what is written at once.
#[derive(Debug)]
pub struct Faults {
    path: PathBuf,
    file: File,
}

impl Faults {
    /// Makes the file: nothing counted, no faults.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        file.set_len(layout::FILE_LEN as u64)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Opens the file that the environment names.
    pub fn open() -> Result<Self> {
        let path = PathBuf::from(std::env::var_os(FILE_VARIABLE).context("no control file in the environment")?);
        let file = File::options().read(true).write(true).open(&path)?;
        Ok(Self { path, file })
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls of a function so far, in all processes.
    pub fn of(&self, function: &str) -> Result<u64> {
        self.read(self::function(function)? + layout::CALLS)
    }

    /// Calls of all functions so far, by name, without those that were never called.
    pub fn all(&self) -> Result<Vec<(&'static str, u64)>> {
        let counts = FUNCTIONS.iter().map(|name| Ok((*name, self.of(name)?)));
        counts
            .filter(|count| count.as_ref().is_ok_and(|(_, count)| *count > 0))
            .collect()
    }

    /// Puts a fault into a function, in place of the one that is there.
    pub fn put(&self, function: &str, fault: Fault) -> Result<()> {
        let first = self::function(function)?;
        // The plan counts, and goes first and comes last: nobody sees the one's argument with the other.
        self.write(first + layout::PLAN, 0)?;
        self.write(first + layout::ARGUMENT, fault.argument)?;
        self.write(first + layout::PLAN, fault.plan.to_word())
    }

    /// Takes the fault out of a function. Calls that hang in it still do: see [`Faults::go_on`].
    pub fn take_back(&self, function: &str) -> Result<()> {
        self.write(self::function(function)? + layout::PLAN, 0)
    }

    /// Takes back every fault, and lets every call go on that hangs.
    pub fn take_back_all(&self) -> Result<()> {
        for name in FUNCTIONS {
            self.take_back(name)?;
            self.go_on(name)?;
        }
        Ok(())
    }

    /// Makes the next call of a function (or, with [`ALWAYS`], each) answer with this value; zero takes that back.
    pub fn fail(&self, function: &str, rv: CK_RV) -> Result<()> {
        match (rv & !ALWAYS, rv & ALWAYS) {
            (0, _) => self.take_back(function),
            (rv, 0) => self.put(function, Fault::answer(rv).once()),
            (rv, _) => self.put(function, Fault::answer(rv)),
        }
    }

    /// Calls of a function so far that a fault has happened to; one that hangs or crashes is counted before it does.
    pub fn hits(&self, function: &str) -> Result<u64> {
        self.read(self::function(function)? + layout::HITS)
    }

    /// Sessions that are open in the process that opened or closed one last.
    pub fn sessions(&self) -> Result<u64> {
        self.read(layout::SESSIONS)
    }

    /// Lets the calls of a function go on that hang now.
    pub fn go_on(&self, function: &str) -> Result<()> {
        let word = self::function(function)? + layout::RELEASES;
        self.write(word, self.read(word)? + 1)
    }

    /// The token with this serial number, which the module watches from now on.
    pub fn token(&self, serial: &str) -> Result<TokenFaults<'_>> {
        let wanted = layout::serial(serial.as_bytes());
        for first in (0..layout::TOKENS).map(layout::token) {
            let word = first + layout::SERIAL;
            let found = [self.read(word)?, self.read(word + 1)?];
            if found == [0, 0] {
                self.write(word, wanted[0])?;
                self.write(word + 1, wanted[1])?;
            }
            if found == wanted || found == [0, 0] {
                return Ok(TokenFaults { faults: self, first });
            }
        }
        bail!("the control file has room for {} tokens", layout::TOKENS)
    }

    fn read(&self, word: usize) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, WORD_LEN * word as u64)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn write(&self, word: usize, value: u64) -> Result<()> {
        Ok(self.file.write_all_at(&value.to_le_bytes(), WORD_LEN * word as u64)?)
    }
}

/// One token behind the fault module.
#[derive(Debug, Clone, Copy)]
pub struct TokenFaults<'a> {
    faults: &'a Faults,
    first: usize,
}

impl TokenFaults<'_> {
    /// Pulls it out of its slot, if it is in it: sessions and login are lost, and stay so.
    pub fn pull(&self) -> Result<()> {
        self.set_out(true)
    }

    /// Puts it back.
    pub fn put_back(&self) -> Result<()> {
        self.set_out(false)
    }

    /// Locks the PIN after so many wrong ones in a row, with the flags that announce it; zero is never.
    pub fn lock_pin_after(&self, wrong: u64) -> Result<()> {
        self.faults.write(self.first + layout::PIN_LIMIT, wrong)
    }

    /// Gives it a PIN pad, at which somebody enters this PIN, of at most sixteen bytes.
    pub fn enter_at_pad(&self, pin: &str) -> Result<()> {
        self.write_text(layout::PAD_PIN, pin)?;
        self.faults.write(self.first + layout::PAD, layout::PAD_ENTERS)
    }

    /// Gives it a PIN pad, at which somebody enters this PIN, and another to take its place.
    pub fn change_at_pad(&self, old: &str, new: &str) -> Result<()> {
        self.write_text(layout::PAD_NEW_PIN, new)?;
        self.enter_at_pad(old)
    }

    /// Gives it a PIN pad, at which somebody cancels.
    pub fn cancel_at_pad(&self) -> Result<()> {
        self.faults.write(self.first + layout::PAD, layout::PAD_CANCELS)
    }

    /// How often somebody was asked at its PIN pad.
    pub fn pad_prompts(&self) -> Result<u64> {
        self.faults.read(self.first + layout::PAD_PROMPTS)
    }

    /// Does what a security officer does about a locked PIN.
    pub fn reset_pin_tries(&self) -> Result<()> {
        self.faults.write(self.first + layout::PIN_WRONG_IN_A_ROW, 0)
    }

    /// PINs that the token has looked at so far, right and wrong ones.
    pub fn pin_tries(&self) -> Result<u64> {
        self.faults.read(self.first + layout::PIN_TRIES)
    }

    /// Wrong PINs so far.
    pub fn wrong_pins(&self) -> Result<u64> {
        self.faults.read(self.first + layout::PIN_WRONG)
    }

    fn write_text(&self, word: usize, text: &str) -> Result<()> {
        for (at, value) in layout::words(text.as_bytes()).into_iter().enumerate() {
            self.faults.write(self.first + word + at, value)?;
        }
        Ok(())
    }

    fn set_out(&self, out: bool) -> Result<()> {
        let word = self.first + layout::PRESENCE;
        let count = self.faults.read(word)?;
        if (count % 2 == 1) != out {
            self.faults.write(word, count + 1)?;
            self.faults.write(layout::EPOCH, self.faults.read(layout::EPOCH)? + 1)?;
        }
        Ok(())
    }
}

fn function(name: &str) -> Result<usize> {
    let index = FUNCTIONS.iter().position(|each| *each == name);
    let index = index.with_context(|| format!("the fault module does not watch {name}"))?;
    Ok(layout::function(index))
}
