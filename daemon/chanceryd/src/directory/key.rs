//! One private key, with all its replicas and certificates.

use chancery_smime::certificate::Certificate;
use chancery_token::{KeyAlgorithm, KeyId};

/// A private key. The same key on two tokens is one key with two replicas.
#[derive(Clone, Debug)]
pub struct Key {
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub id: KeyId,
    /// `id` in lower-case hexadecimal, as names and grants write it.
    pub hex: String,
    /// What kind it is.
    pub algorithm: KeyAlgorithm,
    /// DER SubjectPublicKeyInfo.
    pub spki_der: Vec<u8>,
    /// What it may be used for.
    pub roles: Roles,
    /// Its certificates, the latest notBefore first, each once.
    pub certificates: Vec<Certificate>,
    /// The addresses in its end-entity certificates, sorted, each once, the domain in lower case.
    pub identities: Vec<String>,
    /// Where it lives, in the order of the configuration.
    pub replicas: Vec<Replica>,
}

/// What a key may be used for: the newest certificate's keyUsage and the attributes on the token must both allow it. A key
/// without a certificate has the role that its attributes say, and none if they allow both. No grant can widen this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// It signs.
    pub sign: bool,
    /// It decrypts or agrees.
    pub decrypt: bool,
}

/// One copy of a key on one token.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Which token, counted in the order of the configuration.
    pub token: usize,
    /// CKA_ID.
    pub object_id: Vec<u8>,
    /// CKA_LABEL.
    pub label: String,
    /// CKA_ALWAYS_AUTHENTICATE.
    pub always_authenticate: bool,
    /// CKA_SIGN.
    pub can_sign: bool,
    /// CKA_DECRYPT, CKA_UNWRAP or CKA_DERIVE.
    pub can_decrypt: bool,
}

impl Key {
    /// The roles that the certificates (newest first) and the attributes of the replicas give together.
    pub(super) fn roles_of(certificates: &[Certificate], replicas: &[Replica]) -> Roles {
        let sign = replicas.iter().any(|replica| replica.can_sign);
        let decrypt = replicas.iter().any(|replica| replica.can_decrypt);
        match certificates.first() {
            Some(newest) => Roles {
                sign: sign && newest.allows_signing(),
                decrypt: decrypt && newest.allows_encryption(),
            },
            None if sign && decrypt => Roles::default(),
            None => Roles { sign, decrypt },
        }
    }
}
