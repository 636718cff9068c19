//! Certificates for the tests, put together byte by byte. Nobody checks their signatures.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

/// keyUsage digitalSignature.
pub(crate) const SIGN: u8 = 0x80;
/// keyUsage keyEncipherment.
pub(crate) const RSA_ENCIPHER: u8 = 0x20;
/// keyUsage keyCertSign.
const CERT_SIGN: u8 = 0x04;
/// id-ecPublicKey with P-256.
pub(crate) const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// rsaEncryption with NULL.
const RSA: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// sha256WithRSAEncryption with NULL.
const SIGNATURE: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00,
];

/// A certificate in the making.
pub(crate) struct Made {
    key: u8,
    algorithm: &'static [u8],
    issuer: String,
    subject: String,
    addresses: Vec<String>,
    usage: u8,
    authority: bool,
    validity: (&'static str, &'static str),
}

impl Made {
    pub(crate) fn new(key: u8, address: &str) -> Self {
        Self {
            key,
            algorithm: RSA,
            issuer: "Authority".to_owned(),
            subject: format!("Subject {key}"),
            addresses: Some(address.to_owned())
                .into_iter()
                .filter(|address| !address.is_empty())
                .collect(),
            usage: 0,
            authority: false,
            validity: ("200101000000Z", "490101000000Z"),
        }
    }

    pub(crate) fn usage(mut self, usage: u8) -> Self {
        self.usage = usage;
        self
    }

    pub(crate) fn also(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    pub(crate) fn algorithm(mut self, algorithm: &'static [u8]) -> Self {
        self.algorithm = algorithm;
        self
    }

    pub(crate) fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = issuer.to_owned();
        self
    }

    pub(crate) fn authority(mut self, issuer: &str, subject: &str) -> Self {
        self.authority = true;
        self.subject = subject.to_owned();
        self.usage(CERT_SIGN).issuer(issuer)
    }

    pub(crate) fn validity(mut self, from: &'static str, to: &'static str) -> Self {
        self.validity = (from, to);
        self
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let mut extensions = extension(&[0x55, 0x1d, 0x0f], &tlv(0x03, &[&[0], &[self.usage]]));
        if !self.addresses.is_empty() {
            let names: Vec<_> = self
                .addresses
                .iter()
                .map(|address| tlv(0x81, &[address.as_bytes()]))
                .collect();
            extensions.extend(extension(&[0x55, 0x1d, 0x11], &tlv(0x30, &[&names.concat()])));
        }
        if self.authority {
            extensions.extend(extension(&[0x55, 0x1d, 0x13], &tlv(0x30, &[&[0x01, 0x01, 0xff]])));
        }
        let times = [
            tlv(0x17, &[self.validity.0.as_bytes()]),
            tlv(0x17, &[self.validity.1.as_bytes()]),
        ];
        let tbs = tlv(
            0x30,
            &[
                &[0xa0, 0x03, 0x02, 0x01, 0x02],
                &tlv(0x02, &[&[0x01, self.key]]),
                &tlv(0x30, &[SIGNATURE]),
                &name(&self.issuer),
                &tlv(0x30, &[&times.concat()]),
                &name(&self.subject),
                &key_info(self.algorithm, self.key),
                &tlv(0xa3, &[&tlv(0x30, &[&extensions])]),
            ],
        );
        tlv(0x30, &[&tbs, &tlv(0x30, &[SIGNATURE]), &tlv(0x03, &[&[0, 1, 2, 3]])])
    }
}

/// The SubjectPublicKeyInfo of key `n`.
pub(crate) fn spki(n: u8) -> Vec<u8> {
    key_info(RSA, n)
}

fn key_info(algorithm: &[u8], n: u8) -> Vec<u8> {
    let mut modulus = vec![0xc0; 256];
    modulus.extend([n]);
    let public_key = tlv(0x30, &[&tlv(0x02, &[&[0], &modulus]), &tlv(0x02, &[&[1, 0, 1]])]);
    tlv(0x30, &[&tlv(0x30, &[algorithm]), &tlv(0x03, &[&[0], &public_key])])
}

fn name(common_name: &str) -> Vec<u8> {
    let attribute = tlv(
        0x30,
        &[&[0x06, 0x03, 0x55, 0x04, 0x03], &tlv(0x0c, &[common_name.as_bytes()])],
    );
    tlv(0x30, &[&tlv(0x31, &[&attribute])])
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&tlv(0x06, &[oid]), &tlv(0x04, &[value])])
}

fn tlv(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut out = vec![tag];
    match content.len() {
        0..=127 => out.push(length[1]),
        128..=255 => out.extend([0x81, length[1]]),
        _ => out.extend([0x82, length[0], length[1]]),
    }
    out.extend(content);
    out
}
