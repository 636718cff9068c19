//! `Debug` for the messages that carry a secret: the secret's place is taken by its length.

use std::fmt;

use crate::v1::{
    AgreeResponse, ChangePinRequest, KeyServiceDecryptResponse, MailServiceDecryptResponse, UnlockTokenRequest,
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
