//! Which of the strings in a certificate are mailboxes, and their normal form.

/// Mailboxes that are taken from one certificate. The rest is passed over: every address of a message is compared with all
/// of them, and no person has as many.
const MAX_ADDRESSES: usize = 100;

/// Each mailbox once, in the order found, with the domain in lower case; the first [`MAX_ADDRESSES`] of them.
pub(super) fn collect(alternative_names: &[String], subject_addresses: &[String]) -> Vec<String> {
    let mut addresses: Vec<String> = Vec::new();
    for address in alternative_names
        .iter()
        .chain(subject_addresses)
        .filter_map(|address| normal_form(address))
    {
        if addresses.len() == MAX_ADDRESSES {
            break;
        }
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// The address with its domain in lower case; nothing if it is no address, or holds what could deceive a reader (control
/// characters, NUL among them, and spaces).
fn normal_form(address: &str) -> Option<String> {
    if address
        .chars()
        .any(|character| character.is_control() || character.is_whitespace())
    {
        return None;
    }
    let (local, domain) = address.rsplit_once('@')?;
    (!local.is_empty() && !domain.is_empty()).then(|| format!("{local}@{}", domain.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    #[test]
    fn the_domain_is_lowered_the_local_part_kept_and_duplicates_dropped() {
        let addresses = collect(
            &strings(&["Alice@Example.ORG", "bob@example.org"]),
            &strings(&["Alice@example.org", "a@b"]),
        );
        assert_eq!(addresses, ["Alice@example.org", "bob@example.org", "a@b"]);
    }

    #[test]
    fn no_more_are_taken_than_a_message_may_be_compared_with() {
        let many: Vec<String> = (0..2 * MAX_ADDRESSES)
            .map(|number| format!("{number}@example.org"))
            .collect();
        assert_eq!(
            collect(&many, &many),
            many.into_iter().take(MAX_ADDRESSES).collect::<Vec<_>>()
        );
    }

    #[test]
    fn what_is_not_an_address_is_left_out() {
        let odd = [
            "alice",
            "@example.org",
            "alice@",
            "alice@example.org\0.evil.org",
            "a b@example.org",
            "",
        ];
        assert!(collect(&strings(&odd), &[]).is_empty());
    }
}
