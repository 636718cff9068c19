//! Pages of lists (AIP-158). The token of a page is the last name on the page before, in hexadecimal: it survives restarts,
//! and what comes or goes in between neither repeats nor hides anything else.

use super::Invalid;

/// Entries on a page when the caller does not say.
const DEFAULT_SIZE: usize = 100;
/// The most entries on a page.
const MAX_SIZE: usize = 1000;
/// The longest name that can stand in a token: an addr-spec has at most 320 bytes.
const MAX_NAME: usize = 320;

/// A page, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    pub(super) size: usize,
    pub(super) after: Option<String>,
}

/// A page, as it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// For the next page; empty on the last.
    pub next_page_token: String,
}

impl PageRequest {
    /// Reads `page_size` and `page_token` of a request.
    ///
    /// # Errors
    ///
    /// [`Invalid::PageSize`] if it is negative, [`Invalid::PageToken`] if it was not made here.
    pub fn new(page_size: i32, page_token: &str) -> Result<Self, Invalid> {
        let size = match usize::try_from(page_size).map_err(|_| Invalid::PageSize)? {
            0 => DEFAULT_SIZE,
            size => size.min(MAX_SIZE),
        };
        let after = match page_token {
            "" => None,
            token => Some(unhex(token).ok_or(Invalid::PageToken)?),
        };
        Ok(Self { size, after })
    }

    /// Fills the page from `entries`, which begin after [`Self::after`]. `name_of` gives the name that the order goes by.
    pub(super) fn fill<T>(&self, entries: impl Iterator<Item = T>, name_of: impl Fn(&T) -> String) -> Page<T> {
        let mut entries: Vec<T> = entries.take(self.size + 1).collect();
        let mut next_page_token = String::new();
        if entries.len() > self.size {
            entries.truncate(self.size);
            next_page_token = entries
                .last()
                .map(|last| crate::caller::hex(name_of(last).as_bytes()))
                .unwrap_or_default();
        }
        Page {
            entries,
            next_page_token,
        }
    }
}

fn unhex(text: &str) -> Option<String> {
    if text.len() > 2 * MAX_NAME {
        return None;
    }
    String::from_utf8(base16ct::lower::decode_vec(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn walk(names: &[String], size: i32) -> Vec<Vec<String>> {
        let (mut pages, mut token) = (Vec::new(), String::new());
        loop {
            let request = PageRequest::new(size, &token).unwrap();
            let rest = names
                .iter()
                .filter(|name| request.after.as_ref().is_none_or(|after| *name > after))
                .cloned();
            let page = request.fill(rest, String::clone);
            pages.push(page.entries);
            token = page.next_page_token;
            if token.is_empty() {
                return pages;
            }
        }
    }

    #[test]
    fn every_entry_comes_once_whatever_the_size() {
        let names: Vec<_> = (0..25).map(|n| format!("n{n:03}@example.org")).collect();
        for size in 1..30 {
            assert_eq!(walk(&names, size).concat(), names);
        }
        assert_eq!(walk(&names, 25).len(), 1);
        assert_eq!(walk(&names, 24).len(), 2);
        assert_eq!(walk(&[], 5), [Vec::<String>::new()]);
    }

    #[test]
    fn sizes_have_a_default_and_a_limit() {
        assert_eq!(PageRequest::new(0, "").unwrap().size, 100);
        assert_eq!(PageRequest::new(5000, "").unwrap().size, 1000);
        assert_eq!(PageRequest::new(-1, ""), Err(Invalid::PageSize));
    }

    #[test]
    fn a_token_that_was_not_made_here_is_refused() {
        for bad in ["x", "zz", "abc", "ff", "é1", &"00".repeat(321)] {
            assert_eq!(PageRequest::new(1, bad), Err(Invalid::PageToken), "{bad}");
        }
    }
}
