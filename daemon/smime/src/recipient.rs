//! RecipientInfo (RFC 5652, section 6.2): how a content-encryption key is handed to a recipient and got back. The private
//! key's part is described ([`TokenOperation`]) and done elsewhere; the content itself is `cipher`'s.
//!
//! ```text
//!   make         RecipientInfos for certificates          read         candidates from RecipientInfos
//!     transport    RSA v1.5 and OAEP                        identifier   which certificate is meant
//!     curve        ephemeral keys and agreement             candidate    what its key must do, and the content key from it
//!                        oaep, agreement: what both need (parameters; KDF and key wrap)
//! ```

mod agreement;
mod candidate;
mod curve;
mod identifier;
mod make;
mod oaep;
mod read;
mod transport;

pub use self::candidate::{Candidate, KeyRequest, RsaScheme, TokenOperation};
pub(crate) use self::make::make;
pub use self::read::MalformedRecipient;
pub(crate) use self::read::RecipientInfos;

/// Why nothing can be encrypted to a certificate. Trying again does not help; another certificate or key management may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// keyUsage has neither keyEncipherment (RSA) nor keyAgreement (ECDH).
    #[error("its keyUsage does not allow encryption")]
    NotForEncryption,
    /// The key is of a kind that cannot receive a content-encryption key, or that is not supported.
    #[error("its key is of a kind that mail cannot be encrypted to")]
    UnsupportedKey,
    /// The key management asked for and the key do not go together.
    #[error("{wanted} does not work with its {key} key")]
    KeyManagementMismatch {
        /// What was asked for.
        wanted: crate::algorithm::KeyManagementAlgorithm,
        /// What the certificate has.
        key: crate::algorithm::PublicKeyAlgorithm,
    },
    /// The public key is not valid: a point that is not on its curve, a modulus below 1024 or above 8192 bits.
    #[error("its public key is not valid")]
    InvalidKey,
    /// An RSA key too short for the content-encryption key and its padding.
    #[error("its public key is too short")]
    KeyTooShort,
}

#[cfg(test)]
mod tests;
