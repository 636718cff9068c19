//! Which intents have had their outcomes, remembered in a bit or two for each record: a trail may be long. What an outcome is
//! about may stand in an older file that was not given, or in a part that is missing; then nothing is said about it.

use std::collections::BTreeMap;

use super::Problem;

/// What has been seen of a trail so far.
#[derive(Default)]
pub(super) struct Pairs {
    records: Numbers,
    ended: Numbers,
}

impl Pairs {
    /// A record with this number was read.
    pub(super) fn note_record(&mut self, seq: u64) {
        self.records.insert(seq);
    }

    /// What is wrong with the outcome of `intent` in record `seq`. It is fine if that intent has been read and is open.
    pub(super) fn objection(&mut self, intent: u64, seq: u64, is_open: bool) -> Option<Problem> {
        let is_second = !self.ended.insert(intent);
        if is_open {
            return None;
        }
        if is_second {
            return Some(Problem::SecondOutcome { intent });
        }
        // Numbers begin with 1.
        let is_elsewhere = (1..seq).contains(&intent) && !self.records.has(intent);
        (!is_elsewhere).then_some(Problem::NoIntent { intent })
    }
}

/// A set of numbers, most of them close to each other.
#[derive(Default)]
struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    /// Whether it was not there before.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = place(number);
        let bits = self.0.entry(word).or_default();
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.0.get(&word).is_some_and(|bits| bits & bit != 0)
    }
}

fn place(number: u64) -> (u64, u64) {
    (number / 64, 1 << (number % 64))
}
