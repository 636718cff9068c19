//! Mail addresses as they stand in identities.

/// An addr-spec with its domain in lower case, the local part as it is (RFC 5321, section 2.4). `None` for what has no
/// local part or domain, or is longer than 320 bytes (64 + 1 + 255), or has spaces, control characters, slashes or angle
/// brackets in it.
#[must_use]
pub fn normal_address(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '<' | '>');
    if local.is_empty() || domain.is_empty() || address.len() > 320 || address.contains(odd) {
        return None;
    }
    Some(format!("{local}@{}", domain.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_folded_and_the_local_part_is_not() {
        assert_eq!(
            normal_address("Alice@Example.ORG").as_deref(),
            Some("Alice@example.org")
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "alice",
            "@example.org",
            "alice@",
            "a b@example.org",
            "<a@b.org>",
            "a@b/c",
            "a@b\n",
        ] {
            assert_eq!(normal_address(bad), None, "{bad:?}");
        }
        assert_eq!(normal_address(&format!("{}@example.org", "a".repeat(320))), None);
    }
}
