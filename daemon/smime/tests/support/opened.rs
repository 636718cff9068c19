//! What the reader makes of messages, however they are cut, and messages for it.

use chancery_smime::limits::Limits;
use chancery_smime::mime::{Base64Encoder, Carrier, EntityReader, EntitySink, Header, LineEnds, MimeError};

/// Everything that a reader said, pieces put together.
#[derive(Debug, Default, PartialEq)]
pub struct Opened {
    pub header: Vec<u8>,
    pub carrier: Option<Carrier>,
    pub cms: Vec<u8>,
    pub content: Vec<u8>,
    pub content_end: Option<LineEnds>,
}

impl EntitySink for Opened {
    type Error = MimeError;

    fn carrier(&mut self, header: &Header, carrier: Carrier) -> Result<(), MimeError> {
        assert!(self.carrier.is_none() && self.cms.is_empty() && self.content.is_empty());
        self.header = header.raw().to_vec();
        self.carrier = Some(carrier);
        Ok(())
    }

    fn cms(&mut self, bytes: &[u8]) -> Result<(), MimeError> {
        let is_clear = matches!(self.carrier, Some(Carrier::MultipartSigned { .. }));
        assert!(self.carrier.is_some() && is_clear == self.content_end.is_some());
        self.cms.extend_from_slice(bytes);
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), MimeError> {
        assert!(matches!(self.carrier, Some(Carrier::MultipartSigned { .. })) && self.content_end.is_none());
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    fn content_end(&mut self, line_ends: LineEnds) -> Result<(), MimeError> {
        assert!(self.content_end.replace(line_ends).is_none());
        Ok(())
    }
}

pub fn open_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Opened, MimeError> {
    let mut opened = Opened::default();
    let mut reader = EntityReader::new(&Limits::default());
    for piece in pieces {
        reader.push(piece, &mut opened)?;
    }
    reader.end(&mut opened)?;
    Ok(opened)
}

/// Opens a message whole, cut in two at every position, and byte by byte: always with the same result.
pub fn open(message: impl AsRef<[u8]>) -> Result<Opened, MimeError> {
    let message = message.as_ref();
    let whole = open_pieces([message]);
    assert_eq!(open_pieces(message.chunks(1)), whole, "byte by byte");
    for cut in 0..=message.len() {
        let (first, second) = message.split_at(cut);
        assert_eq!(open_pieces([first, second]), whole, "cut at {cut}");
    }
    whole
}

/// Something that looks like a CMS object from far away.
pub fn cms(len: usize) -> Vec<u8> {
    (0..len)
        .map(|position| {
            if position == 0 {
                0x30
            } else {
                u8::try_from(position % 251).unwrap()
            }
        })
        .collect()
}

pub fn base64(bytes: &[u8]) -> String {
    let (mut encoder, mut out) = (Base64Encoder::new(), Vec::new());
    encoder.push(bytes, &mut out);
    encoder.end(&mut out);
    String::from_utf8(out).unwrap()
}

pub fn clear(content: &str, boundary: &str) -> String {
    format!(
        "From: a@example.org\r\nContent-Type: multipart/signed; micalg=\"sha-256,SHA512,md5\";\r\n \
         protocol=\"application/x-pkcs7-signature\"; boundary=\"{boundary}\"\r\n\r\nThis is S/MIME.\r\n\
         --{boundary}\r\n{content}\r\n--{boundary}\r\nContent-Type: application/pkcs7-signature\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--{boundary}--\r\nEpilogue\r\n",
        base64(&cms(100))
    )
}
