//! Puts private keys, public halves and certificates together. Pure: what was read goes in, the catalogue comes out.

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    catalogue::{
        Catalogue, KeyAlgorithm, KeyEntry,
        certificate::{self, CertificateEntry},
        spki,
    },
    key::KeyId,
};

/// Attributes of a private key object.
#[derive(Debug, Clone, Default)]
pub(crate) struct PrivateKey {
    pub(crate) handle: u64,
    pub(crate) object_id: Vec<u8>,
    pub(crate) label: String,
    pub(crate) sign: bool,
    pub(crate) decrypt: bool,
    pub(crate) unwrap: bool,
    pub(crate) derive: bool,
    pub(crate) always_authenticate: bool,
    pub(crate) public: PublicHalf,
}

/// What a private key object says about its public half.
#[derive(Debug, Clone, Default)]
pub(crate) enum PublicHalf {
    /// A DER SubjectPublicKeyInfo, from CKA_PUBLIC_KEY_INFO or built from modulus and exponent.
    Spki(Vec<u8>),
    /// The curve alone: the point is found elsewhere by CKA_ID.
    Curve(KeyAlgorithm),
    /// Nothing.
    #[default]
    Unknown,
}

/// A public key object.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    pub(crate) object_id: Vec<u8>,
    pub(crate) label: String,
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) spki_der: Vec<u8>,
}

/// Everything that was read from a token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Objects {
    pub(crate) private: Vec<PrivateKey>,
    pub(crate) public: Vec<PublicKey>,
    /// CKA_ID and DER.
    pub(crate) certificates: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The catalogue, and the handle of each key in it.
pub(crate) fn assemble(objects: &Objects, outside: &[Vec<u8>]) -> (Catalogue, HashMap<KeyId, u64>) {
    let on_token: Vec<(&[u8], CertificateEntry)> = objects
        .certificates
        .iter()
        .filter_map(|(id, der)| Some((id.as_slice(), certificate::read(der.clone())?)))
        .collect();
    let mut by_id: HashMap<&[u8], Vec<Candidate<'_>>> = HashMap::new();
    for key in &objects.public {
        let candidate = Candidate {
            label: Some(&key.label),
            algorithm: key.algorithm,
            spki_der: &key.spki_der,
        };
        by_id.entry(&key.object_id).or_default().push(candidate);
    }
    for (id, certificate) in &on_token {
        if let Some((algorithm, _)) = spki::algorithm_and_canonical(&certificate.spki_der) {
            let candidate = Candidate {
                label: None,
                algorithm,
                spki_der: &certificate.spki_der,
            };
            by_id.entry(id).or_default().push(candidate);
        }
    }
    let mut keys: Vec<KeyEntry> = Vec::with_capacity(objects.private.len());
    let mut handles = HashMap::with_capacity(objects.private.len());
    for key in &objects.private {
        let Some((algorithm, spki_der)) = public_half(key, &by_id) else {
            tracing::warn!(
                label = key.label,
                "a private key without a public half that could be found is not listed"
            );
            continue;
        };
        let id = KeyId::of_spki(&spki_der);
        // A key that is there twice is the first of its objects: the handle goes with the attributes that are listed.
        if let Entry::Vacant(vacant) = handles.entry(id) {
            vacant.insert(key.handle);
            keys.push(entry(key, id, algorithm, spki_der));
        }
    }
    keys.sort_unstable_by_key(|key| key.id);
    let is_of_a_key = |key: KeyId| keys.binary_search_by_key(&key, |known| known.id).is_ok();
    let others = on_token.iter().filter(|(_, certificate)| !is_of_a_key(certificate.key));
    let others = others.map(|(_, certificate)| certificate.der.clone()).collect();
    let mut catalogue = Catalogue { keys, others };
    let mut certificates: Vec<CertificateEntry> = on_token.into_iter().map(|(_, certificate)| certificate).collect();
    certificates.extend(outside.iter().filter_map(|der| certificate::read(der.clone())));
    attach(&mut catalogue, certificates);
    (catalogue, handles)
}

/// The same keys with other certificates.
fn attach(catalogue: &mut Catalogue, mut certificates: Vec<CertificateEntry>) {
    certificates.sort_by(|one, other| (other.not_before, &one.der).cmp(&(one.not_before, &other.der)));
    let mut of_key: HashMap<KeyId, Vec<CertificateEntry>> = HashMap::new();
    for certificate in certificates {
        let list = of_key.entry(certificate.key).or_default();
        if list.last().is_none_or(|last| last.der != certificate.der) {
            list.push(certificate);
        }
    }
    for key in &mut catalogue.keys {
        let certificates = of_key.remove(&key.id).unwrap_or_default();
        key.certificates = certificates.into_iter().map(|certificate| certificate.der).collect();
    }
}

#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    /// None for a certificate.
    label: Option<&'a str>,
    algorithm: KeyAlgorithm,
    spki_der: &'a [u8],
}

fn public_half(key: &PrivateKey, by_id: &HashMap<&[u8], Vec<Candidate<'_>>>) -> Option<(KeyAlgorithm, Vec<u8>)> {
    let curve = match &key.public {
        PublicHalf::Spki(der) => return spki::algorithm_and_canonical(der),
        PublicHalf::Curve(curve) => Some(*curve),
        PublicHalf::Unknown => None,
    };
    let mut fitting: Vec<Candidate<'_>> = by_id
        .get(key.object_id.as_slice())?
        .iter()
        .copied()
        .filter(|candidate| curve.is_none_or(|curve| curve == candidate.algorithm))
        .collect();
    fitting.dedup_by_key(|candidate| candidate.spki_der);
    if fitting.len() > 1 {
        // Several keys share one CKA_ID, as on cards that were filled by hand: the label decides, or nothing does.
        fitting.retain(|candidate| candidate.label == Some(key.label.as_str()));
        fitting.dedup_by_key(|candidate| candidate.spki_der);
    }
    match fitting.as_slice() {
        [only] => Some((only.algorithm, only.spki_der.to_vec())),
        _ => None,
    }
}

fn entry(key: &PrivateKey, id: KeyId, algorithm: KeyAlgorithm, spki_der: Vec<u8>) -> KeyEntry {
    let (signs, decrypts) = match algorithm {
        KeyAlgorithm::Rsa { .. } => (true, key.decrypt || key.unwrap),
        KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::P521 => (true, key.derive),
        KeyAlgorithm::Ed25519 => (true, false),
        KeyAlgorithm::X25519 => (false, key.derive),
    };
    KeyEntry {
        id,
        algorithm,
        spki_der,
        object_id: key.object_id.clone(),
        label: key.label.clone(),
        can_sign: signs && key.sign,
        can_decrypt: decrypts,
        always_authenticate: key.always_authenticate,
        certificates: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn ec_private(handle: u64, id: u8, label: &str) -> PrivateKey {
        PrivateKey {
            handle,
            object_id: vec![id],
            label: label.to_owned(),
            sign: true,
            public: PublicHalf::Curve(KeyAlgorithm::P256),
            ..PrivateKey::default()
        }
    }

    fn ec_public(id: u8, label: &str, fill: u8) -> PublicKey {
        PublicKey {
            object_id: vec![id],
            label: label.to_owned(),
            algorithm: KeyAlgorithm::P256,
            spki_der: spki::ec(KeyAlgorithm::P256, &[fill; 65]).unwrap(),
        }
    }

    #[test]
    fn a_private_key_finds_its_public_half_by_id() {
        let objects = Objects {
            private: vec![ec_private(10, 1, "a"), ec_private(20, 2, "b")],
            public: vec![ec_public(2, "b", 8), ec_public(1, "a", 4)],
            certificates: vec![],
        };
        let (catalogue, handles) = assemble(&objects, &[]);
        assert_eq!(catalogue.keys.len(), 2);
        let of_first = KeyId::of_spki(&objects.public[1].spki_der);
        assert_eq!(handles[&of_first], 10);
        let key = catalogue.lookup(of_first).unwrap();
        assert_eq!((key.label.as_str(), key.can_sign, key.can_decrypt), ("a", true, false));
    }

    #[test]
    fn keys_that_share_an_id_are_told_apart_by_label_or_left_out() {
        let mut objects = Objects {
            private: vec![ec_private(10, 1, "a"), ec_private(20, 1, "b")],
            public: vec![ec_public(1, "a", 4), ec_public(1, "b", 8)],
            certificates: vec![],
        };
        assert_eq!(assemble(&objects, &[]).0.keys.len(), 2);
        for key in &mut objects.public {
            key.label = "same".into();
        }
        assert_eq!(assemble(&objects, &[]).0.keys.len(), 0);
    }

    #[test]
    fn of_a_key_that_is_there_twice_handle_and_attributes_are_those_of_one_object() {
        let mut second = ec_private(20, 1, "copy");
        second.sign = false;
        let objects = Objects {
            private: vec![ec_private(10, 1, "a"), second],
            public: vec![ec_public(1, "a", 4)],
            certificates: vec![],
        };
        let (catalogue, handles) = assemble(&objects, &[]);
        assert_eq!(catalogue.keys.len(), 1);
        assert!(catalogue.keys[0].can_sign);
        assert_eq!(handles[&catalogue.keys[0].id], 10);
    }

    #[test]
    fn a_public_key_on_another_curve_is_no_public_half() {
        let mut objects = Objects {
            private: vec![ec_private(10, 1, "a")],
            public: vec![ec_public(1, "a", 4)],
            certificates: vec![],
        };
        objects.public[0].algorithm = KeyAlgorithm::P384;
        assert!(assemble(&objects, &[]).0.keys.is_empty());
    }

    #[test]
    fn objects_that_are_not_certificates_are_passed_over() {
        let objects = Objects {
            private: vec![ec_private(10, 1, "a")],
            public: vec![ec_public(1, "a", 4)],
            certificates: vec![(vec![1], b"garbage".to_vec())],
        };
        let (catalogue, _) = assemble(&objects, &[b"more garbage".to_vec()]);
        assert!(catalogue.keys[0].certificates.is_empty());
    }
}
