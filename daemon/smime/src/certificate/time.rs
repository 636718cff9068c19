//! UTCTime and GeneralizedTime of a certificate's validity (RFC 5280, section 4.1.2.5), read a little more widely than DER
//! allows: seconds may be missing, and years before 1970 count as 1970.

use std::time::SystemTime;

use der::asn1::AnyRef;
use der::{DateTime, Tag, Tagged};

use super::CertificateError;

pub(super) fn read(value: AnyRef<'_>, field: &'static str) -> Result<SystemTime, CertificateError> {
    parse(value).ok_or(CertificateError::MalformedTime { field })
}

fn parse(value: AnyRef<'_>) -> Option<SystemTime> {
    let digits = value.value().strip_suffix(b"Z")?;
    let (year, rest) = match value.tag() {
        Tag::UtcTime => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        Tag::GeneralizedTime => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let mut fields = [0_u8; 5];
    if rest.len() != 10 && rest.len() != 8 {
        return None;
    }
    for (field, digits) in fields.iter_mut().zip(rest.chunks_exact(2)) {
        *field = u8::try_from(number(digits)?).ok()?;
    }
    let [month, day, hour, minute, second] = fields;
    if year < 1970 {
        return Some(SystemTime::UNIX_EPOCH);
    }
    DateTime::new(year, month, day, hour, minute, second)
        .ok()
        .map(|time| time.to_system_time())
}

fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value.wrapping_mul(10).wrapping_add(u16::from(digit.wrapping_sub(b'0'))))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use super::*;

    fn seconds(tag: Tag, text: &str) -> Option<u64> {
        let time = parse(AnyRef::new(tag, text.as_bytes()).unwrap())?;
        Some(
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or(Duration::ZERO)
                .as_secs(),
        )
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        assert_eq!(seconds(Tag::UtcTime, "700101000001Z"), Some(1));
        assert_eq!(seconds(Tag::UtcTime, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(seconds(Tag::UtcTime, "7001010002Z"), Some(120));
        assert_eq!(seconds(Tag::GeneralizedTime, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(seconds(Tag::GeneralizedTime, "99991231235959Z"), Some(253_402_300_799));
        assert_eq!(seconds(Tag::UtcTime, "500101000000Z"), Some(0));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "Z",
            "7001010000Zx",
            "701301000000Z",
            "70010100000xZ",
            "700101000000",
            "7001010000000Z",
        ] {
            assert_eq!(seconds(Tag::UtcTime, text), None, "{text}");
        }
    }
}
