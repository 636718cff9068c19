//! The digests of the signed content as it passes.
//!
//! Files on Unix often carry a message with its CRLFs turned into LFs, while it was signed with CRLFs (RFC 8551, section
//! 3.1.1). So if the first line of clear-signed content ends in a bare LF, it is digested twice: as received, and with
//! every line end made CRLF. Either will do.

use crate::algorithm::DigestAlgorithm;
use crate::digest::Digester;
use crate::mime::CrlfWriter;

/// Digests by algorithm, one set for each form of the content that counts as the content.
pub(super) type Digests = Vec<Vec<(DigestAlgorithm, Vec<u8>)>>;

/// Octets that are enough to see what the content begins with.
const PREFIX_LEN: usize = 5;

#[derive(Debug)]
pub(super) struct ContentDigest {
    as_received: Digester,
    line_ends: LineEnds,
    prefix: Vec<u8>,
}

#[derive(Debug)]
enum LineEnds {
    /// None has been seen; whether the last octet was CR.
    Unseen { after_cr: bool },
    /// Left alone.
    Kept,
    Made {
        canonical: Digester,
        crlf: CrlfWriter,
        buffer: Vec<u8>,
    },
}

impl ContentDigest {
    /// For content whose line ends may have been changed on the way.
    pub(super) fn for_clear(algorithms: &[DigestAlgorithm]) -> Self {
        Self::new(algorithms, LineEnds::Unseen { after_cr: false })
    }

    /// For content inside a CMS object.
    pub(super) fn for_opaque(algorithms: &[DigestAlgorithm]) -> Self {
        Self::new(algorithms, LineEnds::Kept)
    }

    fn new(algorithms: &[DigestAlgorithm], line_ends: LineEnds) -> Self {
        Self {
            as_received: Digester::new(algorithms),
            line_ends,
            prefix: Vec::new(),
        }
    }

    pub(super) fn update(&mut self, octets: &[u8]) {
        let missing = PREFIX_LEN - self.prefix.len();
        self.prefix.extend(octets.iter().take(missing));
        if let LineEnds::Unseen { after_cr } = self.line_ends {
            self.line_ends = match memchr::memchr(b'\n', octets) {
                None => LineEnds::Unseen {
                    after_cr: octets.last().map_or(after_cr, |last| *last == b'\r'),
                },
                Some(0) if after_cr => LineEnds::Kept,
                Some(at) if at > 0 && octets.get(at - 1) == Some(&b'\r') => LineEnds::Kept,
                // Up to here both forms are the same.
                Some(_) => LineEnds::Made {
                    canonical: self.as_received.clone(),
                    crlf: CrlfWriter::new(),
                    buffer: Vec::new(),
                },
            };
        }
        if let LineEnds::Made {
            canonical,
            crlf,
            buffer,
        } = &mut self.line_ends
        {
            buffer.clear();
            crlf.push(octets, buffer);
            canonical.update(buffer);
        }
        self.as_received.update(octets);
    }

    /// The digests, and whether the content looks like the DER of signed attributes.
    pub(super) fn finish(self) -> (Digests, bool) {
        let looks_like_attributes = matches!(
            self.prefix.as_slice(),
            [0x31, 0..=0x7f, 0x30, ..] | [0x31, 0x81, _, 0x30, ..] | [0x31, 0x82, _, _, 0x30]
        );
        let mut digests = vec![self.as_received.finish()];
        if let LineEnds::Made { canonical, .. } = self.line_ends {
            digests.push(canonical.finish());
        }
        (digests, looks_like_attributes)
    }
}
