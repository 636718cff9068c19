//! The immutable index over the catalogues of all tokens. Pure: catalogues and certificates in, look-ups out.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use chancery_smime::certificate::Certificate;
use chancery_token::{Catalogue, KeyEntry, KeyId};

use super::identity::{Binding, Identity};
use super::issuers::Issuers;
use super::key::{Key, Replica};
use super::normal_address;

/// Keys by id, bindings by address, issuers by name.
#[derive(Debug, Default)]
pub struct Index {
    keys: BTreeMap<KeyId, Arc<Key>>,
    identities: BTreeMap<String, Vec<Binding>>,
    issuers: Issuers,
    /// Every certificate that was read, by its octets, so that the next index need not parse it again.
    parsed: HashMap<Vec<u8>, Certificate>,
}

impl Index {
    /// Builds the index over `catalogues` (one a token, in the order of the configuration) and the `configured`
    /// certificates. What `before` has parsed is not parsed again. A certificate that cannot be read is passed over.
    #[must_use]
    pub fn build(catalogues: &[Arc<Catalogue>], configured: &[Certificate], before: &Self) -> Self {
        let mut parsed = HashMap::new();
        let mut merged: BTreeMap<KeyId, Merged<'_>> = BTreeMap::new();
        for (token, catalogue) in catalogues.iter().enumerate() {
            for der in &catalogue.others {
                read(der, before, &mut parsed);
            }
            for entry in &catalogue.keys {
                let key = merged.entry(entry.id).or_insert_with(|| Merged::new(entry));
                key.replicas.push(replica(token, entry));
                for der in &entry.certificates {
                    if let Some(certificate) = read(der, before, &mut parsed)
                        && !key.certificates.contains(&certificate)
                    {
                        key.certificates.push(certificate);
                    }
                }
            }
        }
        let keys: BTreeMap<_, _> = merged
            .into_iter()
            .map(|(id, key)| (id, Arc::new(key.finish())))
            .collect();
        let issuers = Issuers::new(configured.iter().chain(parsed.values()));
        Self {
            identities: bindings(&keys),
            keys,
            issuers,
            parsed,
        }
    }

    /// The key named so.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&Arc<Key>> {
        self.keys.get(&id)
    }

    /// The keys after `after` in the order of their names, or all of them.
    pub fn keys_after(&self, after: Option<KeyId>) -> impl Iterator<Item = &Arc<Key>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.keys.range((start, Bound::Unbounded)).map(|(_, key)| key)
    }

    /// The identity with this address (domain in lower case), as of `now`.
    #[must_use]
    pub fn identity(&self, address: &str, now: SystemTime) -> Option<Identity> {
        let bindings = self.identities.get(address)?;
        Some(Identity::at(address, bindings, now)).filter(|identity| !identity.is_empty())
    }

    /// The addresses after `after` in their order, or all of them.
    pub fn addresses_after(&self, after: Option<&str>) -> impl Iterator<Item = &str> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.identities
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(address, _)| address.as_str())
    }

    /// How many certificates it holds.
    #[must_use]
    pub fn certificates(&self) -> usize {
        self.parsed.len()
    }

    /// Every key that decrypts, with each of its certificates: what the recipients of a message are compared with.
    pub fn decryption(&self) -> impl Iterator<Item = (&Arc<Key>, &Certificate)> {
        self.keys
            .values()
            .filter(|key| key.roles.decrypt)
            .flat_map(|key| key.certificates.iter().map(move |certificate| (key, certificate)))
    }

    /// The known issuers of a certificate, the closest first. Nothing is said of their trust.
    #[must_use]
    pub fn issuers(&self, certificate: &Certificate) -> Vec<Certificate> {
        self.issuers.chain(certificate)
    }
}

/// One key while its replicas are being gathered.
struct Merged<'a> {
    entry: &'a KeyEntry,
    replicas: Vec<Replica>,
    certificates: Vec<Certificate>,
}

impl<'a> Merged<'a> {
    fn new(entry: &'a KeyEntry) -> Self {
        Self {
            entry,
            replicas: Vec::new(),
            certificates: Vec::new(),
        }
    }

    fn finish(mut self) -> Key {
        self.certificates
            .sort_by_key(|certificate| std::cmp::Reverse(certificate.not_before()));
        let mut identities: Vec<String> = self
            .certificates
            .iter()
            .filter(|certificate| !certificate.is_ca())
            .flat_map(|certificate| certificate.addresses())
            .filter_map(|address| normal_address(address))
            .collect();
        identities.sort_unstable();
        identities.dedup();
        Key {
            id: self.entry.id,
            hex: self.entry.id.to_string(),
            algorithm: self.entry.algorithm,
            spki_der: self.entry.spki_der.clone(),
            roles: Key::roles_of(&self.certificates, &self.replicas),
            certificates: self.certificates,
            identities,
            replicas: self.replicas,
        }
    }
}

fn replica(token: usize, entry: &KeyEntry) -> Replica {
    Replica {
        token,
        object_id: entry.object_id.clone(),
        label: entry.label.clone(),
        always_authenticate: entry.always_authenticate,
        can_sign: entry.can_sign,
        can_decrypt: entry.can_decrypt,
    }
}

fn read(der: &[u8], before: &Index, parsed: &mut HashMap<Vec<u8>, Certificate>) -> Option<Certificate> {
    if let Some(known) = parsed.get(der).or_else(|| before.parsed.get(der)) {
        let known = known.clone();
        parsed.entry(der.to_vec()).or_insert_with(|| known.clone());
        return Some(known);
    }
    match Certificate::from_der(der) {
        Ok(certificate) => {
            parsed.insert(der.to_vec(), certificate.clone());
            Some(certificate)
        }
        Err(error) => {
            tracing::warn!(%error, "a certificate on a token cannot be read and is passed over");
            None
        }
    }
}

fn bindings(keys: &BTreeMap<KeyId, Arc<Key>>) -> BTreeMap<String, Vec<Binding>> {
    let mut identities: BTreeMap<String, Vec<Binding>> = BTreeMap::new();
    for key in keys.values() {
        for certificate in key.certificates.iter().filter(|certificate| !certificate.is_ca()) {
            let mut addresses: Vec<_> = certificate
                .addresses()
                .iter()
                .filter_map(|a| normal_address(a))
                .collect();
            addresses.sort_unstable();
            addresses.dedup();
            for address in addresses {
                identities.entry(address).or_default().push(Binding {
                    key: Arc::clone(key),
                    certificate: certificate.clone(),
                });
            }
        }
    }
    identities
}

#[cfg(test)]
mod tests;
