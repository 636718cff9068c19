//! Whether the file is whole, as far as can be told. One that was cut off, by a full disk or a copy that is not finished, still
//! parses, and without its last tables it would take everybody's grants away.

use super::Found;

impl Found {
    /// A file has tokens and grants, unless it says itself that it is without.
    pub(super) fn whole(&mut self, without: &[String], tokens: usize, grants: usize) {
        for (table, count, then) in [
            ("token", tokens, "no key could be used"),
            ("grant", grants, "nobody would be allowed anything"),
        ] {
            let is_meant = without.iter().any(|name| name == table);
            match (is_meant, count) {
                (false, 0) => self.problem(
                    table,
                    format!(
                        "there is no [[{table}]], so {then}; was the file cut off? If that is meant, write without = [\"{table}\"] \
                         at its top"
                    ),
                ),
                (true, 1..) => self.problem(
                    "without",
                    format!("says that there is no [[{table}]], and there is; take {table:?} out of it"),
                ),
                (true, 0) | (false, 1..) => {}
            }
        }
        for name in without {
            if !["token", "grant"].contains(&name.as_str()) {
                self.problem("without", format!("{name:?} is none of token, grant"));
            }
        }
    }
}
