//! What can be wrong with a request to sign, and the checks made before the first byte.

use super::{Options, SignerOptions};
use crate::algorithm::{DigestAlgorithm, PublicKeyAlgorithm, SignatureAlgorithm};
use crate::mime::MimeError;

/// Why a message is not signed. Trying again with the same message and options does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The message cannot be signed as it is.
    #[error(transparent)]
    Mime(#[from] MimeError),
    /// Nobody is to sign.
    #[error("there is no signer; name one at least")]
    NoSigner,
    /// More signers than the limit allows.
    #[error("there are {found} signers, but no more than {limit} are allowed")]
    TooManySigners {
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// keyUsage keeps the certificate from signing.
    #[error("the certificate {certificate} is not for signing; use one whose keyUsage has digitalSignature")]
    NotForSigning {
        /// Subject and serial number.
        certificate: String,
    },
    /// The certificate's key cannot make this kind of signature.
    #[error(
        "the key of the certificate {certificate} cannot sign with {algorithm}; choose an algorithm that fits the key"
    )]
    KeyDoesNotFit {
        /// Subject and serial number.
        certificate: String,
        /// What was asked for.
        algorithm: SignatureAlgorithm,
    },
    /// SHA-1 is read, for old mail, and not written.
    #[error("{algorithm} is too weak to sign with; use SHA-256 or better")]
    Weak {
        /// What was asked for.
        algorithm: SignatureAlgorithm,
    },
    /// Not as many signatures as signers, or an empty one.
    #[error("{expected} signatures are needed, none of them empty")]
    Signatures {
        /// How many signers there are.
        expected: usize,
    },
    /// Something cannot be written as DER: a signing time before 1970 or after 9999.
    #[error("the {element} cannot be written as DER")]
    Encode {
        /// Its name in the standard.
        element: &'static str,
        /// What the DER writer says.
        #[source]
        source: der::Error,
    },
}

/// Whether the options can be met at all.
pub(super) fn check(options: &Options) -> Result<(), SignError> {
    if options.signers.is_empty() {
        return Err(SignError::NoSigner);
    }
    if options.signers.len() > options.limits.signers {
        return Err(SignError::TooManySigners {
            found: options.signers.len(),
            limit: options.limits.signers,
        });
    }
    options.signers.iter().try_for_each(check_signer)
}

fn check_signer(signer: &SignerOptions) -> Result<(), SignError> {
    let SignerOptions {
        certificate, algorithm, ..
    } = signer;
    if algorithm.digest() == DigestAlgorithm::Sha1 {
        return Err(SignError::Weak { algorithm: *algorithm });
    }
    if !certificate.allows_signing() {
        return Err(SignError::NotForSigning {
            certificate: certificate.to_string(),
        });
    }
    let pss_only = matches!(algorithm, SignatureAlgorithm::RsaPkcs1(_)) && certificate.is_pss_only();
    let fits = !pss_only
        && matches!(
            (algorithm, certificate.public_key_algorithm()),
            (
                SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::RsaPss(_),
                Some(PublicKeyAlgorithm::Rsa { .. })
            ) | (
                SignatureAlgorithm::Ecdsa(_),
                Some(PublicKeyAlgorithm::P256 | PublicKeyAlgorithm::P384 | PublicKeyAlgorithm::P521)
            ) | (SignatureAlgorithm::Ed25519, Some(PublicKeyAlgorithm::Ed25519))
        );
    if fits {
        Ok(())
    } else {
        Err(SignError::KeyDoesNotFit {
            certificate: certificate.to_string(),
            algorithm: *algorithm,
        })
    }
}
