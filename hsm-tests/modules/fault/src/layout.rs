//! The control file: little-endian words of eight bytes, first the module's own, then [`FUNCTION_WORDS`] for each of
//! [`FUNCTIONS`] in that order, then [`TOKEN_WORDS`] for each of [`TOKENS`] tokens.
//!
//! Every word is written by one side alone, but for a [`Plan`], which the test writes and the module counts down.

use crate::FUNCTIONS;

/// The length of a word in bytes.
pub const WORD_LEN: u64 = 8;

/// Raised by the test after every removal or insertion.
pub const EPOCH: usize = 0;
/// Sessions that are open in the process that opened or closed one last.
pub const SESSIONS: usize = 1;
const MODULE_WORDS: usize = 8;

/// In the words of a function: its calls so far.
pub const CALLS: usize = 0;
/// In the words of a function: the [`Plan`], in one word.
pub const PLAN: usize = 1;
/// In the words of a function: what goes with the plan: a return value, milliseconds, an exit status.
pub const ARGUMENT: usize = 2;
/// In the words of a function: calls so far that the plan has happened to; counted before it happens.
pub const HITS: usize = 3;
/// In the words of a function: raised by the test to let every call that hangs go on.
pub const RELEASES: usize = 4;
/// Words of a function.
pub const FUNCTION_WORDS: usize = 8;

/// In the words of a token: its serial number, padded with zeros; two words. All zero: no token.
pub const SERIAL: usize = 0;
/// In the words of a token: how often it was pulled or put in again; odd while it is out.
pub const PRESENCE: usize = 2;
/// In the words of a token: wrong PINs in a row after which it is locked; zero: never.
pub const PIN_LIMIT: usize = 3;
/// In the words of a token: wrong PINs in a row.
pub const PIN_WRONG_IN_A_ROW: usize = 4;
/// In the words of a token: wrong PINs in all.
pub const PIN_WRONG: usize = 5;
/// In the words of a token: PINs that the token looked at, right or wrong.
pub const PIN_TRIES: usize = 6;
/// In the words of a token: what its PIN pad does; zero: it has none.
pub const PAD: usize = 7;
/// In the words of a token: the PIN that is entered at its pad, at most sixteen bytes, padded with zeros; two words.
pub const PAD_PIN: usize = 8;
/// In the words of a token: the new PIN that is entered at its pad; two words.
pub const PAD_NEW_PIN: usize = 10;
/// In the words of a token: how often somebody was asked at its pad.
pub const PAD_PROMPTS: usize = 12;
/// Words of a token.
pub const TOKEN_WORDS: usize = 16;

/// [`PAD`]: somebody enters the PIN that stands there.
pub const PAD_ENTERS: u64 = 1;
/// [`PAD`]: somebody cancels.
pub const PAD_CANCELS: u64 = 2;

/// Tokens that there is room for.
pub const TOKENS: usize = 8;

/// Words in the file.
pub const WORDS: usize = MODULE_WORDS + FUNCTION_WORDS * FUNCTIONS.len() + TOKEN_WORDS * TOKENS;

/// The length of the file in bytes.
pub const FILE_LEN: usize = 8 * WORDS;

/// The first word of a function, by its place in [`FUNCTIONS`].
#[must_use]
pub const fn function(index: usize) -> usize {
    MODULE_WORDS + FUNCTION_WORDS * index
}

/// The first word of a token, by its place.
#[must_use]
pub const fn token(index: usize) -> usize {
    function(FUNCTIONS.len()) + TOKEN_WORDS * index
}

/// A serial number as it stands in the file; PKCS#11 gives it sixteen bytes, padded with blanks.
#[must_use]
pub fn serial(number: &[u8]) -> [u64; 2] {
    words(number.trim_ascii_end())
}

/// At most sixteen bytes as they stand in the file.
#[must_use]
pub fn words(text: &[u8]) -> [u64; 2] {
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(text) {
        *byte = *from;
    }
    let [low, high] = [0, 8].map(|at| {
        bytes
            .iter()
            .skip(at)
            .take(8)
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    });
    [low, high]
}

/// What [`words`] was made of, without zeros at its end.
#[must_use]
pub fn text(words: [u64; 2]) -> Vec<u8> {
    let mut bytes = words.map(u64::to_le_bytes).concat();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answers the return value in the argument, and does not reach the real module unless [`Plan::after`] is set.
    Answer,
    /// It takes so many milliseconds longer.
    Delay,
    /// It does not come back before [`RELEASES`] is raised.
    Hang,
    /// It writes where nothing is mapped (SIGSEGV).
    Segfault,
    /// It calls abort() (SIGABRT).
    Abort,
    /// It calls exit() with the argument.
    Exit,
}

const KINDS: [Kind; 6] = [
    Kind::Answer,
    Kind::Delay,
    Kind::Hang,
    Kind::Segfault,
    Kind::Abort,
    Kind::Exit,
];

/// What ends a plan before its calls are over: what a module in trouble is cured by. Each cures what those before it cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cure {
    /// The next login.
    Login,
    /// The next C_Finalize.
    Finalize,
    /// The next process.
    Process,
}

const CURES: [Cure; 3] = [Cure::Login, Cure::Finalize, Cure::Process];

/// What is to happen to which of the coming calls of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What happens.
    pub kind: Kind,
    /// After the real module has done its work, not before.
    pub after: bool,
    /// Calls that are left alone before it begins.
    pub skip: u32,
    /// Calls that it then happens to; `None`: all.
    pub times: Option<u32>,
    /// What ends it.
    pub until: Option<Cure>,
}

impl Plan {
    /// The most calls that can be skipped or hit.
    pub const MAX_CALLS: u32 = (1 << 24) - 2;
    const ALL: u64 = (1 << 24) - 1;

    /// As it stands in the file; never zero. More calls than [`Plan::MAX_CALLS`] are that many.
    #[must_use]
    pub fn to_word(self) -> u64 {
        let kind = KINDS
            .iter()
            .zip(1..)
            .find_map(|(kind, code)| (*kind == self.kind).then_some(code));
        let times = self
            .times
            .map_or(Self::ALL, |times| u64::from(times.min(Self::MAX_CALLS)));
        let skip = u64::from(self.skip.min(Self::MAX_CALLS));
        let until = CURES
            .iter()
            .zip(1..)
            .find_map(|(cure, code)| (Some(*cure) == self.until).then_some(code));
        kind.unwrap_or(0) | u64::from(self.after) << 8 | until.unwrap_or(0) << 9 | times << 16 | skip << 40
    }

    /// What stands in the file; zero is no plan.
    #[must_use]
    pub fn from_word(word: u64) -> Option<Self> {
        let kind = KINDS
            .iter()
            .zip(1..)
            .find_map(|(kind, code)| (word & 0xff == code).then_some(*kind))?;
        let times = word >> 16 & Self::ALL;
        Some(Self {
            kind,
            after: word >> 8 & 1 == 1,
            skip: u32::try_from(word >> 40).unwrap_or(0),
            times: (times != Self::ALL).then(|| u32::try_from(times).unwrap_or(0)),
            until: CURES
                .iter()
                .zip(1..)
                .find_map(|(cure, code)| (word >> 9 & 3 == code).then_some(*cure)),
        })
    }

    /// Whether it happens to the call that comes now, and what is left of it for those that follow.
    #[must_use]
    pub fn step(self) -> (bool, Option<Self>) {
        if let Some(skip) = self.skip.checked_sub(1) {
            return (false, Some(Self { skip, ..self }));
        }
        match self.times {
            None => (true, Some(self)),
            Some(0) => (false, None),
            Some(1) => (true, None),
            Some(times) => (
                true,
                Some(Self {
                    times: Some(times - 1),
                    ..self
                }),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_comes_back_from_its_word() {
        for kind in KINDS {
            for (after, skip, times, until) in [
                (false, 0, None, None),
                (true, 7, Some(1), Some(Cure::Login)),
                (true, 0, None, Some(Cure::Finalize)),
                (false, Plan::MAX_CALLS, Some(Plan::MAX_CALLS), Some(Cure::Process)),
            ] {
                let plan = Plan {
                    kind,
                    after,
                    skip,
                    times,
                    until,
                };
                assert_eq!(Plan::from_word(plan.to_word()), Some(plan));
            }
        }
        assert_eq!(Plan::from_word(0), None);
    }

    #[test]
    fn a_plan_skips_then_hits_then_is_over() {
        let mut plan = Some(Plan {
            kind: Kind::Hang,
            after: false,
            skip: 2,
            times: Some(2),
            until: None,
        });
        let mut hits = Vec::new();
        while let Some(now) = plan {
            let (hit, left) = now.step();
            hits.push(hit);
            plan = left;
        }
        assert_eq!(hits, [false, false, true, true]);
    }

    #[test]
    fn a_serial_number_is_compared_without_its_padding() {
        assert_eq!(
            serial(b"0123456789abcdef"),
            [0x3736_3534_3332_3130, 0x6665_6463_6261_3938]
        );
        assert_eq!(serial(b"12              "), serial(b"12"));
    }

    #[test]
    fn a_text_comes_back_from_its_words() {
        for each in [&b""[..], b"471147", b"0123456789abcdef"] {
            assert_eq!(text(words(each)), each);
        }
    }
}
