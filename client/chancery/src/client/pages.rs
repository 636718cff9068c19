//! Walking the pages of a list (AIP-158), with a bound on how far a daemon can lead.

use crate::{Breach, Error};

/// The largest response of a unary call that is accepted: a page of keys with their certificates.
pub(crate) const UNARY_LEN: usize = 16 << 20;

/// How many entries to ask for at once.
const PAGE_LEN: i32 = 250;
/// More pages than any daemon has: 2.5 million entries.
const MAX_PAGES: usize = 10_000;

/// The pages of one list, as far as they have been read.
pub(crate) struct Pages<T> {
    items: Vec<T>,
    next: Option<String>,
    taken: usize,
}

impl<T> Pages<T> {
    pub(crate) fn new() -> Self {
        Self {
            items: Vec::new(),
            next: Some(String::new()),
            taken: 0,
        }
    }

    /// `page_size` and `page_token` of the next request, until the last page has been taken.
    pub(crate) fn next_request(&self) -> Option<(i32, String)> {
        Some((PAGE_LEN, self.next.clone()?))
    }

    /// Takes a page and the token of the one after it.
    pub(crate) fn take(&mut self, items: Vec<T>, next_page_token: String) -> Result<(), Error> {
        self.items.extend(items);
        self.taken += 1;
        if next_page_token.is_empty() {
            self.next = None;
            return Ok(());
        }
        if self.taken == MAX_PAGES || self.next.as_ref() == Some(&next_page_token) {
            return Err(Error::Contract(Breach::EndlessList));
        }
        self.next = Some(next_page_token);
        Ok(())
    }

    pub(crate) fn into_items(self) -> Vec<T> {
        self.items
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn pages_are_joined_until_the_token_is_empty() {
        let mut pages = Pages::new();
        assert_eq!(pages.next_request().unwrap().1, "");
        pages.take(vec![1, 2], "a".to_owned()).unwrap();
        assert_eq!(pages.next_request().unwrap().1, "a");
        pages.take(vec![3], String::new()).unwrap();
        assert!(pages.next_request().is_none());
        assert_eq!(pages.into_items(), [1, 2, 3]);
    }

    #[test]
    fn a_list_that_runs_in_a_circle_is_left() {
        let mut pages = Pages::new();
        pages.take(vec![1], "a".to_owned()).unwrap();
        let error = pages.take(vec![1], "a".to_owned()).unwrap_err();
        assert!(matches!(error, Error::Contract(Breach::EndlessList)), "{error}");
    }
}
