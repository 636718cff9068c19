//! Records that were due while the trail was closed. What has happened all the same must be in it some day: how that has ended
//! which was begun before, and what makes things safer, such as the locking of a token. They are written before any other
//! record once the trail is open again, each with the time at which it was due.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::record::{Body, timestamp};

/// Records that are kept beside the outcomes. Of those there are no more than intents that were open as the trail was closed.
const ROOM: usize = 1024;

/// What waits for the trail, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Kept {
    records: VecDeque<Record>,
    /// Those that there was no room for.
    lost: u64,
}

#[derive(Debug)]
struct Record {
    fields: Map<String, Value>,
    is_outcome: bool,
    when: When,
}

/// Whether it is to be written, once it is known what the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    InAnyCase,
    /// If the record whose writing closed the trail is in the file all the same.
    IfThatIsThere,
    /// Unless it is: this is that record.
    UnlessThatIsThere,
}

impl Kept {
    /// Keeps a record; the time is now.
    pub(super) fn keep(&mut self, body: &Body<'_>, when: When) {
        let is_outcome = matches!(body, Body::Outcome { .. });
        let others = self.records.iter().filter(|record| !record.is_outcome);
        let fields = serde_json::to_value(body);
        match fields {
            Ok(Value::Object(mut fields)) if is_outcome || others.count() < ROOM => {
                fields.insert("happened".to_owned(), timestamp(SystemTime::now()).into());
                self.records.push_back(Record {
                    fields,
                    is_outcome,
                    when,
                });
            }
            _ => self.lost += 1,
        }
    }

    /// It is known now whether the record whose writing closed the trail is in the file.
    pub(super) fn settle(&mut self, is_there: bool) {
        let unwanted = match is_there {
            true => When::UnlessThatIsThere,
            false => When::IfThatIsThere,
        };
        self.records.retain(|record| record.when != unwanted);
        for record in &mut self.records {
            record.when = When::InAnyCase;
        }
    }

    /// What is to be written next.
    pub(super) fn first(&self) -> Option<&Map<String, Value>> {
        self.records.front().map(|record| &record.fields)
    }

    /// Writing that has failed, and it may be in the file all the same.
    pub(super) fn doubt_first(&mut self) {
        if let Some(first) = self.records.front_mut() {
            first.when = When::UnlessThatIsThere;
        }
    }

    /// That has been written.
    pub(super) fn remove_first(&mut self) {
        self.records.pop_front();
    }

    /// How many there was no room for, since this was asked last.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(what: &str) -> Body<'_> {
        Body::Note { what, detail: "" }
    }

    const fn outcome(intent: u64) -> Body<'static> {
        Body::Outcome {
            intent,
            request: "r",
            result: "done",
            reason: None,
        }
    }

    /// What is kept of `fields`, in order.
    fn kept(kept: &mut Kept, field: &str) -> Vec<Value> {
        let mut found = Vec::new();
        while let Some(first) = kept.first() {
            found.push(first.get(field).cloned().unwrap_or_default());
            kept.remove_first();
        }
        found
    }

    #[test]
    fn records_come_back_in_their_order_and_say_when_they_were_due() {
        let mut all = Kept::default();
        all.keep(&outcome(7), When::InAnyCase);
        all.keep(&note("locked"), When::InAnyCase);
        assert!(all.first().is_some_and(|first| first.contains_key("happened")));
        assert_eq!(kept(&mut all, "event"), ["outcome", "note"]);
    }

    #[test]
    fn a_record_that_is_in_the_file_after_all_is_not_written_again_and_what_follows_from_it_is() {
        for (is_there, expected) in [(true, [2_u64, 3]), (false, [1, 3])] {
            let mut all = Kept::default();
            all.keep(&outcome(1), When::UnlessThatIsThere);
            all.keep(&outcome(2), When::IfThatIsThere);
            all.keep(&outcome(3), When::InAnyCase);
            all.settle(is_there);
            all.settle(!is_there);
            assert_eq!(kept(&mut all, "intent"), expected, "{is_there}");
        }
    }

    #[test]
    fn there_is_room_for_every_outcome_and_for_so_many_others_and_the_rest_is_counted() {
        let mut all = Kept::default();
        for intent in 0..ROOM as u64 + 10 {
            all.keep(&note("n"), When::InAnyCase);
            all.keep(&outcome(intent), When::InAnyCase);
        }
        assert_eq!((all.len(), all.take_lost(), all.take_lost()), (2 * ROOM + 10, 10, 0));
    }
}
