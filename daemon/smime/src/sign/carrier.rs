//! What surrounds the signed entity: multipart/signed with the signature in a part of its own, or one CMS object in base64.
//! What the signature says is not known here.

use rand_core::CryptoRng;

use super::SignError;
use super::signed_data;
use crate::algorithm::DigestAlgorithm;
use crate::attributes::ID_DATA;
use crate::ber::CmsWriter;
use crate::mime::{Base64Encoder, SmimeType, clear_signed_header, opaque_header, signature_part_header};

/// One OCTET STRING inside an opaque message.
const PIECE_LEN: usize = 64 * 1024;

/// The form of the message, and how far it has been written.
#[derive(Debug)]
pub(super) enum Carrier {
    Clear(Clear),
    Opaque(Box<Opaque>),
}

#[derive(Debug)]
pub(super) struct Clear {
    micalg: String,
    boundary: String,
    digest_algorithms: Vec<DigestAlgorithm>,
    begun: bool,
}

#[derive(Debug)]
pub(super) struct Opaque {
    /// The CMS object up to the content, until it has been written.
    head: Vec<u8>,
    writer: CmsWriter,
    encoder: Base64Encoder,
    /// Content that does not make a whole piece.
    pending: Vec<u8>,
    begun: bool,
}

impl Carrier {
    pub(super) fn clear(digests: &[DigestAlgorithm], rng: &mut impl CryptoRng) -> Self {
        let micalg: Vec<_> = digests.iter().map(|digest| digest.micalg()).collect();
        Self::Clear(Clear {
            micalg: micalg.join(","),
            boundary: boundary(rng),
            digest_algorithms: digests.to_vec(),
            begun: false,
        })
    }

    pub(super) fn opaque(digests: &[DigestAlgorithm]) -> Result<Self, SignError> {
        let mut head = Vec::new();
        let digest_algorithms = signed_data::digest_algorithms(digests)?;
        let writer = CmsWriter::start_signed(signed_data::VERSION, &digest_algorithms, ID_DATA, false, &mut head);
        let encoder = Base64Encoder::new();
        Ok(Self::Opaque(Box::new(Opaque {
            head,
            writer,
            encoder,
            pending: Vec::new(),
            begun: false,
        })))
    }

    /// Whether the entity may be written straight to where the message goes.
    pub(super) fn takes_the_entity_as_it_is(&self) -> bool {
        matches!(self, Self::Clear(Clear { begun: true, .. }))
    }

    /// What stands before the content. Only the first call does anything.
    pub(super) fn begin(&mut self, outer_header: &[u8], out: &mut Vec<u8>) {
        let begun = match self {
            Self::Clear(clear) => &mut clear.begun,
            Self::Opaque(opaque) => &mut opaque.begun,
        };
        if std::mem::replace(begun, true) {
            return;
        }
        out.extend_from_slice(outer_header);
        out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        match self {
            Self::Clear(clear) => {
                out.extend_from_slice(&clear_signed_header(&clear.micalg, &clear.boundary));
                out.extend_from_slice(format!("--{}\r\n", clear.boundary).as_bytes());
            }
            Self::Opaque(opaque) => {
                out.extend_from_slice(&opaque_header(SmimeType::SignedData));
                opaque.encoder.push(&opaque.head, out);
            }
        }
    }

    /// More of the entity.
    pub(super) fn content(&mut self, entity: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Clear(_) => out.extend_from_slice(entity),
            Self::Opaque(opaque) => opaque.content(entity, out),
        }
    }

    /// The entity is complete.
    pub(super) fn end_content(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Clear(clear) => {
                out.extend_from_slice(format!("\r\n--{}\r\n", clear.boundary).as_bytes());
                out.extend_from_slice(&signature_part_header());
            }
            Self::Opaque(opaque) => opaque.end_content(out),
        }
    }

    /// The end of the message. `behind_content` is what follows the content in SignedData.
    pub(super) fn end(self, behind_content: &[u8], out: &mut Vec<u8>) -> Result<(), SignError> {
        match self {
            Self::Clear(clear) => {
                let mut encoder = Base64Encoder::new();
                encoder.push(&signed_data::detached(&clear.digest_algorithms, behind_content)?, out);
                encoder.end(out);
                out.extend_from_slice(format!("\r\n--{}--\r\n", clear.boundary).as_bytes());
            }
            Self::Opaque(opaque) => opaque.end(behind_content, out),
        }
        Ok(())
    }
}

impl Opaque {
    fn content(&mut self, mut entity: &[u8], out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            let missing = (PIECE_LEN - self.pending.len()).min(entity.len());
            let (now, later) = entity.split_at(missing);
            self.pending.extend_from_slice(now);
            entity = later;
            if self.pending.len() < PIECE_LEN {
                return;
            }
            let pending = std::mem::take(&mut self.pending);
            self.piece(&pending, out);
            self.pending = pending;
            self.pending.clear();
        }
        let pieces = entity.chunks_exact(PIECE_LEN);
        let rest = pieces.remainder();
        for piece in pieces {
            self.piece(piece, out);
        }
        self.pending.extend_from_slice(rest);
    }

    fn end_content(&mut self, out: &mut Vec<u8>) {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            self.piece(&pending, out);
        }
        let mut end = Vec::new();
        self.writer.end_content(&mut end);
        self.encoder.push(&end, out);
    }

    fn end(mut self, behind_content: &[u8], out: &mut Vec<u8>) {
        let mut end = Vec::new();
        self.writer.raw(behind_content, &mut end);
        self.writer.end(&mut end);
        self.encoder.push(&end, out);
        self.encoder.end(out);
    }

    /// One OCTET STRING.
    fn piece(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut head = Vec::new();
        self.writer.piece_head(octets.len(), &mut head);
        self.encoder.push(&head, out);
        self.encoder.push(octets, out);
    }
}

/// A boundary that occurs nowhere else: 160 random bits.
fn boundary(rng: &mut impl CryptoRng) -> String {
    let mut octets = [0; 20];
    rng.fill_bytes(&mut octets);
    let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    // "=_" can occur in neither quoted-printable nor base64 (RFC 2045, section 6.7).
    format!("=_{digits}")
}
