//! Certificates as the recipient lookup sees them, written octet by octet: names, dates and usages are real, keys and
//! signatures are not.

use std::time::{Duration, SystemTime};

use der::asn1::{GeneralizedTime, ObjectIdentifier};
use der::{DateTime, Encode};

/// What matters about a certificate.
pub(crate) struct Spec<'a> {
    pub(crate) address: &'a str,
    /// Days from now.
    pub(crate) valid: (i64, i64),
    /// The octet of keyUsage: 0x80 digitalSignature, 0x20 keyEncipherment, 0x08 keyAgreement.
    pub(crate) key_usage: u8,
    pub(crate) rsa: bool,
}

pub(crate) const KEY_ENCIPHERMENT: u8 = 0x20;
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;

impl Spec<'_> {
    /// Valid now, and for encryption with RSA.
    pub(crate) fn for_address(address: &str) -> Spec<'_> {
        Spec {
            address,
            valid: (-1, 1),
            key_usage: KEY_ENCIPHERMENT,
            rsa: true,
        }
    }

    /// Makes it; two with the same specification differ in their serial numbers.
    pub(crate) fn der(&self, serial: u8) -> Vec<u8> {
        let key_algorithm = if self.rsa {
            "1.2.840.113549.1.1.1"
        } else {
            "1.2.840.10045.2.1"
        };
        let unused_bits = u8::try_from(self.key_usage.trailing_zeros()).unwrap();
        let extension = |id: &str, value: Vec<u8>| tlv(0x30, &[oid(id), tlv(0x04, &[value])]);
        let extensions = [
            extension("2.5.29.15", tlv(0x03, &[vec![unused_bits, self.key_usage]])),
            extension(
                "2.5.29.17",
                tlv(0x30, &[tlv(0x81, &[self.address.as_bytes().to_vec()])]),
            ),
        ];
        let tbs = tlv(
            0x30,
            &[
                tlv(0xa0, &[tlv(0x02, &[vec![2]])]),
                tlv(0x02, &[vec![serial]]),
                algorithm("1.2.840.10045.4.3.2"),
                name("issuer"),
                tlv(0x30, &[time(self.valid.0), time(self.valid.1)]),
                name("subject"),
                tlv(0x30, &[algorithm(key_algorithm), tlv(0x03, &[vec![0, 1]])]),
                tlv(0xa3, &[tlv(0x30, &extensions)]),
            ],
        );
        tlv(0x30, &[tbs, algorithm("1.2.840.10045.4.3.2"), tlv(0x03, &[vec![0, 1]])])
    }

    /// The same in PEM, as tools write it.
    pub(crate) fn pem(&self, serial: u8) -> String {
        let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &self.der(serial)).unwrap();
        format!("subject=CN = subject\n\n{pem}")
    }
}

fn tlv(tag: u8, values: &[Vec<u8>]) -> Vec<u8> {
    let value = values.concat();
    let mut encoded = vec![tag];
    let length = value.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    if value.len() >= 0x80 {
        encoded.push(0x80 | u8::try_from(length.len()).unwrap());
    }
    encoded.extend(length);
    encoded.extend(value);
    encoded
}

fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new_unwrap(text).to_der().unwrap()
}

fn algorithm(text: &str) -> Vec<u8> {
    tlv(0x30, &[oid(text)])
}

fn name(common_name: &str) -> Vec<u8> {
    let attribute = tlv(0x30, &[oid("2.5.4.3"), tlv(0x0c, &[common_name.as_bytes().to_vec()])]);
    tlv(0x30, &[tlv(0x31, &[attribute])])
}

/// GeneralizedTime, days from now.
fn time(days: i64) -> Vec<u8> {
    let day = Duration::from_secs(86_400) * u32::try_from(days.unsigned_abs()).unwrap();
    let now = SystemTime::now();
    let time = if days < 0 { now - day } else { now + day };
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let time = DateTime::from_unix_duration(Duration::from_secs(seconds)).unwrap();
    GeneralizedTime::from_date_time(time).to_der().unwrap()
}
