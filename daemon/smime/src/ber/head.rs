//! The head of one element, tag and length (X.690, 8.1.2 and 8.1.3), octet by octet. What an element means is `grammar`'s.

use super::BerError;

/// The identifier octet's bit for constructed elements.
const CONSTRUCTED: u8 = 0x20;

/// How long the contents of an element are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Definite(u64),
    /// Until the end-of-contents octets.
    Indefinite,
}

/// Tag and length of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) tag: u8,
    pub(super) length: Length,
}

impl Head {
    pub(super) fn is_constructed(self) -> bool {
        self.tag & CONSTRUCTED != 0
    }

    pub(super) fn is_end_of_contents(self) -> bool {
        self.tag == 0 && self.length == Length::Definite(0)
    }
}

/// Takes the octets of a head one at a time.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    state: State,
    octets: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Tag,
    Length {
        tag: u8,
    },
    LongLength {
        tag: u8,
        left: u8,
        value: u64,
    },
}

impl HeadReader {
    /// The next octet, which stands at `offset`; the head when it is the last one.
    pub(super) fn push(&mut self, octet: u8, offset: u64) -> Result<Option<Head>, BerError> {
        if matches!(self.state, State::Tag) {
            self.octets.clear();
        }
        self.octets.push(octet);
        let (state, head) = match self.state {
            State::Tag if octet & 0x1f == 0x1f => return Err(BerError::MultiByteTag { offset }),
            State::Tag => (State::Length { tag: octet }, None),
            State::Length { tag } => match octet {
                0..=0x7f => (
                    State::Tag,
                    Some(Head {
                        tag,
                        length: Length::Definite(u64::from(octet)),
                    }),
                ),
                0x80 if tag & CONSTRUCTED != 0 => (
                    State::Tag,
                    Some(Head {
                        tag,
                        length: Length::Indefinite,
                    }),
                ),
                0x81..=0x88 => (
                    State::LongLength {
                        tag,
                        left: octet & 0x7f,
                        value: 0,
                    },
                    None,
                ),
                _ => return Err(BerError::InvalidLength { offset }),
            },
            State::LongLength { tag, left, value } => {
                // At most eight octets follow the first one, so that nothing is shifted out.
                let value = value << 8 | u64::from(octet);
                match left {
                    0 | 1 => (
                        State::Tag,
                        Some(Head {
                            tag,
                            length: Length::Definite(value),
                        }),
                    ),
                    _ => (
                        State::LongLength {
                            tag,
                            left: left - 1,
                            value,
                        },
                        None,
                    ),
                }
            }
        };
        self.state = state;
        Ok(head)
    }

    /// The octets of the head that was read last, as received.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }
}
