//! Which element may follow which in the outer layers (RFC 5652, sections 3, 5.1 and 6.1; RFC 5083, section 2.1), and what
//! is done with it. The inside of the elements that are handed on whole is not described here.

use const_oid::ObjectIdentifier;

/// An element that is handed to the visitor whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// CMSVersion, an INTEGER.
    Version,
    /// DigestAlgorithmIdentifiers of SignedData, a SET.
    DigestAlgorithms,
    /// originatorInfo of EnvelopedData and AuthEnvelopedData, `[0]` IMPLICIT.
    OriginatorInfo,
    /// recipientInfos, a SET.
    RecipientInfos,
    /// eContentType or contentType of what is inside, an OBJECT IDENTIFIER.
    ContentType,
    /// contentEncryptionAlgorithm, an AlgorithmIdentifier.
    ContentEncryptionAlgorithm,
    /// certificates of SignedData, `[0]` IMPLICIT.
    Certificates,
    /// crls of SignedData, `[1]` IMPLICIT.
    Crls,
    /// signerInfos, a SET.
    SignerInfos,
    /// unprotectedAttrs of EnvelopedData (`[1]` IMPLICIT), unauthAttrs of AuthEnvelopedData (`[2]` IMPLICIT).
    UnprotectedAttrs,
    /// authAttrs of AuthEnvelopedData, `[1]` IMPLICIT.
    AuthAttrs,
    /// mac of AuthEnvelopedData, an OCTET STRING.
    Mac,
}

impl Field {
    /// Its name in the standard.
    pub fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::DigestAlgorithms => "digestAlgorithms",
            Self::OriginatorInfo => "originatorInfo",
            Self::RecipientInfos => "recipientInfos",
            Self::ContentType => "contentType",
            Self::ContentEncryptionAlgorithm => "contentEncryptionAlgorithm",
            Self::Certificates => "certificates",
            Self::Crls => "crls",
            Self::SignerInfos => "signerInfos",
            Self::UnprotectedAttrs => "unprotectedAttrs",
            Self::AuthAttrs => "authAttrs",
            Self::Mac => "mac",
        }
    }
}

/// Somewhere in the object where elements stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Around everything.
    Top,
    ContentInfo,
    /// The explicit `[0]` of ContentInfo.
    Wrapper(Kind),
    Body(Kind),
    EncapsulatedContentInfo,
    /// The explicit `[0]` of EncapsulatedContentInfo.
    ExplicitContent,
    EncryptedContentInfo,
    /// A constructed OCTET STRING whose pieces are content.
    Pieces,
    /// An element of indefinite length that is being collected.
    Collected,
}

/// The outer content types that the reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Signed,
    Enveloped,
    AuthEnveloped,
}

/// id-signedData (RFC 5652, section 5.1).
pub(crate) const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// id-envelopedData (RFC 5652, section 6.1).
pub(crate) const ID_ENVELOPED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.3");
/// id-ct-authEnvelopedData (RFC 5083, section 2.1).
pub(crate) const ID_AUTH_ENVELOPED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.23");

impl Kind {
    pub(super) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            ID_SIGNED_DATA => Some(Self::Signed),
            ID_ENVELOPED_DATA => Some(Self::Enveloped),
            ID_AUTH_ENVELOPED_DATA => Some(Self::AuthEnveloped),
            _ => None,
        }
    }
}

/// What is done with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Collected: it decides what comes after it.
    OuterContentType,
    /// The explicit `[0]` around what the outer content type names.
    EnterWrapper,
    /// Collected and handed on.
    Collect(Field),
    Enter(Place),
    /// Its octets, or those of its pieces, are content.
    Content,
}

/// One element of a place: the identifier octets that it may have, what is done with it, and whether it may be absent.
pub(super) struct Rule {
    pub(super) tags: &'static [u8],
    pub(super) action: Action,
    pub(super) optional: bool,
}

const fn must(tags: &'static [u8], action: Action) -> Rule {
    Rule {
        tags,
        action,
        optional: false,
    }
}

const fn may(tags: &'static [u8], action: Action) -> Rule {
    Rule {
        tags,
        action,
        optional: true,
    }
}

const INTEGER: &[u8] = &[0x02];
const OCTET_STRING: &[u8] = &[0x04, 0x24];
const OID: &[u8] = &[0x06];
const SEQUENCE: &[u8] = &[0x30];
const SET: &[u8] = &[0x31];
/// `[0]` IMPLICIT OCTET STRING, primitive and constructed.
const CONTEXT_0_STRING: &[u8] = &[0x80, 0xa0];
const CONTEXT_0: &[u8] = &[0xa0];
const CONTEXT_1: &[u8] = &[0xa1];
const CONTEXT_2: &[u8] = &[0xa2];

const TOP: &[Rule] = &[must(SEQUENCE, Action::Enter(Place::ContentInfo))];
const CONTENT_INFO: &[Rule] = &[
    must(OID, Action::OuterContentType),
    must(CONTEXT_0, Action::EnterWrapper),
];
const SIGNED_WRAPPER: &[Rule] = &[must(SEQUENCE, Action::Enter(Place::Body(Kind::Signed)))];
const ENVELOPED_WRAPPER: &[Rule] = &[must(SEQUENCE, Action::Enter(Place::Body(Kind::Enveloped)))];
const AUTH_ENVELOPED_WRAPPER: &[Rule] = &[must(SEQUENCE, Action::Enter(Place::Body(Kind::AuthEnveloped)))];
const SIGNED_DATA: &[Rule] = &[
    must(INTEGER, Action::Collect(Field::Version)),
    must(SET, Action::Collect(Field::DigestAlgorithms)),
    must(SEQUENCE, Action::Enter(Place::EncapsulatedContentInfo)),
    may(CONTEXT_0, Action::Collect(Field::Certificates)),
    may(CONTEXT_1, Action::Collect(Field::Crls)),
    must(SET, Action::Collect(Field::SignerInfos)),
];
const ENVELOPED_DATA: &[Rule] = &[
    must(INTEGER, Action::Collect(Field::Version)),
    may(CONTEXT_0, Action::Collect(Field::OriginatorInfo)),
    must(SET, Action::Collect(Field::RecipientInfos)),
    must(SEQUENCE, Action::Enter(Place::EncryptedContentInfo)),
    may(CONTEXT_1, Action::Collect(Field::UnprotectedAttrs)),
];
const AUTH_ENVELOPED_DATA: &[Rule] = &[
    must(INTEGER, Action::Collect(Field::Version)),
    may(CONTEXT_0, Action::Collect(Field::OriginatorInfo)),
    must(SET, Action::Collect(Field::RecipientInfos)),
    must(SEQUENCE, Action::Enter(Place::EncryptedContentInfo)),
    may(CONTEXT_1, Action::Collect(Field::AuthAttrs)),
    must(OCTET_STRING, Action::Collect(Field::Mac)),
    may(CONTEXT_2, Action::Collect(Field::UnprotectedAttrs)),
];
const ENCAPSULATED_CONTENT_INFO: &[Rule] = &[
    must(OID, Action::Collect(Field::ContentType)),
    may(CONTEXT_0, Action::Enter(Place::ExplicitContent)),
];
const EXPLICIT_CONTENT: &[Rule] = &[must(OCTET_STRING, Action::Content)];
const ENCRYPTED_CONTENT_INFO: &[Rule] = &[
    must(OID, Action::Collect(Field::ContentType)),
    must(SEQUENCE, Action::Collect(Field::ContentEncryptionAlgorithm)),
    may(CONTEXT_0_STRING, Action::Content),
];

impl Place {
    /// The elements of this place, in order. Empty for the places where any number of pieces may stand.
    pub(super) fn rules(self) -> &'static [Rule] {
        match self {
            Self::Top => TOP,
            Self::ContentInfo => CONTENT_INFO,
            Self::Wrapper(Kind::Signed) => SIGNED_WRAPPER,
            Self::Wrapper(Kind::Enveloped) => ENVELOPED_WRAPPER,
            Self::Wrapper(Kind::AuthEnveloped) => AUTH_ENVELOPED_WRAPPER,
            Self::Body(Kind::Signed) => SIGNED_DATA,
            Self::Body(Kind::Enveloped) => ENVELOPED_DATA,
            Self::Body(Kind::AuthEnveloped) => AUTH_ENVELOPED_DATA,
            Self::EncapsulatedContentInfo => ENCAPSULATED_CONTENT_INFO,
            Self::ExplicitContent => EXPLICIT_CONTENT,
            Self::EncryptedContentInfo => ENCRYPTED_CONTENT_INFO,
            Self::Pieces | Self::Collected => &[],
        }
    }

    /// Its name in the standard.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Top => "the beginning of a CMS object",
            Self::ContentInfo | Self::Wrapper(_) => "ContentInfo",
            Self::Body(Kind::Signed) => "SignedData",
            Self::Body(Kind::Enveloped) => "EnvelopedData",
            Self::Body(Kind::AuthEnveloped) => "AuthEnvelopedData",
            Self::EncapsulatedContentInfo | Self::ExplicitContent => "EncapsulatedContentInfo",
            Self::EncryptedContentInfo => "EncryptedContentInfo",
            Self::Pieces => "a constructed OCTET STRING",
            Self::Collected => "an element of indefinite length",
        }
    }

    /// The element with identifier octet `tag`, when those before `step` have been seen: its index and what is done with it.
    pub(super) fn find(self, step: usize, tag: u8) -> Option<(usize, Action)> {
        for (index, rule) in self.rules().iter().enumerate().skip(step) {
            if rule.tags.contains(&tag) {
                return Some((index, rule.action));
            }
            if !rule.optional {
                return None;
            }
        }
        None
    }

    /// Whether everything from `step` on may be absent.
    pub(super) fn is_complete(self, step: usize) -> bool {
        self.rules().iter().skip(step).all(|rule| rule.optional)
    }
}
