//! Every way in which a request can be invalid.

use crate::ops::Invalid;

pub(super) fn all() -> Vec<Invalid> {
    let (field, hint, found) = ("field", "hint", 1);
    vec![
        Invalid::Unreadable("x".into()),
        Invalid::RequestTooLarge("x".into()),
        Invalid::MetadataTooLarge { limit: 1 },
        Invalid::name("name", "keys/{sha256}", "x"),
        Invalid::PageSize,
        Invalid::PageToken,
        Invalid::Missing { field, hint },
        Invalid::Value { field, value: 1, hint },
        Invalid::AlgorithmMismatch {
            key: "a P-256 key".into(),
            wanted: "rsa-pkcs1-sha256",
        },
        Invalid::Length {
            field,
            found,
            wanted: "exactly 2".into(),
        },
        Invalid::PeerPublicKey {
            curve: "P-256",
            why: "it is not on the curve",
        },
        Invalid::CiphertextRange,
        Invalid::OptionsMissing,
        Invalid::OptionsRepeated,
        Invalid::ContentTooLarge { found, limit: 1 },
        Invalid::MessageTooLarge { limit: 1 },
        Invalid::MessageEmpty,
        Invalid::SenderUnknown,
        Invalid::SenderAmbiguous { count: 2 },
        Invalid::NoRecipients,
        Invalid::TooManyRecipients { found, limit: 1 },
        Invalid::RecipientCertificate {
            which: "1".into(),
            why: "x".into(),
        },
        Invalid::RecipientNotValid {
            subject: "CN=x".into(),
            when: "expired on 2020-01-01T00:00:00Z".into(),
        },
    ]
}
