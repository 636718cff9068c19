//! What a private key is asked to do, in such a form that more than one token can be asked.

use bytes::Bytes;
use chancery_token::{DecryptScheme, Dispatch, KeyId, SignInput, SignMechanism, TokenError, TokenHandle};
use zeroize::Zeroizing;

use super::Use;

/// One operation of a private key.
#[derive(Debug)]
pub(in crate::ops) enum Work {
    /// A signature.
    Sign {
        /// How.
        mechanism: SignMechanism,
        /// Of what.
        input: SignInput,
    },
    /// The decryption of a transported key.
    Decrypt {
        /// How it was encrypted.
        scheme: DecryptScheme,
        /// What came of that.
        ciphertext: Bytes,
    },
    /// A secret that is shared with whoever has the other key.
    Agree {
        /// An uncompressed point on the key's curve, or the 32 bytes of X25519.
        peer: Bytes,
    },
}

impl Work {
    /// What a replica must be able to do for it.
    pub(super) const fn needs(&self) -> Use {
        match self {
            Self::Sign { .. } => Use::Sign,
            Self::Decrypt { .. } | Self::Agree { .. } => Use::Decrypt,
        }
    }

    /// Has one token do it.
    pub(super) async fn ask(
        &self,
        token: &TokenHandle,
        key: KeyId,
        dispatch: Dispatch,
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        match self {
            Self::Sign { mechanism, input } => {
                let signature = token.sign(key, *mechanism, input.clone(), dispatch).await?;
                Ok(Zeroizing::new(signature))
            }
            Self::Decrypt { scheme, ciphertext } => {
                token.decrypt(key, scheme.clone(), ciphertext.to_vec(), dispatch).await
            }
            Self::Agree { peer } => token.agree(key, peer.to_vec(), dispatch).await,
        }
    }
}
