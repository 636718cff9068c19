//! Reading certificates.
#![no_main]

use chancery_smime::certificate::Certificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(data) {
        assert_eq!(certificate.der(), data);
        assert!(certificate.is_named_by(certificate.issuer_der(), certificate.serial()));
        let _names = (certificate.subject(), certificate.issuer(), certificate.addresses());
        let _key = (
            certificate.public_key_algorithm(),
            certificate.spki_sha256(),
            certificate.public_key_bits(),
        );
        let _period = (certificate.not_before(), certificate.not_after());
        let _uses = (
            certificate.allows_signing(),
            certificate.allows_encryption(),
            certificate.allows_email(),
        );
        let _issuing = (certificate.is_ca(), certificate.subject_key_id());
    }
});
