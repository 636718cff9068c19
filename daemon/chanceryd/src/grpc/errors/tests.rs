//! Every error that the table maps, and what must not show in the answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod invalid;
mod operation;
mod token;

use std::path::Path;

use chancery_token::KeyId;

use super::*;

fn token() -> String {
    "card".to_owned()
}

fn key() -> KeyId {
    KeyId::from_bytes([7; 32])
}

/// Every error, with its code, its reason and whether it says when to try again.
fn all() -> Vec<(OpError, Code, &'static str, bool)> {
    let of_tokens = token::errors().into_iter();
    let of_tokens = of_tokens.map(|(error, code, reason, retries)| (OpError::Token(error), code, reason, retries));
    operation::errors().into_iter().chain(of_tokens).collect()
}

#[test]
fn every_error_has_its_code_reason_request_id_and_retry() {
    for (error, code, reason, retries) in all() {
        let status = status(&error, "request-1");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{error:?}");
        assert_eq!(info.domain, "chancery");
        assert_eq!(info.metadata.get("request_id").map(String::as_str), Some("request-1"));
        assert_eq!(details.retry_info().is_some(), retries, "{error:?}");
        assert!(!status.message().is_empty());
    }
}

#[test]
fn every_invalid_request_is_an_invalid_argument_with_a_reason_of_its_own() {
    let mut reasons = std::collections::BTreeSet::new();
    for one in invalid::all() {
        let error = OpError::Invalid(one);
        let status = status(&error, "r");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(reasons.insert(error.reason()), "{} stands twice", error.reason());
    }
}

#[test]
fn a_bare_status_before_an_answer_keeps_its_meaning() {
    let came_to = |status: &Status| {
        let error = of_transport(status, false);
        (code(&error), error.reason())
    };
    let bare = |code| came_to(&Status::new(code, "x"));
    assert_eq!(bare(Code::Unauthenticated), (Code::Unauthenticated, "NO_CALLER"));
    assert_eq!(bare(Code::Internal), (Code::InvalidArgument, "MALFORMED_REQUEST"));
    assert_eq!(bare(Code::OutOfRange), (Code::InvalidArgument, "REQUEST_TOO_LARGE"));
    // Nobody makes one of these: it would be a defect.
    assert_eq!(bare(Code::DataLoss), (Code::Internal, "INTERNAL"));
    // The connection failed, whatever that came to.
    let reset = Status::from_error(Box::new(h2::Error::from(h2::Reason::ENHANCE_YOUR_CALM)));
    assert_eq!(reset.code(), Code::ResourceExhausted);
    assert_eq!(came_to(&reset), (Code::Cancelled, "CANCELLED"));
    assert_eq!(bare(Code::Unknown), (Code::Cancelled, "CANCELLED"));
}

#[test]
fn the_token_and_its_ckr_stand_in_the_metadata() {
    let error = OpError::Token(TokenError::Ckr {
        token: token(),
        function: "C_Sign".into(),
        ckr: "CKR_DEVICE_ERROR".into(),
    });
    let details = status(&error, "r").get_error_details();
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!(metadata.get("token").map(String::as_str), Some("card"));
    assert_eq!(metadata.get("ckr").map(String::as_str), Some("CKR_DEVICE_ERROR"));
}

#[test]
fn the_detail_of_an_internal_error_stays_in_the_log() {
    for (error, ..) in all() {
        let status = status(&error, "request-1");
        if status.code() == Code::Internal {
            assert!(!status.message().contains("secret detail"), "{}", status.message());
        }
    }
}

#[test]
fn a_failed_decryption_looks_the_same_wherever_it_failed() {
    let one = status(&OpError::DecryptionFailed, "r");
    let other = status(&OpError::from(TokenError::DecryptionFailed { token: token() }), "r");
    assert_eq!(one.code(), other.code());
    assert_eq!(one.message(), other.message());
    assert_eq!(one.details(), other.details());
}

#[test]
fn the_documentation_lists_exactly_the_reasons_that_there_are() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let page = std::fs::read_to_string(page).unwrap();
    let listed: std::collections::BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(reason, _)| reason.to_owned())
        .collect();
    let all = all().into_iter().map(|(_, _, reason, _)| reason.to_owned());
    let invalid = invalid::all().into_iter().map(|invalid| invalid.reason().to_owned());
    assert_eq!(listed, all.chain(invalid).collect());
}
