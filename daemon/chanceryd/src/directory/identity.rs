//! One mailbox and its keys, at a moment.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::SystemTime;

use chancery_smime::certificate::Certificate;

use super::key::Key;

/// A key and the certificate that ties it to a mailbox.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The key.
    pub key: Arc<Key>,
    /// The certificate.
    pub certificate: Certificate,
}

/// A mailbox with the keys that sign and decrypt for it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The addr-spec, the domain in lower case.
    pub address: String,
    /// The key with the newest valid signing certificate.
    pub signing: Option<Binding>,
    /// The key with the newest valid encryption certificate.
    pub encryption: Option<Binding>,
    /// Every other key that decrypts, expired or not, the newest first, each once.
    pub former_decryption: Vec<Binding>,
}

impl Identity {
    /// Sorts the bindings of one address out, as of `now`.
    pub(super) fn at(address: &str, bindings: &[Binding], now: SystemTime) -> Self {
        let signing = newest(bindings.iter().filter(|binding| {
            binding.key.roles.sign && binding.certificate.allows_signing() && is_for_mail(&binding.certificate, now)
        }));
        let encryption = newest(
            bindings
                .iter()
                .filter(|binding| decrypts(binding) && is_for_mail(&binding.certificate, now)),
        );
        let mut former: Vec<&Binding> = bindings.iter().filter(|binding| decrypts(binding)).collect();
        former.sort_by_key(|binding| Reverse(age(binding)));
        let mut former_decryption: Vec<Binding> = Vec::new();
        for binding in former {
            let is_current = encryption.is_some_and(|current| current.key.id == binding.key.id);
            let is_known = former_decryption.iter().any(|known| known.key.id == binding.key.id);
            if !is_current && !is_known {
                former_decryption.push(binding.clone());
            }
        }
        Self {
            address: address.to_owned(),
            signing: signing.cloned(),
            encryption: encryption.cloned(),
            former_decryption,
        }
    }

    /// Whether there is anything to tell about it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signing.is_none() && self.encryption.is_none() && self.former_decryption.is_empty()
    }

    /// Every key that decrypts for it, the current one first.
    pub fn decryption(&self) -> impl Iterator<Item = &Binding> {
        self.encryption.iter().chain(&self.former_decryption)
    }
}

/// Whether `certificate` is one of a person's for mail, and within its validity.
fn is_for_mail(certificate: &Certificate, now: SystemTime) -> bool {
    certificate.allows_email()
        && !certificate.is_ca()
        && certificate.not_before() <= now
        && now <= certificate.not_after()
}

fn decrypts(binding: &Binding) -> bool {
    binding.key.roles.decrypt && binding.certificate.allows_encryption()
}

fn newest<'a>(bindings: impl Iterator<Item = &'a Binding>) -> Option<&'a Binding> {
    bindings.max_by_key(|binding| age(binding))
}

/// The order of age; two certificates of the same moment are told apart by what lasts longer, then by the key's name.
fn age(binding: &Binding) -> (SystemTime, SystemTime, chancery_token::KeyId) {
    (
        binding.certificate.not_before(),
        binding.certificate.not_after(),
        binding.key.id,
    )
}
