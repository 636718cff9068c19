//! The streaming writer: outer layers of indefinite length around content whose length is not known beforehand. Small
//! elements are put in as DER that others have made.

use const_oid::ObjectIdentifier;

use super::encode::{INTEGER, OCTET_STRING, OID, push_length, push_tlv};
use super::grammar::{ID_AUTH_ENVELOPED_DATA, ID_ENVELOPED_DATA, ID_SIGNED_DATA};

/// The length of one piece of content at most.
const PIECE_LEN: usize = 64 * 1024;
const INDEFINITE: u8 = 0x80;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

/// Writes a ContentInfo with SignedData, EnvelopedData or AuthEnvelopedData, of indefinite length at the outer levels.
///
/// In order: `start_…`, [`content`](Self::content) any number of times, [`end_content`](Self::end_content),
/// [`raw`](Self::raw) for what follows the content, [`end`](Self::end). Everything is appended to the buffer given.
#[derive(Debug)]
pub struct CmsWriter {
    /// Elements of indefinite length that end with the content.
    inner: usize,
}

impl CmsWriter {
    /// Up to the content of SignedData. `digest_algorithms` is a complete SET. When `detached`, there is no content.
    pub fn start_signed(
        version: u8,
        digest_algorithms: &[u8],
        content_type: ObjectIdentifier,
        detached: bool,
        out: &mut Vec<u8>,
    ) -> Self {
        start(ID_SIGNED_DATA, version, out);
        out.extend_from_slice(digest_algorithms);
        out.extend_from_slice(&[0x30, INDEFINITE]);
        push_oid(content_type, out);
        if detached {
            return Self { inner: 1 };
        }
        out.extend_from_slice(&[0xa0, INDEFINITE, 0x24, INDEFINITE]);
        Self { inner: 3 }
    }

    /// Up to the encrypted content of EnvelopedData. `recipient_infos` is what stands between the version and the
    /// encryptedContentInfo (originatorInfo, if there is one, and the SET of recipientInfos),
    /// `content_encryption_algorithm` a complete AlgorithmIdentifier.
    pub fn start_enveloped(
        version: u8,
        recipient_infos: &[u8],
        content_type: ObjectIdentifier,
        content_encryption_algorithm: &[u8],
        out: &mut Vec<u8>,
    ) -> Self {
        start(ID_ENVELOPED_DATA, version, out);
        start_encrypted(recipient_infos, content_type, content_encryption_algorithm, out)
    }

    /// The same for AuthEnvelopedData, whose version is 0 (RFC 5083, section 2.1). The attributes and the mac are put in
    /// with [`raw`](Self::raw) after the content.
    pub fn start_auth_enveloped(
        recipient_infos: &[u8],
        content_type: ObjectIdentifier,
        content_encryption_algorithm: &[u8],
        out: &mut Vec<u8>,
    ) -> Self {
        start(ID_AUTH_ENVELOPED_DATA, 0, out);
        start_encrypted(recipient_infos, content_type, content_encryption_algorithm, out)
    }

    /// Content, in pieces of 64 KiB at most: every call writes pieces of its own, so give it much at a time.
    pub fn content(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len() + 8);
        for piece in bytes.chunks(PIECE_LEN) {
            push_tlv(OCTET_STRING, piece, out);
        }
    }

    /// Only the head of a piece of content, for a caller that puts the `length` octets behind it itself.
    pub fn piece_head(&mut self, length: usize, out: &mut Vec<u8>) {
        out.push(OCTET_STRING);
        push_length(length, out);
    }

    /// The content is complete.
    pub fn end_content(&mut self, out: &mut Vec<u8>) {
        for _ in 0..std::mem::take(&mut self.inner) {
            out.extend_from_slice(&END_OF_CONTENTS);
        }
    }

    /// Complete elements behind the content: certificates and signerInfos; unprotectedAttrs; authAttrs and mac.
    pub fn raw(&mut self, der: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(der);
    }

    /// The object is complete.
    pub fn end(mut self, out: &mut Vec<u8>) {
        self.end_content(out);
        // The body, the explicit [0] around it, ContentInfo.
        for _ in 0..3 {
            out.extend_from_slice(&END_OF_CONTENTS);
        }
    }
}

fn start(content_type: ObjectIdentifier, version: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x30, INDEFINITE]);
    push_oid(content_type, out);
    out.extend_from_slice(&[0xa0, INDEFINITE, 0x30, INDEFINITE]);
    push_tlv(INTEGER, &[version], out);
}

fn start_encrypted(
    recipient_infos: &[u8],
    content_type: ObjectIdentifier,
    content_encryption_algorithm: &[u8],
    out: &mut Vec<u8>,
) -> CmsWriter {
    out.extend_from_slice(recipient_infos);
    out.extend_from_slice(&[0x30, INDEFINITE]);
    push_oid(content_type, out);
    out.extend_from_slice(content_encryption_algorithm);
    out.extend_from_slice(&[0xa0, INDEFINITE]);
    CmsWriter { inner: 2 }
}

fn push_oid(oid: ObjectIdentifier, out: &mut Vec<u8>) {
    push_tlv(OID, oid.as_bytes(), out);
}
