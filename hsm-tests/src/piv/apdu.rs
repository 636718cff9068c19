//! Command and response APDUs (ISO/IEC 7816-4, section 5.1).

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// More of the same command follows.
    pub(super) chained: bool,
    pub(super) instruction: u8,
    pub(super) p1: u8,
    pub(super) p2: u8,
    pub(super) data: Vec<u8>,
    /// The most bytes that the answer may have.
    pub(super) expected: usize,
}

/// What a command comes to, if nothing is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) data: Vec<u8>,
    /// Bytes that GET RESPONSE has to fetch.
    pub(super) left: usize,
}

/// Status words SW1 and SW2 of what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(u16);

impl Status {
    pub(super) const WRONG_LENGTH: Self = Self(0x6700);
    pub(super) const NOT_VERIFIED: Self = Self(0x6982);
    pub(super) const BLOCKED: Self = Self(0x6983);
    pub(super) const WRONG_DATA: Self = Self(0x6a80);
    pub(super) const NOT_FOUND: Self = Self(0x6a82);
    pub(super) const WRONG_PARAMETERS: Self = Self(0x6a86);
    pub(super) const REFERENCE_NOT_FOUND: Self = Self(0x6a88);
    pub(super) const NOT_SUPPORTED: Self = Self(0x6d00);

    /// So many tries are left.
    pub(super) const fn wrong_pin(left: u8) -> Self {
        Self(0x63c0 | left as u16)
    }
}

impl Command {
    /// Reads a command in short or extended form; `None` if its lengths contradict each other.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        const CHAINED: u8 = 0x10;
        let (&[class, instruction, p1, p2], body) = bytes.split_first_chunk()?;
        let (data, expected) = body_of(body)?;
        Some(Self {
            chained: class & CHAINED != 0,
            instruction,
            p1,
            p2,
            data: data.to_vec(),
            expected,
        })
    }
}

/// The data, and the length of the answer that is expected: 0 stands for the greatest.
fn body_of(body: &[u8]) -> Option<(&[u8], usize)> {
    let short = |le: u8| if le == 0 { 256 } else { usize::from(le) };
    let extended = |le: [u8; 2]| match usize::from(u16::from_be_bytes(le)) {
        0 => 65536,
        le => le,
    };
    match *body {
        // Some readers leave out an Le of 0.
        [] => Some((&[], 256)),
        [le] => Some((&[], short(le))),
        [0, a, b] => Some((&[], extended([a, b]))),
        [0, a, b, ref rest @ ..] => {
            let (data, le) = rest.split_at_checked(usize::from(u16::from_be_bytes([a, b])))?;
            match *le {
                [] => Some((data, 256)),
                [a, b] => Some((data, extended([a, b]))),
                _ => None,
            }
        }
        [lc, ref rest @ ..] => {
            let (data, le) = rest.split_at_checked(usize::from(lc))?;
            match *le {
                [] => Some((data, 256)),
                [le] => Some((data, short(le))),
                _ => None,
            }
        }
    }
}

/// The response APDU.
pub(super) fn respond(answer: Result<Answer, Status>) -> Vec<u8> {
    let (mut bytes, status) = match answer {
        Ok(answer) if answer.left == 0 => (answer.data, 0x9000),
        // 61xx: so many bytes are left, or 256 and more.
        Ok(answer) => (
            answer.data,
            0x6100 | u16::try_from(answer.left).ok().filter(|left| *left < 256).unwrap_or(0),
        ),
        Err(Status(status)) => (Vec::new(), status),
    };
    bytes.extend(status.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn body(bytes: &[u8]) -> Option<(&[u8], usize)> {
        body_of(bytes)
    }

    #[test]
    fn every_form_of_a_command_is_read() {
        assert_eq!(body(&[]), Some((&[][..], 256)));
        assert_eq!(body(&[0]), Some((&[][..], 256)));
        assert_eq!(body(&[8]), Some((&[][..], 8)));
        assert_eq!(body(&[2, 7, 7]), Some((&[7, 7][..], 256)));
        assert_eq!(body(&[2, 7, 7, 5]), Some((&[7, 7][..], 5)));
        assert_eq!(body(&[0, 1, 0]), Some((&[][..], 256)));
        assert_eq!(body(&[0, 0, 2, 7, 7]), Some((&[7, 7][..], 256)));
        assert_eq!(body(&[0, 0, 2, 7, 7, 0, 0]), Some((&[7, 7][..], 65536)));
        assert_eq!(body(&[3, 7]), None);
        assert_eq!(body(&[1, 7, 7, 7]), None);
        assert!(Command::parse(&[0x10, 0x87, 7, 0x9a]).unwrap().chained);
        assert_eq!(Command::parse(&[0, 0, 0]), None);
    }
}
