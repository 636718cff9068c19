//! Who the message says it is from, on the outside and in the header section of what was signed, against who signed it.

use memchr::memchr_iter;

use crate::certificate::Certificate;
use crate::limits::Limits;
use crate::mime::Header;
use crate::report::Check;

/// The addresses that a reader may take for the author's.
#[derive(Debug, Default)]
pub(super) struct Authors {
    /// Those of From and Sender, wherever they stand.
    addresses: Vec<String>,
    /// Some From field has an address.
    has_from: bool,
    /// Why nobody can say which addresses a reader will see.
    unclear: Option<&'static str>,
}

impl Authors {
    /// `content` is the header section of the signed entity. Its fields are shown together with the outer ones, in their
    /// place perhaps (RFC 9788), so that they count as much.
    pub(super) fn of(outer: &Header, content: &Section) -> Self {
        let inner = match content {
            Section::Header(header) => Some(header),
            Section::None | Section::Unclear => None,
        };
        let sections = || [Some(outer), inner].into_iter().flatten();
        let from: Vec<String> = sections().flat_map(Header::from_addresses).collect();
        let unclear = if matches!(content, Section::Unclear) {
            Some("the signed content names an author in a header section that is malformed or too long")
        } else if sections().any(Header::is_ambiguous) {
            Some("a header field has a NUL or a carriage return inside a line, which readers take differently")
        } else if sections().any(|header| header.has("From") && header.from_addresses().is_empty()) {
            Some("the From field has no address")
        } else {
            None
        };
        Self {
            has_from: !from.is_empty(),
            addresses: from
                .into_iter()
                .chain(sections().flat_map(Header::sender_addresses))
                .collect(),
            unclear,
        }
    }

    /// Whether all of them are the certificate's.
    pub(super) fn check(&self, certificate: &Certificate) -> Check {
        let is_known = |address: &&String| {
            let own = certificate.addresses();
            own.iter().any(|own| own.eq_ignore_ascii_case(address))
        };
        if let Some(reason) = self.unclear {
            return Check::Failed(reason.to_owned());
        }
        match self.addresses.iter().find(|address| !is_known(address)) {
            Some(address) => Check::Failed(format!("the certificate is not for {address}")),
            None if self.has_from => Check::Passed,
            None => Check::NotMade("the message has no From address".to_owned()),
        }
    }
}

/// What stands at the front of the signed content.
#[derive(Debug)]
pub(super) enum Section {
    /// A header section.
    Header(Header),
    /// Something that is none, and has no line in which a reader could see an author.
    None,
    /// Something that readers take differently, and that some of them see an author in.
    Unclear,
}

/// Keeps the front of the signed content, up to the first blank line, while the content passes.
#[derive(Debug)]
pub(super) struct ContentHeader {
    front: Vec<u8>,
    limit: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    Complete,
    TooLong,
}

impl ContentHeader {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            front: Vec::new(),
            limit: limits.header_len,
            state: State::Reading,
        }
    }

    pub(super) fn push(&mut self, content: &[u8]) {
        if self.state != State::Reading {
            return;
        }
        // A blank line may have begun in the piece before.
        let from = self.front.len().saturating_sub(2);
        let room = self.limit.saturating_sub(self.front.len());
        self.front.extend_from_slice(content.get(..room).unwrap_or(content));
        if let Some(end) = blank_line(&self.front, from) {
            self.front.truncate(end);
            self.state = State::Complete;
        } else if content.len() > room {
            self.state = State::TooLong;
        }
    }

    pub(super) fn end(self) -> Section {
        match Header::parse(&self.front) {
            Ok(header) if self.state != State::TooLong => Section::Header(header),
            Ok(_) => Section::Unclear,
            Err(_) if Header::has_line_of_an_author(&self.front) => Section::Unclear,
            Err(_) => Section::None,
        }
    }
}

/// Where the first blank line begins that ends at or behind `from`.
fn blank_line(front: &[u8], from: usize) -> Option<usize> {
    let ends = memchr_iter(b'\n', front.get(from..).unwrap_or_default()).map(|at| from + at);
    let begins = |end: usize| {
        let before = front.get(..end).unwrap_or_default();
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        (before.is_empty() || before.ends_with(b"\n")).then_some(before.len())
    };
    ends.filter_map(begins).next()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;

    const LIMIT: usize = 4096;

    /// The front of `content`, which comes in pieces of `step` octets.
    fn section(content: &str, step: usize) -> Section {
        let mut header = ContentHeader::new(&Limits {
            header_len: LIMIT,
            ..Limits::default()
        });
        for piece in content.as_bytes().chunks(step) {
            header.push(piece);
        }
        header.end()
    }

    #[test]
    fn a_header_section_ends_at_the_first_blank_line_wherever_the_pieces_end() {
        for content in [
            "From: a@example.org\n\nFrom: b@example.org\n",
            "From: a@example.org\r\n\r\nFrom: b@example.org\r\n",
            "From: a@example.org\r\n\nFrom: b@example.org\r\n",
            "From: a@example.org",
        ] {
            for step in 1..=content.len() {
                let Section::Header(header) = section(content, step) else {
                    panic!("{content:?} in pieces of {step}");
                };
                assert_eq!(
                    header.from_addresses(),
                    ["a@example.org"],
                    "{content:?} in pieces of {step}"
                );
            }
        }
        assert!(matches!(section("\nFrom: b@example.org\n", 1), Section::Header(header) if !header.has("From")));
    }

    #[test]
    fn an_author_behind_a_line_that_is_no_field_makes_it_unclear_who_it_is() {
        for name in ["From", "from ", "SENDER"] {
            let content = format!("Subject: x\r\nno field\r\n{name}: mallory@example.org\r\n\r\nbody\r\n");
            assert!(matches!(section(&content, 7), Section::Unclear), "{content:?}");
        }
        assert!(matches!(
            section("no field\nat all\n\nFrom: body@example.org\n", 7),
            Section::None
        ));
    }

    #[test]
    fn a_header_section_that_is_too_long_to_be_read_is_unclear() {
        let long = "X: y\r\n".repeat(LIMIT / 6 + 1);
        assert!(matches!(section(&long, 1000), Section::Unclear));
        let prose = "no field\r\n".repeat(LIMIT / 10 + 1);
        assert!(matches!(section(&prose, 1000), Section::None));
    }
}
