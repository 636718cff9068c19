//! The attributes of a SignerInfo that both signing and verifying know: their object identifiers. How they are written is
//! in `sign::attributes`, how they are checked in `verify::attributes`.

use const_oid::ObjectIdentifier;
pub(crate) use const_oid::db::rfc5911::{
    ID_AA_ENCRYP_KEY_PREF, ID_AA_SIGNING_CERTIFICATE, ID_AA_SIGNING_CERTIFICATE_V_2, SMIME_CAPABILITIES,
};
pub(crate) use const_oid::db::rfc5911::{ID_CONTENT_TYPE, ID_DATA, ID_MESSAGE_DIGEST, ID_SIGNING_TIME};

/// id-aa-CMSAlgorithmProtection (RFC 6211, section 2).
pub(crate) const ID_AA_CMS_ALGORITHM_PROTECTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.52");
