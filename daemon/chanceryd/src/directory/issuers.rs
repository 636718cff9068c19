//! Which certificate issued which, as far as names tell. Nothing is said of trust, and no signature is checked: a chain
//! found here is sent along for the recipient to judge.

use std::collections::{HashMap, HashSet};

use chancery_smime::certificate::Certificate;

/// The longest chain that is followed.
const MAX_DEPTH: usize = 8;
/// The most certificates that a chain takes along when several bear the same name.
const MAX_CERTIFICATES: usize = 16;

/// The known certification authorities, by subject.
#[derive(Debug, Default)]
pub(super) struct Issuers {
    by_subject: HashMap<Vec<u8>, Vec<Certificate>>,
}

impl Issuers {
    /// Takes the authorities out of `certificates`; the others are passed over.
    pub(super) fn new<'a>(certificates: impl Iterator<Item = &'a Certificate>) -> Self {
        let mut by_subject: HashMap<Vec<u8>, Vec<Certificate>> = HashMap::new();
        for certificate in certificates.filter(|certificate| certificate.is_ca()) {
            let same_name = by_subject.entry(certificate.subject_der().to_vec()).or_default();
            if !same_name.contains(certificate) {
                same_name.push(certificate.clone());
            }
        }
        for same_name in by_subject.values_mut() {
            same_name.sort_by_key(|certificate| std::cmp::Reverse(certificate.not_before()));
        }
        Self { by_subject }
    }

    /// The known issuers of `certificate`, the closest first. Several with the same name (a renewed or cross-signed
    /// authority) all come along, the newest first.
    pub(super) fn chain(&self, certificate: &Certificate) -> Vec<Certificate> {
        let mut chain: Vec<Certificate> = Vec::new();
        let mut seen: HashSet<&[u8]> = HashSet::new();
        let mut names: Vec<&[u8]> = vec![certificate.issuer_der()];
        for _ in 0..MAX_DEPTH {
            let mut above = Vec::new();
            for name in names {
                if !seen.insert(name) {
                    continue;
                }
                for issuer in self.by_subject.get(name).into_iter().flatten() {
                    if chain.len() == MAX_CERTIFICATES {
                        return chain;
                    }
                    above.push(issuer.issuer_der());
                    if issuer != certificate {
                        chain.push(issuer.clone());
                    }
                }
            }
            names = above;
        }
        chain
    }
}
