//! Resource names of the contract, from what people type.

/// `identities/{addr-spec}` for a mail address, with the domain in lower case, as the daemon writes it. A name that is
/// complete already is returned as it is.
#[must_use]
pub fn identity(address: &str) -> String {
    if address.starts_with("identities/") {
        return address.to_owned();
    }
    format!("identities/{}", normalized_address(address))
}

/// `tokens/{token}` for the name of a token in the daemon's configuration. A name that is complete already is returned
/// as it is.
#[must_use]
pub fn token(token: &str) -> String {
    if token.starts_with("tokens/") {
        return token.to_owned();
    }
    format!("tokens/{token}")
}

/// A mail address in the form in which two are compared: the domain in lower case, the local part as it is, because only
/// the receiving domain knows whether its case matters (RFC 5321, section 2.4).
#[must_use]
pub fn normalized_address(address: &str) -> String {
    let address = address.trim();
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_domain_is_lowered() {
        assert_eq!(normalized_address(" Alice.A@Example.ORG "), "Alice.A@example.org");
        assert_eq!(normalized_address("\"odd@local\"@X.org"), "\"odd@local\"@x.org");
    }

    #[test]
    fn complete_names_are_left_alone() {
        assert_eq!(identity("identities/a@B.org"), "identities/a@B.org");
        assert_eq!(identity("a@B.org"), "identities/a@b.org");
        assert_eq!(token("tokens/card"), "tokens/card");
        assert_eq!(token("card"), "tokens/card");
    }
}
