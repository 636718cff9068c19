//! The options of `chancery encrypt`.

use std::path::PathBuf;

use chancery::v1;
use clap::{Args, ValueEnum};

use super::FileArgs;

#[derive(Debug, Args)]
pub(crate) struct EncryptArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Encrypt to this mail address. Its certificate is looked for among the daemon's identities, then in the directory of
    /// --certificates, where the newest one that is valid now is taken. May be given several times.
    #[arg(long, value_name = "ADDR", required_unless_present = "recipient_cert")]
    pub(crate) to: Vec<String>,
    /// Encrypt to the certificate in this file, PEM or DER. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) recipient_cert: Vec<PathBuf>,
    /// Encrypt to this mail address as well, so that the sender can read what was sent.
    #[arg(long, value_name = "ADDR")]
    pub(crate) from: Option<String>,
    /// A directory of certificates: *.pem, *.crt, *.cer and *.der.
    #[arg(long, env = "CHANCERY_CERTIFICATES", value_name = "DIR")]
    pub(crate) certificates: Option<PathBuf>,
    /// How the content is protected; the daemon's choice if not given. CBC carries no authentication.
    #[arg(long, value_name = "NAME")]
    pub(crate) content_encryption: Option<ContentEncryption>,
    /// How the content's key reaches the recipients whose keys this suits; the daemon's choice for the others.
    #[arg(long, value_name = "NAME")]
    pub(crate) key_management: Option<KeyManagement>,
    /// Write a report in JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// How the content can be protected.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ContentEncryption {
    #[value(name = "aes128-cbc")]
    Aes128Cbc,
    #[value(name = "aes256-cbc")]
    Aes256Cbc,
    #[value(name = "aes128-gcm")]
    Aes128Gcm,
    #[value(name = "aes256-gcm")]
    Aes256Gcm,
}

impl From<ContentEncryption> for v1::ContentEncryptionAlgorithm {
    fn from(algorithm: ContentEncryption) -> Self {
        match algorithm {
            ContentEncryption::Aes128Cbc => Self::Aes128Cbc,
            ContentEncryption::Aes256Cbc => Self::Aes256Cbc,
            ContentEncryption::Aes128Gcm => Self::Aes128Gcm,
            ContentEncryption::Aes256Gcm => Self::Aes256Gcm,
        }
    }
}

/// How the content's key can reach a recipient.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KeyManagement {
    #[value(name = "rsa-pkcs1")]
    RsaPkcs1,
    #[value(name = "rsa-oaep")]
    RsaOaep,
    Ecdh,
}

impl From<KeyManagement> for v1::KeyManagementAlgorithm {
    fn from(algorithm: KeyManagement) -> Self {
        match algorithm {
            KeyManagement::RsaPkcs1 => Self::RsaPkcs1,
            KeyManagement::RsaOaep => Self::RsaOaep,
            KeyManagement::Ecdh => Self::Ecdh,
        }
    }
}
