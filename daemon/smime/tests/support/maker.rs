//! Entities made of messages, and what can be read of them.

use chancery_smime::limits::Limits;
use chancery_smime::mime::{Base64Decoder, CrlfWriter, EightBit, EntityMaker, MimeError};

pub fn make_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    eight_bit: EightBit,
    limits: &Limits,
) -> Result<Vec<u8>, MimeError> {
    let (mut maker, mut entity) = (EntityMaker::new(eight_bit, limits), Vec::new());
    for piece in pieces {
        maker.push(piece, &mut entity)?;
    }
    maker.end(&mut entity)?;
    Ok(entity)
}

pub fn make(message: impl AsRef<[u8]>, eight_bit: EightBit) -> Result<Vec<u8>, MimeError> {
    make_pieces([message.as_ref()], eight_bit, &Limits::default())
}

pub fn sign(message: impl AsRef<[u8]>) -> Vec<u8> {
    make(message, EightBit::Encode).unwrap()
}

pub fn encrypt(message: impl AsRef<[u8]>) -> Vec<u8> {
    make(message, EightBit::Keep).unwrap()
}

/// A message of one part.
pub fn message(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    [fields.as_bytes(), b"\r\n\r\n", body.as_ref()].concat()
}

/// Header section and body of an entity.
pub fn split(entity: &[u8]) -> (&str, &[u8]) {
    let at = entity
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a blank line");
    (std::str::from_utf8(&entity[..at]).unwrap(), &entity[at + 4..])
}

pub fn base64_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut decoder = Base64Decoder::new();
    decoder.push(text, &mut bytes).unwrap();
    decoder.end(&mut bytes).unwrap();
    bytes
}

pub fn quoted_printable_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'=', [b'\r', b'\n', after @ ..]) => after,
            (b'=', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                after
            }
            (b'=', _) => panic!("a lonely ="),
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    bytes
}

pub fn canonical(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    CrlfWriter::new().push(text, &mut out);
    out
}

/// Numbers without a pattern: a linear congruential generator.
pub struct Noise(pub u64);

impl Noise {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    /// `len` pieces out of `alphabet`, put together.
    pub fn text(&mut self, alphabet: &[&[u8]], len: usize) -> Vec<u8> {
        (0..len)
            .flat_map(|_| alphabet[self.below(alphabet.len())])
            .copied()
            .collect()
    }
}
