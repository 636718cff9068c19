//! AES-CBC with PKCS #7 padding (RFC 3565; RFC 5652, section 6.3), whole slices at a time.

use ::cbc::{Decryptor, Encryptor};
use aes::{Aes128, Aes192, Aes256};
use cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, consts::U16};
use subtle::{Choice, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

use super::{ContentKey, KeyLengthError};

const BLOCK_LEN: usize = 16;
type Block = Array<u8, U16>;

/// The padding at the end is wrong, or the ciphertext is not a positive number of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the padding of the decrypted content is wrong")]
pub(crate) struct PaddingError;

/// Encrypts; the last block is written by [`finish`](Self::finish).
pub(crate) struct CbcEncryptor {
    cipher: EncryptorOf,
    partial: Partial,
}

enum EncryptorOf {
    Aes128(Encryptor<Aes128>),
    Aes192(Encryptor<Aes192>),
    Aes256(Encryptor<Aes256>),
}

impl CbcEncryptor {
    pub(crate) fn new(key: &ContentKey, iv: &[u8; BLOCK_LEN]) -> Result<Self, KeyLengthError> {
        let key = key.octets();
        let cipher = match key.len() {
            16 => Encryptor::new_from_slices(key, iv).map(EncryptorOf::Aes128),
            24 => Encryptor::new_from_slices(key, iv).map(EncryptorOf::Aes192),
            _ => Encryptor::new_from_slices(key, iv).map(EncryptorOf::Aes256),
        };
        Ok(Self {
            cipher: cipher.map_err(|_| KeyLengthError)?,
            partial: Partial::default(),
        })
    }

    /// Appends the ciphertext of all blocks that are complete.
    pub(crate) fn update(&mut self, plaintext: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        self.partial.take_blocks(plaintext, 0, out);
        let (blocks, _) = Block::slice_as_chunks_mut(out.get_mut(start..).unwrap_or_default());
        self.encrypt(blocks);
    }

    /// Appends the last block.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        let padding = BLOCK_LEN.saturating_sub(self.partial.filled);
        let mut block = Block::from(*self.partial.block);
        for octet in block.iter_mut().skip(self.partial.filled) {
            // Between 1 and 16.
            *octet = u8::try_from(padding).unwrap_or_default();
        }
        self.encrypt(std::slice::from_mut(&mut block));
        out.extend_from_slice(&block);
    }

    fn encrypt(&mut self, blocks: &mut [Block]) {
        match &mut self.cipher {
            EncryptorOf::Aes128(cipher) => cipher.encrypt_blocks(blocks),
            EncryptorOf::Aes192(cipher) => cipher.encrypt_blocks(blocks),
            EncryptorOf::Aes256(cipher) => cipher.encrypt_blocks(blocks),
        }
    }
}

/// Decrypts; the last block is held back for [`finish`](Self::finish), which checks the padding.
pub(crate) struct CbcDecryptor {
    cipher: DecryptorOf,
    partial: Partial,
}

enum DecryptorOf {
    Aes128(Decryptor<Aes128>),
    Aes192(Decryptor<Aes192>),
    Aes256(Decryptor<Aes256>),
}

impl CbcDecryptor {
    pub(crate) fn new(key: &ContentKey, iv: &[u8; BLOCK_LEN]) -> Result<Self, KeyLengthError> {
        let key = key.octets();
        let cipher = match key.len() {
            16 => Decryptor::new_from_slices(key, iv).map(DecryptorOf::Aes128),
            24 => Decryptor::new_from_slices(key, iv).map(DecryptorOf::Aes192),
            _ => Decryptor::new_from_slices(key, iv).map(DecryptorOf::Aes256),
        };
        Ok(Self {
            cipher: cipher.map_err(|_| KeyLengthError)?,
            partial: Partial::default(),
        })
    }

    /// Appends the plaintext of all complete blocks but the last.
    pub(crate) fn update(&mut self, ciphertext: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        self.partial.take_blocks(ciphertext, 1, out);
        let (blocks, _) = Block::slice_as_chunks_mut(out.get_mut(start..).unwrap_or_default());
        self.decrypt(blocks);
    }

    /// Appends the rest of the plaintext, without the padding. What the padding looks like does not show in the time this
    /// takes; how long it is shows in the length of the plaintext.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), PaddingError> {
        if self.partial.filled != BLOCK_LEN {
            return Err(PaddingError);
        }
        let mut block = Zeroizing::new(*self.partial.block);
        self.decrypt(std::slice::from_mut(<&mut Block>::from(&mut *block)));
        let (valid, kept) = check_padding(&block);
        if !bool::from(valid) {
            return Err(PaddingError);
        }
        out.extend_from_slice(block.get(..kept).unwrap_or_default());
        Ok(())
    }

    fn decrypt(&mut self, blocks: &mut [Block]) {
        match &mut self.cipher {
            DecryptorOf::Aes128(cipher) => cipher.decrypt_blocks(blocks),
            DecryptorOf::Aes192(cipher) => cipher.decrypt_blocks(blocks),
            DecryptorOf::Aes256(cipher) => cipher.decrypt_blocks(blocks),
        }
    }
}

/// Whether the block ends in valid padding, and how many octets stand before it (of use only if it does).
fn check_padding(block: &[u8; BLOCK_LEN]) -> (Choice, usize) {
    let [.., padding] = *block;
    let mut valid = padding.ct_lt(&17) & !padding.ct_eq(&0);
    for (octet, distance_to_end) in block.iter().zip((1_u8..=16).rev()) {
        let is_text = padding.ct_lt(&distance_to_end);
        valid &= is_text | octet.ct_eq(&padding);
    }
    (valid, BLOCK_LEN.wrapping_sub(usize::from(padding)))
}

/// Octets that do not make a block yet.
#[derive(Default)]
struct Partial {
    block: Zeroizing<[u8; BLOCK_LEN]>,
    filled: usize,
}

impl Partial {
    /// Appends as many whole blocks as there are, of what is held and what comes in, leaving at least `reserve` octets.
    fn take_blocks(&mut self, input: &[u8], reserve: usize, out: &mut Vec<u8>) {
        let available = self.filled.saturating_add(input.len());
        let taken = available.saturating_sub(reserve) / BLOCK_LEN * BLOCK_LEN;
        let mut input = input;
        if taken > 0 {
            // Fewer than 17 octets are held, so the first block takes in all of them.
            let (now, later) = input.split_at(taken.saturating_sub(self.filled).min(input.len()));
            out.reserve(taken);
            out.extend_from_slice(self.block.get(..self.filled).unwrap_or_default());
            out.extend_from_slice(now);
            self.filled = 0;
            input = later;
        }
        if let Some(free) = self.block.get_mut(self.filled..self.filled.saturating_add(input.len())) {
            free.copy_from_slice(input);
            self.filled = self.filled.saturating_add(input.len());
        }
    }
}
