//! AES-GCM (NIST SP 800-38D) in a stream: CTR and GHASH apart, so that a tag can be checked before anything is decrypted,
//! and with the additional data at the end, because in AuthEnvelopedData the attributes follow the content.

use aes::{Aes128, Aes192, Aes256};
use cipher::{Array, BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper, consts::U16};
use ctr::{Ctr32BE, CtrCore};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{ContentKey, KeyLengthError};

const BLOCK_LEN: usize = 16;
type Block = Array<u8, U16>;

/// The most plaintext under one nonce: 2^32 − 2 blocks (SP 800-38D, section 5.2.1.1).
const MAX_CONTENT_LEN: u64 = ((1 << 32) - 2) * 16;

/// More content than AES-GCM can take under one nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content is longer than AES-GCM allows (64 GiB)")]
pub(crate) struct ContentTooLong;

/// Encrypts, and makes the tag over the ciphertext, without additional data.
pub(crate) struct GcmSealer {
    keystream: Keystream,
    hash: Hash,
    mask: Block,
}

impl GcmSealer {
    pub(crate) fn new(key: &ContentKey, nonce: &[u8]) -> Result<Self, KeyLengthError> {
        let Start { hash, keystream, mask } = start(key, nonce)?;
        Ok(Self { keystream, hash, mask })
    }

    /// Appends the ciphertext.
    pub(crate) fn update(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), ContentTooLong> {
        self.hash.count(plaintext.len())?;
        let start = out.len();
        out.extend_from_slice(plaintext);
        let ciphertext = out.get_mut(start..).unwrap_or_default();
        // A piece that lies in the cache is encrypted and digested before the next one is looked at.
        for piece in ciphertext.chunks_mut(4096) {
            self.keystream.apply(piece)?;
            self.hash.update(piece);
        }
        Ok(())
    }

    /// The tag, 16 octets.
    pub(crate) fn finish(self) -> [u8; BLOCK_LEN] {
        self.hash.finish(&[], &self.mask)
    }
}

/// Checks the tag over a ciphertext; nothing is decrypted before that.
pub(crate) struct GcmVerifier {
    keystream: Keystream,
    hash: Hash,
    mask: Block,
}

impl GcmVerifier {
    pub(crate) fn new(key: &ContentKey, nonce: &[u8]) -> Result<Self, KeyLengthError> {
        let Start { hash, keystream, mask } = start(key, nonce)?;
        Ok(Self { keystream, hash, mask })
    }

    pub(crate) fn update(&mut self, ciphertext: &[u8]) -> Result<(), ContentTooLong> {
        self.hash.count(ciphertext.len())?;
        self.hash.update(ciphertext);
        Ok(())
    }

    /// What decrypts the ciphertext, if the tag is right. The comparison takes the same time wherever they differ.
    pub(crate) fn verify(self, additional_data: &[u8], tag: &[u8]) -> Option<CtrDecryptor> {
        let expected = self.hash.finish(additional_data, &self.mask);
        let expected = expected.get(..tag.len())?;
        (!tag.is_empty() && bool::from(expected.ct_eq(tag))).then_some(CtrDecryptor {
            keystream: self.keystream,
        })
    }
}

/// Decrypts a ciphertext whose tag has been checked.
pub(crate) struct CtrDecryptor {
    keystream: Keystream,
}

impl CtrDecryptor {
    /// Appends the plaintext.
    pub(crate) fn update(&mut self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), ContentTooLong> {
        let start = out.len();
        out.extend_from_slice(ciphertext);
        self.keystream.apply(out.get_mut(start..).unwrap_or_default())
    }
}

struct Start {
    hash: Hash,
    keystream: Keystream,
    /// What the tag is masked with: the encryption of the first counter block.
    mask: Block,
}

fn start(key: &ContentKey, nonce: &[u8]) -> Result<Start, KeyLengthError> {
    let key = key.octets();
    match key.len() {
        16 => Ok(start_with(
            Aes128::new_from_slice(key).map_err(|_| KeyLengthError)?,
            nonce,
            Keystream::Aes128,
        )),
        24 => Ok(start_with(
            Aes192::new_from_slice(key).map_err(|_| KeyLengthError)?,
            nonce,
            Keystream::Aes192,
        )),
        _ => Ok(start_with(
            Aes256::new_from_slice(key).map_err(|_| KeyLengthError)?,
            nonce,
            Keystream::Aes256,
        )),
    }
}

fn start_with<C>(cipher: C, nonce: &[u8], keystream: fn(Ctr32BE<C>) -> Keystream) -> Start
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    let mut hash_key = Zeroizing::new([0; BLOCK_LEN]);
    cipher.encrypt_block(<&mut Block>::from(&mut *hash_key));
    let hash = Hash::new(GHash::new(<&Block>::from(&*hash_key)));

    let mut counter = Block::default();
    if nonce.len() == 12 {
        for (octet, value) in counter.iter_mut().zip(nonce.iter().chain(&[0, 0, 0, 1])) {
            *octet = *value;
        }
    } else {
        let mut of_nonce = hash.ghash.clone();
        of_nonce.update_padded(nonce);
        of_nonce.update(&[lengths(0, nonce.len() as u64)]);
        counter = of_nonce.finalize();
    }
    let mut mask = counter;
    cipher.encrypt_block(&mut mask);

    let [a, b, c, d] = last_four(&counter);
    let next = u32::from_be_bytes([a, b, c, d]).wrapping_add(1).to_be_bytes();
    for (octet, value) in counter.iter_mut().skip(12).zip(next) {
        *octet = value;
    }
    Start {
        hash,
        keystream: keystream(StreamCipherCoreWrapper::from_core(CtrCore::inner_iv_init(
            cipher, &counter,
        ))),
        mask,
    }
}

fn last_four(block: &Block) -> [u8; 4] {
    let [.., a, b, c, d] = block.0;
    [a, b, c, d]
}

enum Keystream {
    Aes128(Ctr32BE<Aes128>),
    Aes192(Ctr32BE<Aes192>),
    Aes256(Ctr32BE<Aes256>),
}

impl Keystream {
    fn apply(&mut self, octets: &mut [u8]) -> Result<(), ContentTooLong> {
        match self {
            Self::Aes128(stream) => stream.try_apply_keystream(octets),
            Self::Aes192(stream) => stream.try_apply_keystream(octets),
            Self::Aes256(stream) => stream.try_apply_keystream(octets),
        }
        .map_err(|_| ContentTooLong)
    }
}

/// GHASH over the ciphertext, of which the additional data becomes a part only at the end.
struct Hash {
    /// Without any input: the key alone.
    empty: GHash,
    ghash: GHash,
    partial: [u8; BLOCK_LEN],
    filled: usize,
    len: u64,
}

impl Hash {
    fn new(ghash: GHash) -> Self {
        Self {
            empty: ghash.clone(),
            ghash,
            partial: [0; BLOCK_LEN],
            filled: 0,
            len: 0,
        }
    }

    fn count(&mut self, len: usize) -> Result<(), ContentTooLong> {
        self.len = self
            .len
            .checked_add(len as u64)
            .filter(|&len| len <= MAX_CONTENT_LEN)
            .ok_or(ContentTooLong)?;
        Ok(())
    }

    fn update(&mut self, mut octets: &[u8]) {
        if self.filled > 0 {
            let (now, later) = octets.split_at(octets.len().min(BLOCK_LEN.saturating_sub(self.filled)));
            for (held, octet) in self.partial.iter_mut().skip(self.filled).zip(now) {
                *held = *octet;
            }
            self.filled = self.filled.saturating_add(now.len());
            if self.filled < BLOCK_LEN {
                return;
            }
            self.ghash.update(&[Block::from(self.partial)]);
            self.filled = 0;
            octets = later;
        }
        let (blocks, rest) = Block::slice_as_chunks(octets);
        self.ghash.update(blocks);
        for (held, octet) in self.partial.iter_mut().zip(rest) {
            *held = *octet;
        }
        self.filled = rest.len();
    }

    fn finish(mut self, additional_data: &[u8], mask: &Block) -> [u8; BLOCK_LEN] {
        let rest = self.partial.get(..self.filled).unwrap_or_default();
        self.ghash.update_padded(rest);
        self.ghash.update(&[lengths(additional_data.len() as u64, self.len)]);
        let mut tag = self.ghash.finalize();

        if !additional_data.is_empty() {
            // GHASH is linear: GHASH(A ‖ C ‖ L) = GHASH(A) · Hⁿ ⊕ GHASH(C ‖ L), n the number of blocks of C ‖ L.
            let mut of_data = self.empty.clone();
            of_data.update_padded(additional_data);
            let blocks = self.len.div_ceil(16).saturating_add(1);
            let shifted = times_power(of_data.finalize(), &self.empty, blocks);
            for (octet, other) in tag.iter_mut().zip(shifted) {
                *octet ^= other;
            }
        }
        for (octet, other) in tag.iter_mut().zip(mask) {
            *octet ^= other;
        }
        tag.into()
    }
}

/// The block that ends the input of GHASH: both lengths in bits.
fn lengths(additional_data_len: u64, ciphertext_len: u64) -> Block {
    let bits = (u128::from(additional_data_len.wrapping_mul(8)) << 64) | u128::from(ciphertext_len.wrapping_mul(8));
    Block::from(bits.to_be_bytes())
}

/// `value` · H^`exponent`, by squaring. One block of input to GHASH under the key K is multiplied by K.
fn times_power(mut value: Block, hash_key: &GHash, mut exponent: u64) -> Block {
    // A block of 0x80 and zeros is the 1 of this field.
    let mut one = Block::default();
    if let Some(first) = one.first_mut() {
        *first = 0x80;
    }
    let mut power = product(hash_key, one);
    while exponent > 0 {
        if exponent & 1 == 1 {
            value = product(&GHash::new(&power), value);
        }
        power = product(&GHash::new(&power), power);
        exponent >>= 1;
    }
    value
}

fn product(key: &GHash, value: Block) -> Block {
    let mut ghash = key.clone();
    ghash.update(&[value]);
    ghash.finalize()
}
