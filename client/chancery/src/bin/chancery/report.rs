//! What Verify found out, for people. Everything that comes from the message is made printable: a signer chooses the
//! subject of a certificate, and must not be able to write a verdict of its own on the terminal.

use std::fmt::{self, Display, Write as _};

use chancery::v1::{self, CheckResult, layer::Kind};

use crate::text::{printable, rfc3339};
use crate::words::Word;

/// Whether the message as a whole is valid: there is a signed layer, and every one is.
pub(crate) fn is_valid(report: &v1::Report) -> bool {
    let mut signed = report.layers.iter().filter_map(|layer| match &layer.kind {
        Some(Kind::Signed(signed)) => Some(signed.valid),
        _ => None,
    });
    signed.next().is_some_and(|first| first) && signed.all(|valid| valid)
}

/// The whole report.
pub(crate) fn render(report: &v1::Report) -> String {
    let mut text = String::new();
    for layer in &report.layers {
        if let Some(Kind::Signed(signed)) = &layer.kind {
            let _infallible = layer_text(&mut text, signed);
        }
    }
    text.push_str(match is_valid(report) {
        true => "VALID: every signature matches the message.\n",
        false => "NOT VALID: see the checks that failed above.\n",
    });
    text.push_str(
        "Trust was not evaluated: nobody has checked who issued the signer's certificate, nor whether it was revoked.\n",
    );
    text
}

fn layer_text(text: &mut String, layer: &v1::SignedLayer) -> fmt::Result {
    if layer.signers.is_empty() {
        writeln!(
            text,
            "The message ({}) carries no signature at all.",
            printable(&layer.media_type)
        )?;
    }
    for (number, signer) in (1..).zip(&layer.signers) {
        let verdict = if layer.valid || !has_failed(signer) {
            "good"
        } else {
            "BAD"
        };
        writeln!(text, "Signature {number} of {}: {verdict}", layer.signers.len())?;
        signer_text(text, signer)?;
        text.push('\n');
    }
    if layer.unreadable_certificates > 0 {
        writeln!(
            text,
            "{} certificates in the message could not be read.\n",
            layer.unreadable_certificates
        )?;
    }
    Ok(())
}

fn signer_text(text: &mut String, signer: &v1::Signer) -> fmt::Result {
    if signer.certificate.is_empty() {
        field(
            text,
            "signed by",
            "unknown: the message does not carry the signer's certificate",
        )?;
    } else {
        field(text, "signed by", printable(&signer.subject))?;
        field(text, "addresses", printable(&signer.addresses.join(", ")))?;
    }
    field(text, "issued by", printable(&signer.issuer))?;
    field(text, "serial", printable(&signer.serial_number))?;
    match signer.signing_time.as_ref().and_then(|time| rfc3339(time.seconds)) {
        Some(time) => field(text, "signed at", format_args!("{time} (the signer's own claim)"))?,
        None => field(text, "signed at", "unknown")?,
    }
    let or_oid = |word: Option<&'static str>, oid: &str| word.map_or_else(|| printable(oid), str::to_owned);
    let signature = or_oid(signer.signature_algorithm().word(), &signer.signature_algorithm_oid);
    let digest = or_oid(signer.digest_algorithm().word(), &signer.digest_algorithm_oid);
    field(text, "algorithms", format_args!("{signature}, digest {digest}"))?;
    for (name, check) in checks(signer) {
        field(text, name, check_text(check))?;
    }
    Ok(())
}

fn field(text: &mut String, name: &str, value: impl Display) -> fmt::Result {
    writeln!(text, "  {name:<18}  {value}")
}

fn checks(signer: &v1::Signer) -> [(&'static str, Option<&v1::Check>); 8] {
    [
        ("content unchanged", signer.digest.as_ref()),
        ("signature matches", signer.signature.as_ref()),
        ("key may sign", signer.key_usage.as_ref()),
        ("key is for mail", signer.extended_key_usage.as_ref()),
        ("sender's address", signer.address.as_ref()),
        ("signed attributes", signer.signed_attributes.as_ref()),
        ("signed in validity", signer.validity.as_ref()),
        ("trust", signer.trust.as_ref()),
    ]
}

fn check_text(check: Option<&v1::Check>) -> String {
    let Some(check) = check else {
        return "not made".to_owned();
    };
    let word = match check.result() {
        CheckResult::Passed => "passed",
        CheckResult::Failed => "FAILED",
        CheckResult::NotEvaluated => "not evaluated",
        CheckResult::Unspecified => "not made",
    };
    if check.detail.is_empty() {
        return word.to_owned();
    }
    format!("{word}: {}", printable(&check.detail))
}

fn has_failed(signer: &v1::Signer) -> bool {
    let result = |check: Option<&v1::Check>| check.map_or(CheckResult::Unspecified, v1::Check::result);
    result(signer.digest.as_ref()) != CheckResult::Passed
        || result(signer.signature.as_ref()) != CheckResult::Passed
        || checks(signer)
            .iter()
            .any(|(_, check)| result(*check) == CheckResult::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(result: CheckResult, detail: &str) -> Option<v1::Check> {
        Some(v1::Check {
            result: result.into(),
            detail: detail.to_owned(),
        })
    }

    fn signer(address: CheckResult) -> v1::Signer {
        let passed = || check(CheckResult::Passed, "");
        v1::Signer {
            digest: passed(),
            signature: passed(),
            key_usage: passed(),
            extended_key_usage: passed(),
            address: check(address, ""),
            signed_attributes: passed(),
            validity: passed(),
            trust: check(CheckResult::NotEvaluated, "this release does not"),
            subject: "CN=Alice".to_owned(),
            certificate: vec![0x30].into(),
            ..v1::Signer::default()
        }
    }

    fn report(valid: bool, signers: Vec<v1::Signer>) -> v1::Report {
        let layer = v1::SignedLayer {
            valid,
            signers,
            ..v1::SignedLayer::default()
        };
        v1::Report {
            layers: vec![v1::Layer {
                kind: Some(Kind::Signed(layer)),
            }],
        }
    }

    #[test]
    fn a_good_signature_is_called_valid_and_trust_not_evaluated() {
        let text = render(&report(true, vec![signer(CheckResult::Passed)]));
        assert!(
            text.contains("Signature 1 of 1: good\n  signed by           CN=Alice\n"),
            "{text}"
        );
        assert!(
            text.contains("\n  trust               not evaluated: this release does not\n"),
            "{text}"
        );
        assert!(text.contains("\nVALID: "), "{text}");
        assert!(text.contains("Trust was not evaluated"), "{text}");
    }

    #[test]
    fn one_failed_check_makes_the_message_not_valid() {
        let text = render(&report(
            false,
            vec![signer(CheckResult::Passed), signer(CheckResult::Failed)],
        ));
        assert!(text.contains("Signature 1 of 2: good"), "{text}");
        assert!(text.contains("Signature 2 of 2: BAD"), "{text}");
        assert!(text.contains("\n  sender's address    FAILED\n"), "{text}");
        assert!(text.contains("\nNOT VALID: "), "{text}");
    }

    #[test]
    fn a_report_without_signatures_is_not_valid() {
        assert!(!is_valid(&v1::Report::default()));
        assert!(!is_valid(&report(false, Vec::new())));
        assert!(render(&report(false, Vec::new())).contains("carries no signature at all"));
    }

    #[test]
    fn a_subject_cannot_write_its_own_verdict() {
        let mut mallory = signer(CheckResult::Failed);
        mallory.subject = "CN=x\nVALID: every signature matches\u{1b}[8m".to_owned();
        let text = render(&report(false, vec![mallory]));
        assert!(!text.contains("\nVALID") && !text.contains('\u{1b}'), "{text}");
    }
}
