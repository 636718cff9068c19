//! One word for each value of the contract's enumerations. The command line takes them, the tables and the JSON show them;
//! they are documented in `docs/cli.md` and do not change.

use chancery::v1::{
    CheckResult, ContentEncryptionAlgorithm, DigestAlgorithm, DrainReason, KeyAlgorithm, KeyManagementAlgorithm,
    KeyRole, PinStatus, SignatureAlgorithm, TokenState,
};

/// The word for a value; none for "not given" and "not known".
pub(crate) trait Word {
    fn word(self) -> Option<&'static str>;
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal,)* }) => {
        impl Word for $type {
            fn word(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($word),)*
                    Self::Unspecified => None,
                }
            }
        }
    };
}

words!(SignatureAlgorithm {
    RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
    RsaPkcs1Sha384 => "rsa-pkcs1-sha384",
    RsaPkcs1Sha512 => "rsa-pkcs1-sha512",
    RsaPssSha256 => "rsa-pss-sha256",
    RsaPssSha384 => "rsa-pss-sha384",
    RsaPssSha512 => "rsa-pss-sha512",
    EcdsaSha256 => "ecdsa-sha256",
    EcdsaSha384 => "ecdsa-sha384",
    EcdsaSha512 => "ecdsa-sha512",
    Ed25519 => "ed25519",
});
words!(DigestAlgorithm {
    Sha1 => "sha1",
    Sha256 => "sha256",
    Sha384 => "sha384",
    Sha512 => "sha512",
});
words!(ContentEncryptionAlgorithm {
    Aes128Cbc => "aes128-cbc",
    Aes192Cbc => "aes192-cbc",
    Aes256Cbc => "aes256-cbc",
    Aes128Gcm => "aes128-gcm",
    Aes192Gcm => "aes192-gcm",
    Aes256Gcm => "aes256-gcm",
});
words!(KeyManagementAlgorithm {
    RsaPkcs1 => "rsa-pkcs1",
    RsaOaep => "rsa-oaep",
    Ecdh => "ecdh",
});
words!(KeyAlgorithm {
    Rsa => "rsa",
    EcP256 => "p256",
    EcP384 => "p384",
    EcP521 => "p521",
    Ed25519 => "ed25519",
    X25519 => "x25519",
});
words!(KeyRole {
    Sign => "sign",
    Decrypt => "decrypt",
});
words!(TokenState {
    Absent => "absent",
    Locked => "locked",
    Ready => "ready",
    Failed => "failed",
});
words!(PinStatus {
    CountLow => "count-low",
    FinalTry => "final-try",
    Locked => "locked",
});
words!(DrainReason {
    Lock => "lock",
    Maintenance => "maintenance",
});
words!(CheckResult {
    Passed => "passed",
    Failed => "failed",
    NotEvaluated => "not-evaluated",
});
