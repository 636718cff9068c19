//! Reports on messages, in the words of the contract.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chancery_proto::v1::{self, CheckResult, EncryptedLayer, Layer, Report, SignedLayer, layer};
use chancery_smime::report::{Check, SignedReport, SignerReport};
use prost_types::Timestamp;

use super::convert;
use crate::caller::hex;
use crate::ops;

/// One encrypted layer.
pub(super) fn encrypted(report: &ops::mail_decrypt::Report) -> Report {
    one(layer::Kind::Encrypted(EncryptedLayer {
        content_encryption: convert::content_encryption_to_wire(report.content_encryption).into(),
        authenticated: report.authenticated,
        key: convert::key_name(&report.key),
        token: convert::token_name(&report.token),
        key_management: convert::key_management_to_wire(report.key_management).into(),
        recipient_count: u32::try_from(report.recipient_count).unwrap_or(u32::MAX),
    }))
}

/// One signed layer.
pub(super) fn signed(report: &SignedReport) -> Report {
    one(layer::Kind::Signed(SignedLayer {
        media_type: report.media_type.to_owned(),
        signers: report.signers.iter().map(signer).collect(),
        valid: report.valid(),
        unreadable_certificates: report.unreadable_certificates,
    }))
}

fn one(kind: layer::Kind) -> Report {
    Report {
        layers: vec![Layer { kind: Some(kind) }],
    }
}

fn signer(signer: &SignerReport) -> v1::Signer {
    let certificate = signer.certificate.as_ref();
    let digest = signer
        .digest_algorithm
        .map_or(v1::DigestAlgorithm::Unspecified, convert::digest_to_wire);
    let signature = signer.signature_algorithm;
    let signature = signature.map_or(
        v1::SignatureAlgorithm::Unspecified,
        convert::signature_algorithm_to_wire,
    );
    v1::Signer {
        digest: Some(check(&signer.digest)),
        signature: Some(check(&signer.signature)),
        key_usage: Some(check(&signer.key_usage)),
        extended_key_usage: Some(check(&signer.extended_key_usage)),
        address: Some(check(&signer.address)),
        signed_attributes: Some(check(&signer.signed_attributes)),
        validity: Some(check(&signer.validity)),
        trust: Some(check(&signer.trust)),
        digest_algorithm: digest.into(),
        signature_algorithm: signature.into(),
        digest_algorithm_oid: signer.digest_algorithm_oid.to_string(),
        signature_algorithm_oid: signer.signature_algorithm_oid.to_string(),
        signing_time: signer.signing_time.map(timestamp),
        certificate: certificate.map(|c| Bytes::copy_from_slice(c.der())).unwrap_or_default(),
        subject: certificate.map(|c| c.subject()).unwrap_or_default(),
        issuer: certificate.map(|c| c.issuer()).unwrap_or_default(),
        serial_number: certificate.map(|c| hex(c.serial())).unwrap_or_default(),
        addresses: certificate.map(|c| c.addresses().to_vec()).unwrap_or_default(),
    }
}

fn check(check: &Check) -> v1::Check {
    let (result, detail) = match check {
        Check::Passed => (CheckResult::Passed, ""),
        Check::Failed(why) => (CheckResult::Failed, why.as_str()),
        Check::NotMade(why) => (CheckResult::Unspecified, why.as_str()),
        Check::NotEvaluated(why) => (CheckResult::NotEvaluated, why.as_str()),
    };
    v1::Check {
        result: result.into(),
        detail: detail.to_owned(),
    }
}

/// Times before 1970 included, down to the whole second below.
fn timestamp(time: SystemTime) -> Timestamp {
    let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => whole(after),
        Err(before) => -whole(before.duration()) - i64::from(before.duration().subsec_nanos() > 0),
    };
    Timestamp { seconds, nanos: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_on_both_sides_of_1970_are_told() {
        assert_eq!(timestamp(UNIX_EPOCH + Duration::from_millis(1500)).seconds, 1);
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_millis(1500)).seconds, -2);
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)).seconds, -1);
    }

    #[test]
    fn a_check_that_was_not_evaluated_never_looks_like_a_pass() {
        assert_eq!(
            check(&Check::NotEvaluated("path".to_owned())).result,
            CheckResult::NotEvaluated as i32
        );
        assert_eq!(
            check(&Check::NotMade("no From".to_owned())).result,
            CheckResult::Unspecified as i32
        );
        assert_eq!(check(&Check::Failed("digest".to_owned())).detail, "digest");
        assert_eq!(check(&Check::Passed).result, CheckResult::Passed as i32);
    }
}
