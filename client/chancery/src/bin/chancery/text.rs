//! Small pieces of text for people: nothing that a message or a token says can drive the terminal.

use std::fmt::Write as _;
use std::time::Duration;

use der::DateTime;

/// The text with everything replaced that a terminal would obey or that would change the order of what is read: control
/// characters (line ends too) and the Unicode controls of direction.
pub(crate) fn printable(text: &str) -> String {
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if is_odd(c) { '\u{fffd}' } else { c }).collect()
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

/// A certificate in PEM; none for no bytes.
pub(crate) fn certificate_pem(der: &[u8]) -> Option<String> {
    pem("CERTIFICATE", der)
}

/// A public key (SubjectPublicKeyInfo) in PEM; none for no bytes.
pub(crate) fn public_key_pem(der: &[u8]) -> Option<String> {
    pem("PUBLIC KEY", der)
}

fn pem(label: &str, der: &[u8]) -> Option<String> {
    if der.is_empty() {
        return None;
    }
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).ok()
}

/// Seconds since 1970 as RFC 3339 in UTC; none before 1970 and after 9999.
pub(crate) fn rfc3339(seconds: i64) -> Option<String> {
    let time = DateTime::from_unix_duration(Duration::from_secs(u64::try_from(seconds).ok()?)).ok()?;
    Some(time.to_string())
}

/// A time as it is typed: a whole number and one of s, min, h and d.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    let units = [("s", 1), ("min", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let seconds = units.iter().find(|(name, _)| *name == unit).and_then(|(_, seconds)| {
        let number: u64 = number.parse().ok()?;
        number.checked_mul(*seconds).filter(|seconds| *seconds != 0)
    });
    let seconds = seconds.ok_or("write a number and s, min, h or d, such as 8h")?;
    Ok(Duration::from_secs(seconds))
}

/// Bytes for people, in binary units.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            return format!("{:.1} {name}", bytes as f64 / unit as f64);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_replaced() {
        assert_eq!(
            printable("CN=\u{1b}[2JMallory\r\n"),
            "CN=\u{fffd}[2JMallory\u{fffd}\u{fffd}"
        );
        assert_eq!(printable("evil\u{202e}gro"), "evil\u{fffd}gro");
        assert_eq!(printable("Jürgen 王"), "Jürgen 王");
    }

    #[test]
    fn sizes_and_times_are_written_for_people() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(128 << 20), "128.0 MiB");
        assert_eq!(rfc3339(1_767_225_599).as_deref(), Some("2025-12-31T23:59:59Z"));
        assert_eq!(rfc3339(-1), None);
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }
}
