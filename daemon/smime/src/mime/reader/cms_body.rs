//! The body of an entity that is a CMS object: base64, binary or PEM.

use memchr::memchr;

use crate::mime::{Base64Decoder, MimeError, TransferEncoding};

/// Longest line of PEM armour that is read.
const ARMOUR_LIMIT: usize = 128;

/// Decodes a body to the bytes of the CMS object. What it is in is seen from its first byte, since senders forget to
/// declare base64: BER begins with `0`, base64 of it with `M`, PEM with `-`.
#[derive(Debug)]
pub(crate) struct CmsBody {
    form: Form,
    decoded: Vec<u8>,
}

#[derive(Debug)]
enum Form {
    /// Only white space so far.
    Unknown {
        declared_base64: bool,
    },
    Binary,
    Base64(Base64Decoder),
    /// In the BEGIN line of PEM.
    PemBegin(Vec<u8>),
    Pem(Base64Decoder),
    /// In the END line of PEM, or after it.
    PemEnd(Vec<u8>),
}

impl CmsBody {
    /// The body of an entity in this transfer encoding.
    pub(crate) fn new(encoding: &TransferEncoding) -> Result<Self, MimeError> {
        let declared_base64 = match encoding {
            TransferEncoding::Base64 => true,
            TransferEncoding::SevenBit | TransferEncoding::EightBit | TransferEncoding::Binary => false,
            TransferEncoding::QuotedPrintable | TransferEncoding::Other(_) => {
                return Err(MimeError::TransferEncoding {
                    encoding: encoding.to_string(),
                });
            }
        };
        Ok(Self {
            form: Form::Unknown { declared_base64 },
            decoded: Vec::new(),
        })
    }

    /// A CMS object that stands alone.
    pub(crate) fn bare() -> Self {
        Self {
            form: Form::Unknown { declared_base64: false },
            decoded: Vec::new(),
        }
    }

    /// Takes bytes of the body, gives bytes of the CMS object.
    pub(crate) fn push<'a>(&'a mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], MimeError> {
        self.decoded.clear();
        if let Form::Unknown { declared_base64 } = self.form {
            bytes = bytes.trim_ascii_start();
            self.form = match bytes.first() {
                None => return Ok(&[]),
                Some(b'-') => Form::PemBegin(Vec::new()),
                Some(b'0') => Form::Binary,
                Some(b'M') => Form::Base64(Base64Decoder::new()),
                Some(_) if declared_base64 => Form::Base64(Base64Decoder::new()),
                Some(_) => return Err(MimeError::NotCms),
            };
        }
        if let Form::PemBegin(line) = &mut self.form {
            let lf = memchr(b'\n', bytes);
            let (piece, rest) = bytes
                .split_at_checked(lf.map_or(bytes.len(), |lf| lf + 1))
                .unwrap_or_default();
            collect_armour(line, piece)?;
            if lf.is_none() {
                return Ok(&[]);
            }
            check_begin(line)?;
            self.form = Form::Pem(Base64Decoder::new());
            bytes = rest;
        }
        if let Form::Pem(decoder) = &mut self.form {
            let dash = memchr(b'-', bytes);
            let (text, rest) = bytes.split_at_checked(dash.unwrap_or(bytes.len())).unwrap_or_default();
            decoder.push(text, &mut self.decoded)?;
            if dash.is_some() {
                decoder.end(&mut self.decoded)?;
                self.form = Form::PemEnd(Vec::new());
            }
            bytes = rest;
        }
        match &mut self.form {
            Form::Binary => return Ok(bytes),
            Form::Base64(decoder) => decoder.push(bytes, &mut self.decoded)?,
            Form::PemEnd(line) => {
                let missing = END.len().saturating_sub(line.len());
                line.extend_from_slice(bytes.get(..missing).unwrap_or(bytes));
            }
            Form::Unknown { .. } | Form::PemBegin(_) | Form::Pem(_) => {}
        }
        Ok(&self.decoded)
    }

    /// Ends the body; gives the last bytes of the CMS object.
    pub(crate) fn end(&mut self) -> Result<&[u8], MimeError> {
        self.decoded.clear();
        match &mut self.form {
            Form::Unknown { .. } => return Err(MimeError::EmptyBody),
            Form::Base64(decoder) => decoder.end(&mut self.decoded)?,
            Form::PemEnd(line) if line == END => {}
            Form::PemBegin(_) | Form::Pem(_) | Form::PemEnd(_) => {
                return Err(MimeError::Pem {
                    detail: "its END line is missing",
                });
            }
            Form::Binary => {}
        }
        Ok(&self.decoded)
    }
}

/// What an END line begins with.
const END: &[u8] = b"-----END ";

fn collect_armour(line: &mut Vec<u8>, piece: &[u8]) -> Result<(), MimeError> {
    if line.len() + piece.len() > ARMOUR_LIMIT {
        return Err(MimeError::Pem {
            detail: "its BEGIN line is too long",
        });
    }
    line.extend_from_slice(piece);
    Ok(())
}

fn check_begin(line: &[u8]) -> Result<(), MimeError> {
    let label = line
        .trim_ascii_end()
        .strip_prefix(b"-----BEGIN ")
        .and_then(|line| line.strip_suffix(b"-----"));
    match label {
        Some(b"CMS" | b"PKCS7" | b"PKCS #7 SIGNED DATA") => Ok(()),
        _ => Err(MimeError::Pem {
            detail: "it begins neither with BEGIN CMS nor with BEGIN PKCS7",
        }),
    }
}
