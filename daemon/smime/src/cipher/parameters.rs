//! The AlgorithmIdentifier of content encryption: AES-CBC carries its initialisation vector (RFC 3565, section 4.1), AES-GCM
//! its nonce and the length of the tag (RFC 5084, section 3.2).

use const_oid::ObjectIdentifier;
use der::asn1::{OctetString, OctetStringRef};
use der::{Any, Decode, Encode, Sequence, Tag};
use rand_core::CryptoRng;
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};

use crate::algorithm::ContentEncryptionAlgorithm;

/// Length of the nonces made here.
const NONCE_LEN: usize = 12;
/// Length of the tags made here.
const TAG_LEN: u8 = 16;
/// The longest nonce that is read; longer ones have no use and no maker.
const MAX_NONCE_LEN: usize = 128;

/// An algorithm with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContentEncryption {
    pub(crate) algorithm: ContentEncryptionAlgorithm,
    pub(crate) mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Cbc { iv: [u8; 16] },
    Gcm { nonce: Vec<u8>, tag_len: usize },
}

/// Why a contentEncryptionAlgorithm cannot be used. It depends on public octets alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParametersError {
    /// The object identifier of an algorithm that is not known here.
    #[error("the content encryption algorithm {0} is not supported")]
    Unsupported(ObjectIdentifier),
    /// The AlgorithmIdentifier, or what is in it, is not DER of the right type.
    #[error("the content encryption algorithm cannot be read")]
    Malformed(#[from] der::Error),
    /// There are no parameters.
    #[error("the content encryption algorithm has no parameters")]
    Absent,
    /// AES-CBC: the length of the initialisation vector.
    #[error("the initialisation vector is {0} octets long instead of 16")]
    IvLength(usize),
    /// AES-GCM: the length of the nonce.
    #[error("the AES-GCM nonce is {0} octets long, which is not between 1 and {MAX_NONCE_LEN}")]
    NonceLength(usize),
    /// AES-GCM: the length of the tag (RFC 5084, section 3.2).
    #[error("the AES-GCM tag would be {0} octets long, which is not between 12 and 16")]
    TagLength(u8),
}

/// GCMParameters ::= SEQUENCE { aes-nonce OCTET STRING, aes-ICVlen AES-GCM-ICVlen DEFAULT 12 }
#[derive(Sequence)]
struct GcmParameters {
    nonce: OctetString,
    #[asn1(default = "default_tag_len")]
    tag_len: u8,
}

const fn default_tag_len() -> u8 {
    12
}

impl ContentEncryption {
    /// With a new initialisation vector or nonce.
    pub(crate) fn generate(algorithm: ContentEncryptionAlgorithm, rng: &mut impl CryptoRng) -> Self {
        let mode = if algorithm.is_authenticated() {
            let mut nonce = vec![0; NONCE_LEN];
            rng.fill_bytes(&mut nonce);
            Mode::Gcm {
                nonce,
                tag_len: usize::from(TAG_LEN),
            }
        } else {
            let mut iv = [0; 16];
            rng.fill_bytes(&mut iv);
            Mode::Cbc { iv }
        };
        Self { algorithm, mode }
    }

    /// The DER of the AlgorithmIdentifier.
    pub(crate) fn to_der(&self) -> der::Result<Vec<u8>> {
        let parameters = match &self.mode {
            Mode::Cbc { iv } => Any::new(Tag::OctetString, iv.as_slice())?,
            Mode::Gcm { nonce, tag_len } => Any::encode_from(&GcmParameters {
                nonce: OctetString::new(nonce.as_slice())?,
                tag_len: u8::try_from(*tag_len).unwrap_or(TAG_LEN),
            })?,
        };
        AlgorithmIdentifierOwned {
            oid: self.algorithm.oid(),
            parameters: Some(parameters),
        }
        .to_der()
    }

    /// Reads the DER of an AlgorithmIdentifier.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, ParametersError> {
        let identifier = AlgorithmIdentifierRef::from_der(der)?;
        let algorithm =
            ContentEncryptionAlgorithm::from_oid(identifier.oid).ok_or(ParametersError::Unsupported(identifier.oid))?;
        let parameters = identifier.parameters.ok_or(ParametersError::Absent)?;
        let mode = if algorithm.is_authenticated() {
            let GcmParameters { nonce, tag_len } = parameters.decode_as()?;
            let nonce = nonce.as_bytes();
            if nonce.is_empty() || nonce.len() > MAX_NONCE_LEN {
                return Err(ParametersError::NonceLength(nonce.len()));
            }
            if !(12..=16).contains(&tag_len) {
                return Err(ParametersError::TagLength(tag_len));
            }
            Mode::Gcm {
                nonce: nonce.to_vec(),
                tag_len: usize::from(tag_len),
            }
        } else {
            let iv = parameters.decode_as::<&OctetStringRef>()?.as_bytes();
            Mode::Cbc {
                iv: iv.try_into().map_err(|_| ParametersError::IvLength(iv.len()))?,
            }
        };
        Ok(Self { algorithm, mode })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn gcm(nonce: &[u8], tag_len: Option<u8>) -> Result<ContentEncryption, ParametersError> {
        let mut parameters = vec![0x04, u8::try_from(nonce.len()).unwrap()];
        parameters.extend_from_slice(nonce);
        if let Some(tag_len) = tag_len {
            parameters.extend_from_slice(&[0x02, 0x01, tag_len]);
        }
        let mut sequence = vec![0x30, u8::try_from(parameters.len()).unwrap()];
        sequence.extend_from_slice(&parameters);
        let identifier = AlgorithmIdentifierOwned {
            oid: ContentEncryptionAlgorithm::Aes256Gcm.oid(),
            parameters: Some(Any::from_der(&sequence).unwrap()),
        };
        ContentEncryption::from_der(&identifier.to_der().unwrap())
    }

    #[test]
    fn tag_length_is_twelve_unless_written_and_between_twelve_and_sixteen() {
        let read = gcm(&[7; 12], None).unwrap();
        assert_eq!(
            read.mode,
            Mode::Gcm {
                nonce: vec![7; 12],
                tag_len: 12
            }
        );
        assert_eq!(
            gcm(&[7; 12], Some(16)).unwrap().mode,
            Mode::Gcm {
                nonce: vec![7; 12],
                tag_len: 16
            }
        );
        for tag_len in [0, 4, 8, 11, 17] {
            assert_eq!(gcm(&[7; 12], Some(tag_len)), Err(ParametersError::TagLength(tag_len)));
        }
        assert_eq!(gcm(&[], Some(16)), Err(ParametersError::NonceLength(0)));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut rng = crate::test_rng::TestRng::new(1);
        for algorithm in ContentEncryptionAlgorithm::ALL {
            let made = ContentEncryption::generate(algorithm, &mut rng);
            assert_eq!(ContentEncryption::from_der(&made.to_der().unwrap()).unwrap(), made);
            assert_ne!(ContentEncryption::generate(algorithm, &mut rng), made);
        }
    }

    #[test]
    fn unknown_algorithms_and_short_vectors_are_refused() {
        let identifier = |oid, iv: &[u8]| {
            let parameters = Some(Any::new(Tag::OctetString, iv).unwrap());
            AlgorithmIdentifierOwned { oid, parameters }.to_der().unwrap()
        };
        let triple_des = ObjectIdentifier::new_unwrap("1.2.840.113549.3.7");
        assert_eq!(
            ContentEncryption::from_der(&identifier(triple_des, &[0; 8])),
            Err(ParametersError::Unsupported(triple_des))
        );
        let aes = ContentEncryptionAlgorithm::Aes128Cbc.oid();
        assert_eq!(
            ContentEncryption::from_der(&identifier(aes, &[0; 15])),
            Err(ParametersError::IvLength(15))
        );
    }
}
