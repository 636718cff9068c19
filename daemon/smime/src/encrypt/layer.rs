//! The CMS object around the content: recipients in front, ciphertext in pieces of 64 KiB, the tag behind; all of it as
//! base64 lines.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911::ID_DATA;
use rand_core::CryptoRng;

use super::{EncryptError, Recipient};
use crate::algorithm::{ContentEncryptionAlgorithm, KeyManagementAlgorithm};
use crate::ber::CmsWriter;
use crate::ber::encode::{OCTET_STRING, SET, push_tlv};
use crate::cipher::{CbcEncryptor, ContentEncryption, ContentKey, ContentTooLong, GcmSealer, Mode};
use crate::mime::{Base64Encoder, SmimeType};
use crate::recipient;

/// The ciphertext in one OCTET STRING: a whole number of AES blocks.
const PIECE_LEN: usize = 64 * 1024;
const CONTENT_TYPE: ObjectIdentifier = ID_DATA;

pub(super) struct EncryptedLayer {
    writer: CmsWriter,
    cipher: Cipher,
    base64: Base64Encoder,
    /// What comes before the first piece of ciphertext.
    head: Vec<u8>,
    /// Ciphertext, up to one piece.
    piece: Vec<u8>,
}

enum Cipher {
    Cbc(Box<CbcEncryptor>),
    Gcm(Box<GcmSealer>),
}

impl EncryptedLayer {
    /// Makes a key, and a RecipientInfo for each certificate.
    pub(super) fn begin(
        recipients: &[Recipient],
        algorithm: ContentEncryptionAlgorithm,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Vec<KeyManagementAlgorithm>), EncryptError> {
        let key = ContentKey::generate(algorithm, rng);
        let encryption = ContentEncryption::generate(algorithm, rng);
        let cipher = match &encryption.mode {
            Mode::Cbc { iv } => CbcEncryptor::new(&key, iv).map(Box::new).map(Cipher::Cbc),
            Mode::Gcm { nonce, .. } => GcmSealer::new(&key, nonce).map(Box::new).map(Cipher::Gcm),
        };
        // The key was made to the length of the algorithm.
        let cipher = cipher.map_err(|_| der::Error::from(der::ErrorKind::Failed))?;

        let mut recipient_infos = Vec::new();
        let mut key_managements = Vec::with_capacity(recipients.len());
        let mut version = 0;
        for (
            index,
            Recipient {
                certificate,
                key_management,
            },
        ) in recipients.iter().enumerate()
        {
            let made =
                recipient::make(certificate, *key_management, &key, rng).map_err(|source| EncryptError::Recipient {
                    certificate: certificate.to_string(),
                    source,
                })?;
            key_managements.push(made.key_management);
            if recipients
                .iter()
                .take(index)
                .any(|earlier| earlier.certificate == *certificate)
            {
                continue;
            }
            // RFC 5652, section 6.1: 0 if all RecipientInfos have version 0, otherwise 2.
            if made.version != 0 {
                version = 2;
            }
            recipient_infos.extend_from_slice(&made.der);
        }
        let mut set = Vec::with_capacity(recipient_infos.len().saturating_add(6));
        push_tlv(SET, &recipient_infos, &mut set);

        let identifier = encryption.to_der()?;
        let mut head = Vec::new();
        let writer = match &cipher {
            Cipher::Cbc(_) => CmsWriter::start_enveloped(version, &set, CONTENT_TYPE, &identifier, &mut head),
            Cipher::Gcm(_) => CmsWriter::start_auth_enveloped(&set, CONTENT_TYPE, &identifier, &mut head),
        };
        let layer = Self {
            writer,
            cipher,
            base64: Base64Encoder::new(),
            head,
            piece: Vec::with_capacity(PIECE_LEN),
        };
        Ok((layer, key_managements))
    }

    pub(super) const fn smime_type(&self) -> SmimeType {
        match self.cipher {
            Cipher::Cbc(_) => SmimeType::EnvelopedData,
            Cipher::Gcm(_) => SmimeType::AuthEnvelopedData,
        }
    }

    /// Appends what is complete of the encoded object.
    pub(super) fn update(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), EncryptError> {
        // Base64 makes four octets of three, and a line end for every 48; a piece may have been begun.
        out.reserve(plaintext.len().saturating_add(PIECE_LEN) / 48 * 66);
        while !plaintext.is_empty() {
            // What is held is a whole number of blocks, so the ciphertext never grows beyond one piece.
            let room = PIECE_LEN.saturating_sub(self.piece.len()).min(plaintext.len());
            let (now, later) = plaintext.split_at(room);
            match &mut self.cipher {
                Cipher::Cbc(cipher) => cipher.update(now, &mut self.piece),
                Cipher::Gcm(cipher) => {
                    cipher
                        .update(now, &mut self.piece)
                        .map_err(|ContentTooLong| EncryptError::ContentTooLong)?;
                }
            }
            if self.piece.len() >= PIECE_LEN {
                self.write_piece(out);
            }
            plaintext = later;
        }
        Ok(())
    }

    /// Appends the rest of the encoded object.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        let mut tag = None;
        match self.cipher {
            Cipher::Cbc(cipher) => cipher.finish(&mut self.piece),
            Cipher::Gcm(cipher) => tag = Some(cipher.finish()),
        }
        let Self {
            mut writer,
            mut base64,
            mut head,
            piece,
            ..
        } = self;
        writer.content(&piece, &mut head);
        writer.end_content(&mut head);
        if let Some(tag) = tag {
            let mut mac = Vec::new();
            push_tlv(OCTET_STRING, &tag, &mut mac);
            writer.raw(&mac, &mut head);
        }
        writer.end(&mut head);
        base64.push(&head, out);
        base64.end(out);
    }

    fn write_piece(&mut self, out: &mut Vec<u8>) {
        self.writer.piece_head(self.piece.len(), &mut self.head);
        self.base64.push(&self.head, out);
        self.base64.push(&self.piece, out);
        self.head.clear();
        self.piece.clear();
    }
}
