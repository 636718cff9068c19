//! `Debug` for the messages that carry a secret: the secret's place is taken by its length.

use std::fmt;

use crate::v1::{
    AgreeRequest, AgreeResponse, AttendRequest, ChangePinRequest, DecryptOptions, KeyServiceDecryptRequest,
    KeyServiceDecryptResponse, KeyServiceSignRequest, MailServiceDecryptResponse, SignOptions, UnlockTokenRequest,
    key_service_sign_request,
};

struct Redacted(usize);

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes redacted>", self.0)
    }
}

impl fmt::Debug for UnlockTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not even the length: a PIN is short enough for its length to help.
        f.debug_struct("UnlockTokenRequest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChangePinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangePinRequest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AgreeResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgreeResponse")
            .field("secret", &Redacted(self.secret.len()))
            .field("token", &self.token)
            .finish()
    }
}

impl fmt::Debug for KeyServiceDecryptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyServiceDecryptResponse")
            .field("plaintext", &Redacted(self.plaintext.len()))
            .field("token", &self.token)
            .finish()
    }
}

impl fmt::Debug for MailServiceDecryptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailServiceDecryptResponse")
            .field("content", &Redacted(self.content.len()))
            .field("report", &self.report)
            .finish()
    }
}

/// Of a PIN not even the length, as above; the fields beside it.
macro_rules! all_but_the_pin {
    ($($message:ident { $($field:ident)* } { $($accessor:ident)* })*) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message))
                    $(.field(stringify!($field), &self.$field))*
                    $(.field(stringify!($accessor), &self.$accessor()))*
                    .finish_non_exhaustive()
            }
        }
    )*};
}

all_but_the_pin! {
    KeyServiceSignRequest { name input } { algorithm priority }
    KeyServiceDecryptRequest { name oaep ciphertext plaintext_length } { algorithm priority }
    AgreeRequest { name peer_public_key x963_kdf } { priority }
    SignOptions { identity rsa_pss } { form digest priority }
    DecryptOptions { identity } { priority }
    AttendRequest { question_id } { }
}

impl fmt::Debug for key_service_sign_request::Input {
    /// What is to be signed is no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => f.debug_tuple("Digest").field(digest).finish(),
            Self::Data(data) => f.debug_tuple("Data").field(data).finish(),
        }
    }
}
