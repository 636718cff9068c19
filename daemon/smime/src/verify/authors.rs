//! Who the message says it is from, on the outside and in the header section of what was signed, against who signed it.

use crate::certificate::Certificate;
use crate::limits::Limits;
use crate::mime::{Header, HeaderReader};
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
    pub(super) fn of(outer: &Header, content: Option<&Header>) -> Self {
        let sections = || [Some(outer), content].into_iter().flatten();
        let from: Vec<String> = sections().flat_map(Header::from_addresses).collect();
        let unclear = if sections().any(Header::is_ambiguous) {
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

/// The header section at the front of the signed content, while the content passes.
#[derive(Debug)]
pub(super) struct ContentHeader(State);

#[derive(Debug)]
enum State {
    Reading(HeaderReader),
    Read(Header),
    /// The content does not begin with a header section.
    None,
}

impl ContentHeader {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(State::Reading(HeaderReader::new(limits)))
    }

    pub(super) fn push(&mut self, content: &[u8]) {
        if let State::Reading(reader) = &mut self.0 {
            match reader.push(content) {
                Ok(None) => {}
                Ok(Some((header, _))) => self.0 = State::Read(header),
                Err(_) => self.0 = State::None,
            }
        }
    }

    pub(super) fn end(self) -> Option<Header> {
        match self.0 {
            State::Reading(reader) => reader.end().ok(),
            State::Read(header) => Some(header),
            State::None => None,
        }
    }
}
