//! The verdict on one signer: every check on its own, so that a caller can tell a changed message from a certificate that
//! does not fit. Nothing here reads the message.

use const_oid::ObjectIdentifier;

use super::attributes::{SignedAttributes, signed_octets};
use super::authors::Authors;
use super::content_digest::Digests;
use super::signer_info::SignerInfo;
use crate::algorithm::DigestAlgorithm;
use crate::attributes::ID_DATA;
use crate::certificate::Certificate;
use crate::report::{Check, SignerReport};
use crate::signature::{Message, Scheme};

/// Certificates that are tried for one signer. No two should bear the same issuer and serial number; a message full of those
/// that do must not cost a signature check for each pair of signer and certificate.
const MAX_CANDIDATES: usize = 4;

/// What the message holds for its signers to be checked against.
pub(super) struct Evidence<'a> {
    pub(super) content_type: ObjectIdentifier,
    pub(super) digests: &'a Digests,
    pub(super) looks_like_attributes: bool,
    pub(super) certificates: &'a [Certificate],
    pub(super) authors: &'a Authors,
}

pub(super) fn report(signer: &SignerInfo, evidence: &Evidence<'_>) -> SignerReport {
    let digest_algorithm = DigestAlgorithm::from_oid(signer.digest_algorithm.oid);
    let scheme = digest_algorithm
        .ok_or_else(|| format!("digest algorithm {} is not supported", signer.digest_algorithm.oid))
        .and_then(|digest| Scheme::read(&signer.signature_algorithm, digest).map_err(|error| error.to_string()));
    let digests = digest_algorithm.map_or_else(Vec::new, |algorithm| evidence.digests_by(algorithm));
    let attributes = signer.signed_attributes.as_deref().map(SignedAttributes::read);

    let (signature, certificate) = signature(signer, &scheme, &digests, evidence);
    let with_certificate = |check: fn(&Certificate, &Evidence<'_>) -> Check| match certificate {
        Some(certificate) => check(certificate, evidence),
        None => no_certificate(signer),
    };
    let signing_time = match &attributes {
        Some(Ok(attributes)) => attributes.signing_time(),
        Some(Err(_)) | None => None,
    };
    SignerReport {
        digest: digest(signer, &attributes, &digests),
        signature,
        key_usage: with_certificate(key_usage),
        extended_key_usage: with_certificate(extended_key_usage),
        address: with_certificate(address),
        signed_attributes: signed_attributes(signer, &attributes, certificate, evidence),
        validity: match (certificate, signing_time) {
            (None, _) => no_certificate(signer),
            (Some(_), None) => Check::NotMade("the signer does not say when it signed".to_owned()),
            (Some(certificate), Some(time)) if time < certificate.not_before() => {
                Check::Failed("the certificate was not valid yet at the signing time".to_owned())
            }
            (Some(certificate), Some(time)) if time > certificate.not_after() => {
                Check::Failed("the certificate was no longer valid at the signing time".to_owned())
            }
            _ => Check::Passed,
        },
        trust: Check::NotEvaluated("certification paths and revocation are not evaluated".to_owned()),
        digest_algorithm,
        digest_algorithm_oid: signer.digest_algorithm.oid,
        signature_algorithm: scheme.ok().map(|scheme| scheme.algorithm),
        signature_algorithm_oid: signer.signature_algorithm.oid,
        signing_time,
        certificate: certificate.cloned(),
    }
}

impl Evidence<'_> {
    /// The digests of the content, in each of its forms, by one algorithm. None if that algorithm was not announced.
    fn digests_by(&self, algorithm: DigestAlgorithm) -> Vec<&[u8]> {
        self.digests
            .iter()
            .flatten()
            .filter(|(by, _)| *by == algorithm)
            .map(|(_, digest)| digest.as_slice())
            .collect()
    }
}

type Attributes<'a> = Option<Result<SignedAttributes<'a>, String>>;

fn digest(signer: &SignerInfo, attributes: &Attributes<'_>, digests: &[&[u8]]) -> Check {
    let oid = signer.digest_algorithm.oid;
    if digests.is_empty() {
        return Check::Failed(match DigestAlgorithm::from_oid(oid) {
            None => format!("digest algorithm {oid} is not supported"),
            Some(algorithm) => {
                format!("{algorithm} was not announced ahead of the content, so that it was not computed")
            }
        });
    }
    match attributes {
        None => Check::Passed,
        Some(Err(reason)) => Check::Failed(reason.clone()),
        Some(Ok(attributes)) => match attributes.message_digest() {
            None => Check::Failed("the attribute messageDigest is missing or cannot be read".to_owned()),
            Some(expected) if digests.contains(&expected) => Check::Passed,
            Some(_) => Check::Failed("the content is not what was signed: its digest is another".to_owned()),
        },
    }
}

/// The check, and the certificate that it was made with: of those that the signer may mean, the one under which the
/// signature verifies, or else the first.
fn signature<'a>(
    signer: &SignerInfo,
    scheme: &Result<Scheme, String>,
    digests: &[&[u8]],
    evidence: &Evidence<'a>,
) -> (Check, Option<&'a Certificate>) {
    let mut candidates = evidence
        .certificates
        .iter()
        .filter(|certificate| signer.identifier.names(certificate))
        .take(MAX_CANDIDATES)
        .peekable();
    let first = candidates.peek().copied();
    let scheme = match scheme {
        Ok(scheme) => *scheme,
        Err(reason) => return (Check::Failed(reason.clone()), first),
    };
    if first.is_none() {
        return (no_certificate(signer), None);
    }
    let signed = signer.signed_attributes.as_deref().map(signed_octets);
    let messages: Vec<Message<'_>> = match &signed {
        Some(signed) => signed.iter().map(|octets| Message::Octets(octets)).collect(),
        None => digests.iter().map(|digest| Message::Digest(digest)).collect(),
    };
    let verifying = candidates.find(|certificate| {
        messages
            .iter()
            .any(|message| certificate.verifies_with(scheme, *message, &signer.signature))
    });
    match verifying {
        Some(certificate) => (Check::Passed, Some(certificate)),
        None => (
            Check::Failed("the signature does not verify under the key of the signer's certificate".to_owned()),
            first,
        ),
    }
}

fn key_usage(certificate: &Certificate, _: &Evidence<'_>) -> Check {
    if certificate.allows_signing() {
        Check::Passed
    } else {
        Check::Failed("the certificate's keyUsage has neither digitalSignature nor nonRepudiation".to_owned())
    }
}

fn extended_key_usage(certificate: &Certificate, _: &Evidence<'_>) -> Check {
    if certificate.allows_email() {
        Check::Passed
    } else {
        Check::Failed("the certificate's extendedKeyUsage does not have emailProtection".to_owned())
    }
}

fn address(certificate: &Certificate, evidence: &Evidence<'_>) -> Check {
    evidence.authors.check(certificate)
}

fn signed_attributes(
    signer: &SignerInfo,
    attributes: &Attributes<'_>,
    certificate: Option<&Certificate>,
    evidence: &Evidence<'_>,
) -> Check {
    // A signature made for something else, a timestamp for example, is no signature of a mail.
    if evidence.content_type != ID_DATA {
        return Check::Failed(format!(
            "the signed content is of type {}, not id-data",
            evidence.content_type
        ));
    }
    match attributes {
        // RFC 5652, section 5.3 allows that for id-data. The signature over some attributes would also be one over a
        // content that consists of their DER, which no mail does.
        None if evidence.looks_like_attributes => {
            Check::Failed("the content looks like the signed attributes of another message".to_owned())
        }
        None => Check::NotMade("there are no signed attributes".to_owned()),
        Some(Err(reason)) => Check::Failed(reason.clone()),
        Some(Ok(attributes)) => match attributes.agree(signer, evidence.content_type, certificate) {
            Ok(()) => Check::Passed,
            Err(reason) => Check::Failed(reason),
        },
    }
}

fn no_certificate(signer: &SignerInfo) -> Check {
    Check::NotMade(format!(
        "the message does not carry the signer's certificate ({})",
        signer.identifier
    ))
}
