//! Requests that are wrong in themselves: what they lack or carry too much of. Every decision here depends on the request,
//! public certificates, limits and the time alone, never on what a private key made of it.

/// A request that cannot be carried out as it stands. Trying again without changing it never helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// What was sent is no message of this method, or is cut off.
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    /// One gRPC message is longer than the configuration allows.
    #[error("one request is longer than this daemon takes (limits.request_bytes): {0}")]
    RequestTooLarge(String),
    /// The metadata are longer than the configuration allows.
    #[error("the metadata have more than {limit} bytes, the limit of this daemon (limits.metadata_bytes)")]
    MetadataTooLarge {
        /// Bytes allowed, with 32 for each field.
        limit: usize,
    },
    /// A resource name is not of the form that the field wants.
    #[error("{field} is {found:?}: write it as {wanted}")]
    Name {
        /// The field of the request.
        field: &'static str,
        /// What it should look like.
        wanted: &'static str,
        /// What it was, cut to a readable length.
        found: String,
    },
    /// `page_size` is negative.
    #[error("page_size is negative: give 0 for the default or at most 1000")]
    PageSize,
    /// `page_token` was not made by the daemon.
    #[error("page_token is not one that this daemon gave out: start again with an empty one")]
    PageToken,
    /// A field that is needed is not set.
    #[error("{field} is missing: {hint}")]
    Missing {
        /// The field of the request.
        field: &'static str,
        /// What to write into it.
        hint: &'static str,
    },
    /// A number is out of range, or an enum field has a value that this release does not know or that does not belong there.
    #[error("{field} is {value}: {hint}")]
    Value {
        /// The field of the request.
        field: &'static str,
        /// The number on the wire.
        value: i64,
        /// What may stand there.
        hint: &'static str,
    },
    /// The algorithm does not suit the kind of key.
    #[error("the key is {key}, which does not go with {wanted}: see the key's algorithm with GetKey")]
    AlgorithmMismatch {
        /// The kind of key.
        key: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A field is too short or too long.
    #[error("{field} has {found} bytes; it must have {wanted}")]
    Length {
        /// The field of the request.
        field: &'static str,
        /// Its length.
        found: usize,
        /// The length or range that it must have.
        wanted: String,
    },
    /// The other side's public key is not a point on the key's curve, or would give a secret that anybody can guess.
    #[error("peer_public_key is not a usable public key on {curve}: {why}")]
    PeerPublicKey {
        /// The curve.
        curve: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The RSA ciphertext is not smaller than the modulus.
    #[error("ciphertext is not smaller than the key's modulus: it was not made for this key")]
    CiphertextRange,
    /// The stream ended before a first request with options.
    #[error("the first request carries no options: send the options first, then the content")]
    OptionsMissing,
    /// A later request carries options again.
    #[error("a later request carries options: they belong into the first request alone")]
    OptionsRepeated,
    /// One request carries more content than is allowed.
    #[error("one request carries {found} bytes of content; send at most {limit} at once")]
    ContentTooLarge {
        /// Bytes in the request.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The whole message is longer than the configuration allows.
    #[error("the message is longer than {limit} bytes, the limit of this daemon (limits.message_bytes)")]
    MessageTooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// There is no content at all.
    #[error("the message is empty")]
    MessageEmpty,
    /// No identity is named, and the message has no From field to take one from.
    #[error("options.identity is empty and the message has no From address: name the identity that signs")]
    SenderUnknown,
    /// No identity is named, and From names several without a Sender to decide.
    #[error("options.identity is empty and From has {count} addresses without a Sender: name the identity that signs")]
    SenderAmbiguous {
        /// Addresses in From.
        count: usize,
    },
    /// No recipient was given.
    #[error("no recipient: give at least one certificate or identity")]
    NoRecipients,
    /// More recipients than the configuration allows.
    #[error("{found} recipients; the limit of this daemon is {limit} (limits.recipients)")]
    TooManyRecipients {
        /// Recipients in the request.
        found: usize,
        /// Recipients allowed.
        limit: usize,
    },
    /// A recipient's certificate cannot be read or cannot be encrypted to.
    #[error("recipient certificate {which} cannot be used: {why}")]
    RecipientCertificate {
        /// Its place in the request, the first being 1, or its subject and serial number.
        which: String,
        /// What is wrong with it.
        why: String,
    },
    /// A recipient's certificate has expired or is not valid yet.
    #[error("the recipient certificate of {subject} {when}: give one that is valid now")]
    RecipientNotValid {
        /// Its subject and serial number.
        subject: String,
        /// Since or until when.
        when: String,
    },
}

impl Invalid {
    /// The stable reason that clients see.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "MALFORMED_REQUEST",
            Self::RequestTooLarge(_) => "REQUEST_TOO_LARGE",
            Self::MetadataTooLarge { .. } => "METADATA_TOO_LARGE",
            Self::Name { .. } => "INVALID_NAME",
            Self::PageSize => "INVALID_PAGE_SIZE",
            Self::PageToken => "INVALID_PAGE_TOKEN",
            Self::Missing { .. } => "FIELD_MISSING",
            Self::Value { .. } => "INVALID_VALUE",
            Self::AlgorithmMismatch { .. } => "ALGORITHM_MISMATCH",
            Self::Length { .. } => "INVALID_LENGTH",
            Self::PeerPublicKey { .. } => "INVALID_PEER_PUBLIC_KEY",
            Self::CiphertextRange => "INVALID_CIPHERTEXT",
            Self::OptionsMissing => "OPTIONS_MISSING",
            Self::OptionsRepeated => "OPTIONS_REPEATED",
            Self::ContentTooLarge { .. } => "CONTENT_TOO_LARGE",
            Self::MessageTooLarge { .. } => "MESSAGE_TOO_LARGE",
            Self::MessageEmpty => "MESSAGE_EMPTY",
            Self::SenderUnknown => "SENDER_UNKNOWN",
            Self::SenderAmbiguous { .. } => "SENDER_AMBIGUOUS",
            Self::NoRecipients => "NO_RECIPIENTS",
            Self::TooManyRecipients { .. } => "TOO_MANY_RECIPIENTS",
            Self::RecipientCertificate { .. } => "INVALID_RECIPIENT_CERTIFICATE",
            Self::RecipientNotValid { .. } => "RECIPIENT_CERTIFICATE_NOT_VALID",
        }
    }

    /// A name that is not of the form `wanted`. What was found is cut so that the error stays short.
    #[must_use]
    pub fn name(field: &'static str, wanted: &'static str, found: &str) -> Self {
        Self::Name {
            field,
            wanted,
            found: found.chars().take(80).collect(),
        }
    }
}
